//! Pocket ID: the `database.json` of its export (`pocket-id export`). Pure.

use std::collections::HashMap;

use data_encoding::HEXLOWER_PERMISSIVE;
use serde_json::{Map, Value};

use super::found::{Found, FoundClient, FoundSecret, FoundUser};
use super::report::Line;
use super::{MOST_CLIENTS, MOST_USERS, SourceFile};
use crate::kernel::text::GroupName;
use crate::oidc::client::{AuthMethod, ClientKind, ClientSettings, Demand, GrantType};

type Row = Map<String, Value>;

/// Tables whose rows are of no use elsewhere, and why.
const LEFT: [(&str, &str); 8] = [
    ("api_keys", "Keys of its own API."),
    ("oidc_refresh_tokens", "Apps ask for new tokens."),
    ("user_authorized_oidc_clients", "People are asked once more."),
    ("signup_tokens", "Make new invitations here."),
    ("one_time_access_tokens", "Make new one-time links here."),
    ("app_config_variables", "Settings belong to the installation: see doorward config."),
    ("audit_logs", "The log starts anew."),
    ("kv", "The signing key is sealed with a key of Pocket ID's own; apps fetch the new one."),
];

/// Reads an export.
pub fn read(file: &SourceFile) -> Found {
    let mut found = Found::default();
    match serde_json::from_str::<Value>(&file.text) {
        Ok(Value::Object(mut root)) => match root.remove("tables") {
            Some(Value::Object(tables)) => read_tables(&mut found, tables),
            _ => found.lines.push(Line::not_carried("file", &file.name, NO_EXPORT)),
        },
        _ => found.lines.push(Line::not_carried("file", &file.name, NO_EXPORT)),
    }
    found
}

const NO_EXPORT: &str =
    "It is no export of Pocket ID. Make one with pocket-id export, unpack it, and give its database.json.";

struct Tables(Map<String, Value>);

impl Tables {
    fn take(&mut self, name: &str) -> Vec<Row> {
        let Some(Value::Array(rows)) = self.0.remove(name) else { return Vec::new() };
        rows.into_iter()
            .filter_map(|row| if let Value::Object(row) = row { Some(row) } else { None })
            .collect()
    }
}

fn text<'a>(row: &'a Row, name: &str) -> &'a str {
    row.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// SQLite has no truth values of its own.
fn truth(row: &Row, name: &str) -> bool {
    match row.get(name) {
        Some(Value::Bool(value)) => *value,
        Some(Value::Number(number)) => number.as_i64() != Some(0),
        _ => false,
    }
}

/// A list of texts, or the JSON of one in a text.
fn list(row: &Row, name: &str) -> Vec<String> {
    let value = match row.get(name) {
        Some(Value::String(json)) => serde_json::from_str(json).unwrap_or_default(),
        Some(value) => value.clone(),
        None => Value::Null,
    };
    serde_json::from_value(value).unwrap_or_default()
}

fn read_tables(found: &mut Found, tables: Map<String, Value>) {
    let mut tables = Tables(tables);
    let groups: HashMap<String, String> = tables
        .take("user_groups")
        .iter()
        .map(|row| (text(row, "id").to_owned(), text(row, "name").to_owned()))
        .collect();
    let users = tables.take("users");
    if users.len() > MOST_USERS {
        found.lines.push(Line::not_carried("users", "all", format!("There are more than {MOST_USERS}.")));
        return;
    }
    let mut by_id: HashMap<String, usize> = HashMap::with_capacity(users.len());
    for row in &users {
        by_id.insert(text(row, "id").to_owned(), found.users.len());
        let user = user_of(&mut found.lines, row);
        found.users.push(user);
    }
    for row in tables.take("user_groups_users") {
        let user = by_id.get(text(&row, "user_id")).and_then(|at| found.users.get_mut(*at));
        if let (Some(user), Some(group)) = (user, groups.get(text(&row, "user_group_id"))) {
            user.groups.push(group.clone());
        }
    }
    for row in tables.take("custom_claims") {
        let (key, value) = (text(&row, "key"), text(&row, "value"));
        match by_id.get(text(&row, "user_id")).and_then(|at| found.users.get_mut(*at)) {
            Some(user) => user.claims.push((format!("attributes.{key}"), value.to_owned())),
            None => found.lines.push(Line::not_carried("claim", key, "Claims of groups do not exist here.")),
        }
    }
    for row in tables.take("webauthn_credentials") {
        let user = by_id.get(text(&row, "user_id")).and_then(|at| found.users.get(*at));
        let owner = user.map_or("?", |user| user.username.as_str());
        let why = "Passkeys are not carried over. Send the person a link: doorward user link.";
        found.lines.push(Line::not_carried("passkey", format!("{owner}: {}", text(&row, "name")), why));
    }
    read_clients(found, &mut tables, &groups);
    for (name, rows) in tables.0 {
        let is_empty = rows.as_array().is_none_or(Vec::is_empty);
        if let (false, Some((_, why))) = (is_empty, LEFT.iter().find(|(table, _)| *table == name)) {
            found.lines.push(Line::not_carried("table", name, *why));
        } else if !is_empty && !matches!(name.as_str(), "oidc_authorization_codes" | "webauthn_sessions") {
            found.lines.push(Line::not_carried("table", name, "It is not known here."));
        }
    }
}

