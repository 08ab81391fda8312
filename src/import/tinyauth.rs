//! tinyauth: `USERS` or `USERS_FILE`, a line `name:hash[:seed]` for each person. Pure.

use super::authelia::seed;
use super::found::{Found, FoundTotp, FoundUser};
use super::report::Line;
use super::{MOST_USERS, SourceFile};
use crate::crypto::totp::TotpAlgorithm;

/// Reads a file of users: lines, or the one line of the variable with commas between people. Dollars may be doubled, as
/// Compose files want it.
pub fn read(file: &SourceFile) -> Found {
    let mut found = Found::default();
    // A whole line of an environment file is taken too.
    let lines = file.text.lines().map(|line| {
        let line = line.trim();
        ["TINYAUTH_AUTH_USERS=", "TINYAUTH_USERS=", "USERS="]
            .iter()
            .find_map(|name| line.strip_prefix(name))
            .map_or(line, |rest| rest.trim_matches(['"', '\'']))
    });
    let people =
        lines.filter(|line| !line.is_empty() && !line.starts_with('#')).flat_map(|line| line.split(','));
    for (number, person) in people.map(str::trim).filter(|person| !person.is_empty()).enumerate() {
        if number >= MOST_USERS {
            found.lines.push(Line::not_carried(
                "file",
                &file.name,
                format!("It holds more than {MOST_USERS} people."),
            ));
            break;
        }
        match read_person(person) {
            Ok(user) => found.users.push(user),
            Err((name, why)) => {
                let name = if name.is_empty() { format!("number {}", number + 1) } else { name };
                found.lines.push(Line::not_carried("user", name, why));
            }
        }
    }
    let why = "tinyauth keeps rules in labels of containers: write them as rules here, see doorward rules.";
    found.lines.push(Line::not_carried("rules", "labels", why));
    found
}

fn read_person(text: &str) -> Result<FoundUser, (String, &'static str)> {
    let text = text.replace("$$", "$");
    let mut fields = text.split(':').map(str::trim);
    let (Some(name), Some(hash), totp, None) = (fields.next(), fields.next(), fields.next(), fields.next())
    else {
        return Err((String::new(), "A person is written as name:hash or name:hash:seed."));
    };
    // Only a name is repeated in the report, never what might be a hash or a seed.
    if name.is_empty() || hash.is_empty() || name.starts_with('$') {
        return Err((String::new(), "A person is written as name:hash or name:hash:seed."));
    }
    let totp = match totp {
        None | Some("") => None,
        Some(text) => {
            let secret =
                seed(text).ok_or((name.to_owned(), "The seed of the authenticator app is damaged."))?;
            Some(FoundTotp { secret, algorithm: TotpAlgorithm::Sha1, digits: 6, period: 30 })
        }
    };
    Ok(FoundUser { username: name.to_owned(), password: Some(hash.to_owned()), totp, ..FoundUser::default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn people(text: &str) -> Found {
        read(&SourceFile { name: "users".to_owned(), text: text.to_owned() })
    }

    #[test]
    fn people_are_read_from_lines_and_from_a_variable() {
        let hash = "$2a$10$abcdefghijklmnopqrstuuhKF09ZYWwH2zP/0fwE1X8e/Q1YNx/hO";
        let doubled = hash.replace('$', "$$");
        for text in [
            format!("ada:{hash}\n\nbob:{hash}:JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP\n"),
            format!("USERS=ada:{doubled},bob:{doubled}:JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"),
        ] {
            let found = people(&text);
            let names: Vec<&str> = found.users.iter().map(|user| user.username.as_str()).collect();
            assert_eq!(names, ["ada", "bob"], "{text}");
            assert_eq!(found.users[0].password.as_deref(), Some(hash));
            assert_eq!(found.users[1].totp.as_ref().unwrap().secret.len(), 20);
        }
    }

    #[test]
    fn a_damaged_line_is_told_without_what_is_in_it() {
        let found = people("ada\nbob:$2a$x:not base32!\n$2a$10$abc:x\na:b:c:d\n");
        assert!(found.users.is_empty());
        let told: String = found.lines.iter().map(|line| format!("{} {}", line.name, line.why)).collect();
        assert_eq!(found.lines.len(), 5);
        assert!(told.contains("bob") && !told.contains("$2a"), "{told}");
    }
}
