//! Whom a rule is for: users, groups, programs, and several of them at once. Pure.

use std::fmt;

use super::matcher::Caller;
use crate::kernel::text::{GroupName, TextError, Username};
use crate::words::{Said, said};

/// Most bytes of a client id.
const LONGEST_CLIENT: usize = 200;
/// How a user is written in an AND-list.
const USER: &str = "user:";
/// How a group is written in an AND-list.
const GROUP: &str = "group:";
/// How an OAuth client is written in an AND-list.
const CLIENT: &str = "oauth2:client:";

/// The id of an OAuth client: visible ASCII without quotes, commas and plus signs.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ClientName(Box<str>);

impl ClientName {
    /// Parses an id. The error is a sentence.
    pub fn parse(text: &str) -> Result<Self, Said> {
        let is_plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b',' | b'+');
        if !text.is_empty() && text.len() <= LONGEST_CLIENT && text.bytes().all(is_plain) {
            Ok(ClientName(text.into()))
        } else {
            let text = text.to_owned();
            Err(said(move |t| t.access_bad_client(&text)))
        }
    }

    /// Returns the id.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ClientName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Says which of several names was refused, and why.
pub(super) fn refused_name(text: &str, error: TextError) -> Said {
    let typed = text.to_owned();
    said(move |t| t.access_bad_name_in(&typed, (error.0)(t)))
}

/// One user, the members of one group, or one OAuth client.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Subject {
    /// This user.
    User(Username),
    /// Everyone in this group.
    Group(GroupName),
    /// This program.
    Client(ClientName),
}

impl Subject {
    /// Parses `user:ada`, `group:dev` or `oauth2:client:backup`. The error is a sentence.
    pub fn parse(text: &str) -> Result<Self, Said> {
        let refused = |error| refused_name(text, error);
        if let Some(name) = text.strip_prefix(USER) {
            Username::parse(name).map(Subject::User).map_err(refused)
        } else if let Some(name) = text.strip_prefix(GROUP) {
            GroupName::parse(name).map(Subject::Group).map_err(refused)
        } else if let Some(id) = text.strip_prefix(CLIENT) {
            ClientName::parse(id).map(Subject::Client)
        } else {
            let typed = text.to_owned();
            Err(said(move |t| t.access_bad_subject(&typed)))
        }
    }

    /// Tells whether the caller is meant.
    pub fn means(&self, caller: &Caller<'_>) -> bool {
        match self {
            Subject::User(name) => name.as_str() == caller.username,
            Subject::Group(name) => caller.groups.contains(name),
            Subject::Client(id) => caller.client == Some(id.as_str()),
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Subject::User(name) => write!(f, "{USER}{name}"),
            Subject::Group(name) => write!(f, "{GROUP}{name}"),
            Subject::Client(id) => write!(f, "{CLIENT}{id}"),
        }
    }
}