fn user_of(lines: &mut Vec<Line>, row: &Row) -> FoundUser {
    let (first, last) = (text(row, "first_name"), text(row, "last_name"));
    let display_name = match text(row, "display_name") {
        "" => format!("{first} {last}").trim().to_owned(),
        name => name.to_owned(),
    };
    let username = text(row, "username").to_owned();
    if truth(row, "is_admin") {
        let why = "An administrator there is a member here at first: doorward has administrators of its own.";
        lines.push(Line::not_carried("role", &username, why));
    }
    let mut claims = Vec::new();
    for (name, value) in [("given_name", first), ("family_name", last), ("locale", text(row, "locale"))] {
        if !value.is_empty() {
            claims.push((name.to_owned(), value.to_owned()));
        }
    }
    FoundUser {
        username,
        display_name,
        email: text(row, "email").to_owned(),
        is_email_verified: truth(row, "email_verified"),
        is_disabled: truth(row, "disabled"),
        subject: Some(text(row, "id").to_owned()),
        claims,
        ..FoundUser::default()
    }
}

fn read_clients(found: &mut Found, tables: &mut Tables, groups: &HashMap<String, String>) {
    let mut allowed: HashMap<String, Vec<String>> = HashMap::new();
    for row in tables.take("oidc_clients_allowed_user_groups") {
        let group = groups.get(text(&row, "user_group_id")).cloned().unwrap_or_default();
        allowed.entry(text(&row, "oidc_client_id").to_owned()).or_default().push(group);
    }
    let clients = tables.take("oidc_clients");
    if clients.len() > MOST_CLIENTS {
        found.lines.push(Line::not_carried("apps", "all", format!("There are more than {MOST_CLIENTS}.")));
        return;
    }
    for row in clients {
        let id = text(&row, "id").to_owned();
        let client = client_of(&row, id, allowed.get(text(&row, "id")));
        found.clients.push(client);
    }
}

fn client_of(row: &Row, id: String, allowed: Option<&Vec<String>>) -> FoundClient {
    let mut notes = Vec::new();
    let is_public = truth(row, "is_public");
    let mut settings = ClientSettings {
        name: text(row, "name").to_owned(),
        kind: if is_public { ClientKind::Public } else { ClientKind::Confidential },
        auth_method: if is_public { AuthMethod::None } else { AuthMethod::Any },
        redirect_uris: list(row, "callback_urls"),
        post_logout_redirect_uris: list(row, "logout_callback_urls"),
        pkce: if truth(row, "pkce_enabled") { Demand::Required } else { Demand::Optional },
        grants: vec![GrantType::AuthorizationCode, GrantType::RefreshToken, GrantType::DeviceCode],
        ..ClientSettings::default()
    };
    let is_restricted = truth(row, "is_group_restricted") || allowed.is_some();
    if is_restricted {
        let names = allowed.into_iter().flatten();
        settings.groups = names.filter_map(|name| GroupName::parse(name).ok()).collect();
        if settings.groups.is_empty() {
            settings.is_disabled = true;
            notes.push(
                "It is switched off, because none of its groups can be said here: choose the groups that may use it, \
                 then switch it on."
                    .to_owned(),
            );
        }
    }
    for (name, why) in [
        ("requires_reauthentication", "That it asks for a fresh sign-in each time is not carried over."),
        ("launch_url", "Its address for a list of apps is not needed here."),
    ] {
        if truth(row, name) || !text(row, name).is_empty() {
            notes.push(why.to_owned());
        }
    }
    if text(row, "credentials").contains("federatedIdentities") {
        notes.push("Federated identities do not exist here.".to_owned());
    }
    let hashes = hashes_of(row);
    if hashes.len() > 1 {
        notes.push("Of its secrets the first is carried over.".to_owned());
    }
    let secret = hashes.into_iter().next().map_or(FoundSecret::Nothing, |hash| {
        // New secrets are kept there as SHA-256, as they are here.
        match HEXLOWER_PERMISSIVE.decode(hash.as_bytes()).map(<[u8; 32]>::try_from) {
            Ok(Ok(digest)) => FoundSecret::Sha256(digest),
            _ => FoundSecret::Hash(hash),
        }
    });
    FoundClient { id, settings, secret, notes }
}

