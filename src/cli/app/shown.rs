//! `doorward app {list,show,claims}`.

use std::fmt::Write as _;

use serde_json::{Map, Value};

use crate::app::App;
use crate::cli::Failure;
use crate::oidc::scopes::Scopes;
use crate::oidc::{Client, ClientSettings};

/// Lists the apps, one a line.
pub(super) fn list(app: &App) -> String {
    let mut text = String::new();
    for client in app.oidc.clients() {
        let state = if client.settings.is_disabled { "disabled" } else { "active" };
        let kind = client.settings.kind.as_str();
        let _ = writeln!(text, "{}\t{kind}\t{state}\t{}", client.id, client.settings.name);
    }
    text
}

/// Writes an app as `apply` takes it: what differs from a new app.
pub(super) fn client(client: &Client) -> String {
    let secrets = match client.secret_count() {
        0 => "no secret".to_owned(),
        1 => "1 secret".to_owned(),
        count => format!("{count} secrets"),
    };
    let mut text = format!("# Added at {}; {secrets}", client.created_at.to_rfc3339());
    text.push_str(if client.registered_itself { "; registered itself.\n" } else { ".\n" });
    text.push_str("[[app]]\n");
    let _ = writeln!(text, "id = {}", toml_value(&client.id.as_str().into()));
    let usual = members(&ClientSettings::default());
    for (name, value) in members(&client.settings) {
        if usual.get(&name) != Some(&value) && !value.is_null() {
            let _ = writeln!(text, "{name} = {}", toml_value(&value));
        }
    }
    text
}

/// Shows what an app would be told of a person.
pub(super) fn claims(app: &App, client: &Client, user: &str, scopes: &[String]) -> Result<String, Failure> {
    let found = app.accounts.resolve(user).map_err(|error| Failure::new(error.to_string()))?;
    let user = found.ok_or_else(|| Failure::new(format!("There is no account “{user}”.")))?;
    let asked = Scopes::parse(&scopes.join(" "))
        .ok_or_else(|| Failure::usage("A scope is a word of plain letters, such as email."))?;
    let preview = app.oidc.preview(client, &user, Some(&asked).filter(|asked| !asked.is_empty()));
    let preview = preview.map_err(|error| Failure::new(error.description))?;
    let mut text = format!("# Scopes: {}\n", preview.scopes);
    if !preview.is_admitted {
        let _ = writeln!(
            text,
            "# {} may not use {}: nothing of this is told.",
            user.username, client.settings.name
        );
    }
    for (title, claims) in [("id_token", &preview.id_token), ("userinfo", &preview.userinfo)] {
        let _ = writeln!(text, "[{title}]");
        for (name, value) in claims {
            let _ = writeln!(text, "{} = {}", toml_value(&Value::String(name.clone())), toml_value(value));
        }
    }
    Ok(text)
}

/// Returns settings by name.
pub(super) fn members(settings: &ClientSettings) -> Map<String, Value> {
    match serde_json::to_value(settings) {
        Ok(Value::Object(members)) => members,
        _ => Map::new(),
    }
}

/// Writes a value in TOML: texts, numbers and lists are the same as in JSON.
fn toml_value(value: &Value) -> String {
    match value {
        Value::Array(list) => {
            let items: Vec<String> = list.iter().map(toml_value).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Object(members) => {
            let pairs = members.iter().filter(|(_, value)| !value.is_null());
            let items: Vec<String> = pairs
                .map(|(name, value)| {
                    format!("{} = {}", toml_value(&Value::String(name.clone())), toml_value(value))
                })
                .collect();
            format!("{{ {} }}", items.join(", "))
        }
        plain => plain.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_shown_is_toml() {
        let value =
            json!({"a \"b\"": ["x\n\\y", "é"], "keys": [{"kty": "EC", "n": 1, "no": null}], "is": true});
        let text = format!("value = {}", toml_value(&value));
        let read: toml::Table = toml::from_str(&text).unwrap();
        let mut expected = value;
        expected["keys"][0].as_object_mut().unwrap().remove("no");
        assert_eq!(serde_json::to_value(&read["value"]).unwrap(), expected);
    }
}
