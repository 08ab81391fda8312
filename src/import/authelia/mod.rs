//! Authelia: its configuration, its file of users, and what `authelia storage user ... export` writes. Which file is what
//! is told by what is in it. Pure.

mod clients;
mod config;
mod exports;
mod rules;
mod template;
mod users;

pub(in crate::import) use exports::seed;

use super::found::{Found, FoundUser};
use super::report::Line;
use super::yaml::{self, Fields};
use super::{MOST_FILES, SourceFile};

/// What the files hold before it is put together.
#[derive(Default)]
struct Parts {
    found: Found,
    totp: Vec<exports::NamedTotp>,
    subjects: Vec<exports::NamedSubject>,
    has_config: bool,
    has_rules: bool,
    has_users: bool,
    /// Whether a file could not be read, which may hold rules.
    has_unread: bool,
}

impl Parts {
    fn say(&mut self, line: Line) {
        self.found.lines.push(line);
    }
}

/// Reads the files of a folder. `secret` gives the content of a file that a template names, if it can be had.
pub fn read(files: &[SourceFile], secret: &dyn Fn(&str) -> Option<String>) -> Found {
    let mut parts = Parts::default();
    for file in files.iter().take(MOST_FILES) {
        if let Err(why) = read_file(&mut parts, file, secret) {
            parts.say(Line::not_carried("file", &file.name, why));
        }
    }
    if parts.has_unread {
        parts.found.leave_rules_out();
    }
    if !parts.has_config {
        parts.say(Line::not_carried(
            "file",
            "configuration.yml",
            "There is none, so no rules, apps, keys and domains were looked at.",
        ));
    }
    if !parts.has_users {
        parts.say(Line::not_carried(
            "file",
            "users_database.yml",
            "There is none, so no people were looked at. Accounts of an LDAP directory are not carried over.",
        ));
    }
    put_together(parts)
}

fn read_file(
    parts: &mut Parts,
    file: &SourceFile,
    secret: &dyn Fn(&str) -> Option<String>,
) -> Result<(), String> {
    let read = template::prepare(&file.text).and_then(|prepared| {
        let mut root = yaml::parse(&prepared.text).map_err(|error| error.to_string())?;
        let unread = prepared.fill(&mut root, secret);
        Ok((root.fields().ok_or("It is no mapping of keys to values.")?, unread))
    });
    parts.has_unread |= read.is_err();
    let (fields, unread) = read?;
    for expression in unread {
        let why = format!(
            "A value of {} comes from this template, which cannot be read here. Put the file that it names below the \
             folder, or write the configuration out first: authelia config template.",
            file.name
        );
        parts.say(Line::not_carried("template", expression, why));
    }
    take_apart(parts, fields, &file.name)
}

fn take_apart(parts: &mut Parts, mut fields: Fields, name: &str) -> Result<(), String> {
    if let Some(list) = fields.take("totp_configurations") {
        return exports::totp(parts, list);
    }
    if let Some(list) = fields.take("webauthn_credentials") {
        return exports::webauthn(parts, list);
    }
    if let Some(list) = fields.take("identifiers") {
        return exports::identifiers(parts, list);
    }
    if let Some(users) = fields.take("users") {
        if parts.has_users {
            return Err("There is another file of users already; keep one of them in the folder.".to_owned());
        }
        parts.has_users = true;
        let people = users.fields().ok_or("Its users are no mapping of names.")?;
        for (key, _) in fields.rest() {
            parts.say(Line::not_carried("setting", key, format!("This key of {name} is not known here.")));
        }
        return users::read(parts, people);
    }
    parts.has_config = true;
    let read = config::read(parts, fields);
    parts.has_unread |= read.is_err();
    read
}

/// Gives people their authenticator apps and subjects.
fn put_together(parts: Parts) -> Found {
    let Parts { mut found, totp, subjects, .. } = parts;
    let mut lines = Vec::new();
    for (name, totp) in totp {
        match user(&mut found.users, &name) {
            Some(user) if user.totp.is_none() => user.totp = Some(totp),
            Some(_) => lines.push(Line::not_carried("totp", name, "There is another one of this person.")),
            None => {
                lines.push(Line::not_carried("totp", name, "There is no such person in the file of users."))
            }
        }
    }
    for (name, subject) in subjects {
        match user(&mut found.users, &name) {
            Some(user) if user.subject.is_none() => user.subject = Some(subject),
            Some(_) => lines.push(Line::not_carried("subject", name, "There is another one of this person.")),
            None => lines.push(Line::not_carried(
                "subject",
                name,
                "There is no such person in the file of users.",
            )),
        }
    }
    found.lines.append(&mut lines);
    found
}

fn user<'a>(users: &'a mut [FoundUser], name: &str) -> Option<&'a mut FoundUser> {
    users.iter_mut().find(|user| user.username == name)
}

#[cfg(test)]
mod tests;
