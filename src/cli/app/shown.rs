//! `doorward app {list,show}`.

use std::fmt::Write as _;

use serde_json::{Map, Value};

use crate::app::App;
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