/// Returns the hashes of an app's secrets: the column of earlier versions, or those among its credentials.
fn hashes_of(row: &Row) -> Vec<String> {
    let credentials = match row.get("credentials") {
        Some(Value::String(json)) => serde_json::from_str(json).unwrap_or_default(),
        Some(value) => value.clone(),
        None => Value::Null,
    };
    let secrets = credentials.get("secrets").and_then(Value::as_array).into_iter().flatten();
    // One that runs out there would be good for ever here.
    let lasting = secrets.filter(|secret| secret.get("expiresAt").is_none_or(Value::is_null));
    let among = lasting.filter_map(|secret| secret.get("hash").and_then(Value::as_str));
    let mut hashes: Vec<String> =
        std::iter::once(text(row, "secret")).chain(among).map(str::to_owned).collect();
    hashes.retain(|hash| !hash.is_empty());
    hashes
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXPORT: &str = r#"{"provider":"sqlite","version":1,"tables":{
        "users":[{"id":"f4b89dc2-62fb-46bf-9f5f-c34f4eafe93e","username":"tim","first_name":"Tim","last_name":"Cook",
            "display_name":"","email":"tim@test.example","disabled":0,"is_admin":true,"locale":null}],
        "user_groups":[{"id":"g1","name":"developers","friendly_name":"Developers"}],
        "user_groups_users":[{"user_group_id":"g1","user_id":"f4b89dc2-62fb-46bf-9f5f-c34f4eafe93e"}],
        "custom_claims":[{"key":"quota","value":"5","user_id":"f4b89dc2-62fb-46bf-9f5f-c34f4eafe93e"}],
        "oidc_clients":[{"id":"c1","name":"Nextcloud","callback_urls":"[\"https://cloud.example/cb\"]",
            "logout_callback_urls":"null","is_public":false,"pkce_enabled":false,"credentials":"{}",
            "secret":"$2a$10$9dypwot8nGuCjT6wQWWpJOckZfRprhe2EkwpKizxS/fpVHrOLEJHC"}],
        "oidc_clients_allowed_user_groups":[{"oidc_client_id":"c1","user_group_id":"g1"}],
        "webauthn_credentials":[{"name":"Passkey 1","user_id":"f4b89dc2-62fb-46bf-9f5f-c34f4eafe93e"}],
        "api_keys":[{"key":"x"}],"new_table":[{"x":1}]}}"#;

    fn found(text: &str) -> Found {
        read(&SourceFile { name: "database.json".to_owned(), text: text.to_owned() })
    }

    #[test]
    fn people_groups_and_apps_of_an_export_are_read() {
        let found = found(EXPORT);
        let tim = &found.users[0];
        assert_eq!((tim.username.as_str(), tim.display_name.as_str()), ("tim", "Tim Cook"));
        assert_eq!(tim.groups, ["developers"]);
        assert_eq!(tim.subject.as_deref(), Some("f4b89dc2-62fb-46bf-9f5f-c34f4eafe93e"));
        assert!(tim.claims.contains(&("attributes.quota".to_owned(), "5".to_owned())));
        let app = &found.clients[0];
        assert_eq!(app.settings.redirect_uris, ["https://cloud.example/cb"]);
        assert_eq!(app.settings.groups, [GroupName::parse("developers").unwrap()]);
        assert!(matches!(&app.secret, FoundSecret::Hash(hash) if hash.starts_with("$2a$10$")));
        let kinds: Vec<&str> = found.lines.iter().map(|line| line.kind.as_str()).collect();
        assert_eq!(kinds, ["role", "passkey", "table", "table"]);
    }

    #[test]
    fn what_is_no_export_is_told() {
        for bad in ["", "[]", "{}", "{\"tables\":[]}", "PK\u{3}\u{4}", &"[".repeat(100_000)] {
            assert_eq!(found(bad).lines[0].why, NO_EXPORT);
        }
        assert!(found("{\"tables\":{\"users\":[1,null,{}]}}").users.len() == 1);
    }
}
