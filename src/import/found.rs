//! What readers found, as texts, in one shape for every source. It travels to the server, so it holds what is needed and
//! nothing else; hashes and keys are in it, so it goes nowhere but there.

use std::collections::{HashMap, HashSet};

use serde::{Deserialize, Serialize};

use super::report::Line;
use crate::access::RuleParts;
use crate::crypto::totp::TotpAlgorithm;
use crate::oidc::client::ClientSettings;

/// Everything that was found.
#[derive(Default, Serialize, Deserialize)]
pub struct Found {
    /// People.
    pub users: Vec<FoundUser>,
    /// Access rules in order: all of them, or none if one cannot be carried over.
    pub rules: Vec<RuleParts>,
    /// Apps.
    pub clients: Vec<FoundClient>,
    /// Signing keys, the one that signs last.
    pub keys: Vec<FoundKey>,
    /// Root domains of protected apps.
    pub domains: Vec<FoundDomain>,
    /// What cannot be carried over, and why.
    pub lines: Vec<Line>,
}

/// A root domain of protected apps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FoundDomain {
    /// The domain.
    pub domain: String,
    /// Where its people sign in: host, and port if it is not that of https. May be empty.
    pub portal: String,
}

/// Somebody.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FoundUser {
    /// The name they sign in with there.
    pub username: String,
    /// The name shown; empty for the username.
    pub display_name: String,
    /// The address; may be empty.
    pub email: String,
    /// Whether an administrator stands for the address.
    pub is_email_verified: bool,
    /// The groups.
    pub groups: Vec<String>,
    /// Whether the account is disabled.
    pub is_disabled: bool,
    /// The password hash.
    pub password: Option<String>,
    /// The authenticator app.
    pub totp: Option<FoundTotp>,
    /// The `sub` that apps know.
    pub subject: Option<String>,
    /// Claims by name, such as `given_name` and `attributes.quota`.
    pub claims: Vec<(String, String)>,
}

/// An authenticator app.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FoundTotp {
    /// The seed.
    pub secret: Vec<u8>,
    /// The hash of its codes.
    pub algorithm: TotpAlgorithm,
    /// The digits of its codes.
    pub digits: u8,
    /// The seconds of its steps.
    pub period: u32,
}

/// An app that signs people in.
#[derive(Clone, Serialize, Deserialize)]
pub struct FoundClient {
    /// The client id.
    pub id: String,
    /// What is decided about it.
    pub settings: ClientSettings,
    /// What it proves itself with.
    pub secret: FoundSecret,
    /// What is different here, in sentences.
    pub notes: Vec<String>,
}

/// The secret of an app.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum FoundSecret {
    /// None was found.
    Nothing,
    /// SHA-256 of a secret that stood there in the clear.
    Sha256([u8; 32]),
    /// A hash of another kind.
    Hash(String),
}

/// A signing key.
#[derive(Clone, Serialize, Deserialize)]
pub struct FoundKey {
    /// What it is called in reports.
    pub name: String,
    /// The key as a PEM file.
    pub pem: String,
}

impl Found {
    /// Leaves the rules out, because some may be missing: what a missing one refuses, one that is there may allow.
    pub fn leave_rules_out(&mut self) {
        if !self.rules.is_empty() {
            self.rules.clear();
            self.lines.push(Line::not_carried(
                "rules",
                "a file that cannot be read",
                "So no rule was carried over: it may hold rules, and what they refuse, others might allow. Mend it, or \
                 take it out of the folder.",
            ));
        }
    }

    /// Takes out what cannot be told apart here: people whose names differ only in case are both left out, because rules
    /// and apps would take one for the other; an address that several people have stays with the first of them.
    pub fn without_doubles(mut self) -> Self {
        let mut names: HashMap<String, usize> = HashMap::with_capacity(self.users.len());
        for user in &self.users {
            *names.entry(user.username.to_ascii_lowercase()).or_default() += 1;
        }
        let (mut users, mut lines) = (Vec::with_capacity(self.users.len()), Vec::new());
        let mut emails: HashSet<String> = HashSet::new();
        for mut user in self.users {
            if names.get(&user.username.to_ascii_lowercase()).is_some_and(|count| *count > 1) {
                let why = "Somebody else has this name in other capitals, and names are the same here in either. Rename \
                           one of them first.";
                lines.push(Line::not_carried("user", user.username, why));
                continue;
            }
            if !user.email.is_empty() && !emails.insert(user.email.to_ascii_lowercase()) {
                let why = "Somebody else has this address too, and here it belongs to one person.";
                lines.push(Line::not_carried("email", &user.username, why));
                user.email.clear();
            }
            users.push(user);
        }
        self.users = users;
        self.lines.append(&mut lines);
        self.without_mixed_spellings()
    }

    /// Names that differ in capitals alone are different ones elsewhere and the same here. Of such groups only the one in
    /// small letters is carried over; and where a rule would mean people whom it did not, no rule is.
    fn without_mixed_spellings(mut self) -> Self {
        let mut spellings: HashMap<String, HashSet<String>> = HashMap::new();
        let mut add = |subject: String| {
            spellings.entry(subject.to_ascii_lowercase()).or_default().insert(subject);
        };
        for user in &self.users {
            add(format!("user:{}", user.username));
            user.groups.iter().for_each(|group| add(format!("group:{group}")));
        }
        let is_group = |subject: &str| subject.starts_with("group:");
        let named = || {
            let subjects = self.rules.iter().flat_map(|rule| rule.subjects.iter().flatten());
            subjects.filter(|subject| is_group(subject) || subject.starts_with("user:"))
        };
        named().for_each(|subject| add(subject.clone()));
        let is_mixed = |subject: &str| {
            spellings.get(&subject.to_ascii_lowercase()).is_some_and(|spellings| spellings.len() > 1)
        };
        let strange = named().find(|subject| {
            is_mixed(subject) && !(is_group(subject) && **subject == subject.to_ascii_lowercase())
        });
        if let Some(subject) = strange {
            let why = "There is the same name in other capitals, and here they are one. So no rule was carried over: it \
                       would mean people whom it did not.";
            self.lines.push(Line::not_carried("rules", subject, why));
            self.rules.clear();
        }
        for user in &mut self.users {
            let is_other = |group: &mut String| {
                group.bytes().any(|byte| byte.is_ascii_uppercase()) && is_mixed(&format!("group:{group}"))
            };
            for group in user.groups.extract_if(.., is_other) {
                let why = format!(
                    "“{group}” is another group than the one in small letters, and here they would be one."
                );
                self.lines.push(Line::not_carried("group", &user.username, why));
            }
        }
        self
    }

    /// Cuts it into pieces that travel one by one: keys, apps, domains and rules first, then people.
    pub fn into_pieces(self, people: usize) -> Vec<Found> {
        let Found { users, rules, clients, keys, domains, lines } = self;
        let mut pieces = vec![Found { keys, domains, ..Found::default() }];
        let mut clients = clients.into_iter().peekable();
        while clients.peek().is_some() {
            let some = clients.by_ref().take(people).collect();
            pieces.push(Found { clients: some, ..Found::default() });
        }
        let mut users = users.into_iter().peekable();
        while users.peek().is_some() {
            let some = users.by_ref().take(people).collect();
            pieces.push(Found { users: some, ..Found::default() });
        }
        // After the people: a rule that names somebody finds them.
        pieces.push(Found { rules, lines, ..Found::default() });
        pieces
    }
}
