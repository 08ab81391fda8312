//! What a person is asked to agree to: in plain words, and with the values that the app would read.

use serde_json::{Map, Value};

use super::Oidc;
use super::claims::Person;
use super::scopes::Scopes;
use crate::accounts::User;
use crate::accounts::users::AccountError;
use crate::kernel::text::DisplayName;
use crate::views::oidc::Item;
use crate::words::Words;

/// The longest value that a page shows, in characters.
const LONGEST: usize = 160;

impl Oidc {
    /// Says what `scopes` let an app learn of this person, or do.
    pub(super) fn items(&self, t: Words, user: &User, scopes: &Scopes) -> Result<Vec<Item>, AccountError> {
        let profile = self.profile(user)?;
        let custom = self.custom_scopes();
        let person = Person { user, profile: profile.as_ref(), custom: &custom };
        let item = |scope: &str| {
            let mut claims = Map::new();
            person.add_by_scope(&Scopes::new([scope.to_owned()]), &mut claims);
            in_words(t, scope).map(|text| Item { text, value: values(&claims) })
        };
        Ok(scopes.iter().filter_map(item).collect())
    }
}

/// Says in plain words what a scope shows.
pub(super) fn in_words(t: Words, scope: &str) -> Option<String> {
    Some(match scope {
        "openid" => return None,
        "profile" => t.oidc_profile().to_owned(),
        "email" => t.oidc_email().to_owned(),
        "address" => t.oidc_address().to_owned(),
        "phone" => t.oidc_phone().to_owned(),
        "groups" => t.oidc_groups().to_owned(),
        "doorward.forward_auth" | "authelia.bearer.authz" => t.oidc_forward_auth().to_owned(),
        "offline_access" => t.oidc_offline().to_owned(),
        other => format!(
            "“{}”",
            DisplayName::parse(other).map_or_else(|_| "?".to_owned(), |name| name.to_string())
        ),
    })
}

/// Returns the texts among the values, each once. Yes, no and moments say nothing to a person.
fn values(claims: &Map<String, Value>) -> String {
    let mut texts: Vec<&str> = Vec::new();
    for value in claims.values() {
        collect(value, &mut texts);
    }
    let joined = texts.join(" · ").replace(['\r', '\n'], " ");
    match joined.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", joined.get(..end).unwrap_or_default()),
        None => joined,
    }
}

fn collect<'a>(value: &'a Value, texts: &mut Vec<&'a str>) {
    match value {
        Value::String(text) if !texts.contains(&text.as_str()) => texts.push(text),
        Value::Array(list) => list.iter().for_each(|value| collect(value, texts)),
        Value::Object(parts) => parts.values().for_each(|value| collect(value, texts)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_are_shown_once_and_not_without_end() {
        let shown = |value: Value| values(value.as_object().unwrap());
        assert_eq!(shown(json!({"name": "Ana", "nickname": "Ana", "email_verified": true})), "Ana");
        assert_eq!(shown(json!({"groups": ["family", "photos"]})), "family · photos");
        assert_eq!(
            shown(json!({"address": {"formatted": "Linden 1\nTown"}, "updated_at": 5})),
            "Linden 1 Town"
        );
        assert_eq!(shown(json!({"name": "ä".repeat(500)})).chars().count(), LONGEST + 1);
        assert_eq!(shown(json!({})), "");
    }
}
