//! Claims: what apps learn of a person, by scope (OIDC Core section 5.4) or by name (section 5.5). Pure.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::scopes::Scopes;
use crate::accounts::ProfileRecord;
use crate::accounts::User;

/// The longest `claims` parameter.
const LONGEST: usize = 8 * 1024;
/// The most claims that are asked for by name.
const MOST: usize = 64;

/// Claims that were asked for by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClaimsRequest {
    /// Those for userinfo.
    pub userinfo: Vec<String>,
    /// Those for the id_token.
    pub id_token: Vec<String>,
}

/// Stands among the claims for the id_token where the level of phishing resistance was asked for; no claim has a space.
const PHR: &str = "acr phr";

impl ClaimsRequest {
    /// Notes that the level of phishing resistance was asked for, which the answer then says if it was reached.
    pub(super) fn and_phr(mut self) -> Self {
        self.id_token.push(PHR.to_owned());
        self
    }

    /// Returns what is left where `scopes` alone are disclosed: an app or an administrator may widen the scopes of a
    /// client later, and nobody agreed to that (OA-14).
    pub(super) fn within(&self, scopes: &Scopes, custom: &[CustomScope]) -> Self {
        let is_covered = |name: &&String| {
            *name == PHR
                || BY_SCOPE.iter().any(|(scope, claims)| scopes.has(scope) && claims.contains(&name.as_str()))
                || custom.iter().any(|(scope, claims)| {
                    scopes.has(scope) && claims.iter().any(|(claim, _)| claim == *name)
                })
        };
        let kept = |names: &[String]| names.iter().filter(is_covered).cloned().collect();
        ClaimsRequest { userinfo: kept(&self.userinfo), id_token: kept(&self.id_token) }
    }

    /// Tells whether the level of phishing resistance was asked for.
    pub(super) fn asks_phr(&self) -> bool {
        self.id_token.iter().any(|name| name == PHR)
    }
}

/// What a `claims` parameter says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ParsedClaims {
    /// The claims by name.
    pub request: ClaimsRequest,
    /// The values of `acr` one of which must be reached.
    pub essential_acr: Vec<String>,
    /// The values of `acr` that would be liked.
    pub voluntary_acr: Vec<String>,
    /// The person who must be signed in.
    pub sub: Option<String>,
}

/// Reads the `claims` parameter. `None` if it is not what OIDC Core section 5.5 describes.
pub fn parse(text: &str) -> Option<ParsedClaims> {
    if text.len() > LONGEST {
        return None;
    }
    let Value::Object(document) = serde_json::from_str(text).ok()? else { return None };
    let mut parsed = ParsedClaims::default();
    parsed.request.userinfo = names(document.get("userinfo"))?;
    parsed.request.id_token = names(document.get("id_token"))?;
    for place in ["id_token", "userinfo"] {
        let Some(Value::Object(claims)) = document.get(place) else { continue };
        if let Some(acr) = claims.get("acr").and_then(Value::as_object) {
            let is_essential = acr.get("essential").and_then(Value::as_bool).unwrap_or(false);
            let list = if is_essential { &mut parsed.essential_acr } else { &mut parsed.voluntary_acr };
            list.extend(texts(acr.get("value"), acr.get("values"))?);
        }
        if let Some(sub) = claims.get("sub").and_then(Value::as_object).and_then(|sub| sub.get("value")) {
            parsed.sub = Some(sub.as_str()?.to_owned());
        }
    }
    Some(parsed)
}

/// Returns the names of one place, each with a value that is null or an object.
fn names(place: Option<&Value>) -> Option<Vec<String>> {
    match place {
        None | Some(Value::Null) => Some(Vec::new()),
        Some(Value::Object(claims)) if claims.len() <= MOST => {
            let is_sound = |value: &Value| match value {
                Value::Null => true,
                Value::Object(wish) => wish.get("essential").is_none_or(Value::is_boolean),
                _ => false,
            };
            claims.values().all(is_sound).then(|| claims.keys().cloned().collect())
        }
        Some(_) => None,
    }
}

fn texts(one: Option<&Value>, several: Option<&Value>) -> Option<Vec<String>> {
    let mut found = Vec::new();
    if let Some(value) = one {
        found.push(value.as_str()?.to_owned());
    }
    if let Some(values) = several {
        for value in values.as_array()? {
            found.push(value.as_str()?.to_owned());
        }
    }
    Some(found)
}

/// A scope that an administrator made up: its name, and claim and attribute of each claim it shows.
pub type CustomScope = (String, Vec<(String, String)>);

/// Returns the scopes that `scopes` and the claims asked for by name disclose together, as far as the client may ask for
/// them at all. People agree to this set: a claim by name is no way around the question (OA-14).
pub fn disclosed(
    scopes: &Scopes,
    request: &ClaimsRequest,
    allowed: &Scopes,
    custom: &[CustomScope],
) -> Scopes {
    let names = || request.userinfo.iter().chain(&request.id_token);
    let standard = BY_SCOPE
        .iter()
        .filter(|(_, claims)| names().any(|name| claims.contains(&name.as_str())))
        .map(|(scope, _)| (*scope).to_owned());
    let own = custom
        .iter()
        .filter(|(_, claims)| names().any(|name| claims.iter().any(|(claim, _)| claim == name)))
        .map(|(scope, _)| scope.clone());
    let by_name = Scopes::new(standard.chain(own)).within(allowed);
    Scopes::new(scopes.iter().chain(by_name.iter()).map(str::to_owned))
}

/// The person whose claims are wanted.
pub struct Person<'a> {
    /// The account.
    pub user: &'a User,
    /// What else is known of them.
    pub profile: Option<&'a ProfileRecord>,
    /// The scopes that an administrator made up.
    pub custom: &'a [CustomScope],
}

/// The claims of the scope `profile` (OIDC Core section 5.4).
const PROFILE: [&str; 14] = [
    "name",
    "family_name",
    "given_name",
    "middle_name",
    "nickname",
    "preferred_username",
    "profile",
    "picture",
    "website",
    "gender",
    "birthdate",
    "zoneinfo",
    "locale",
    "updated_at",
];

/// The claims of each scope that everybody knows.
const BY_SCOPE: [(&str, &[&str]); 5] = [
    ("profile", &PROFILE),
    ("email", &["email", "email_verified"]),
    ("address", &["address"]),
    ("phone", &["phone_number", "phone_number_verified"]),
    ("groups", &["groups"]),
];

/// Returns the claims of the scopes that everybody knows.
pub fn standard() -> impl Iterator<Item = &'static str> {
    BY_SCOPE.iter().flat_map(|(_, claims)| claims.iter().copied())
}

impl Person<'_> {
    /// Adds the claims that `scopes` cover to `claims`. What is not known is left out, never null (OIDC Core section
    /// 5.3.2).
    pub fn add_by_scope(&self, scopes: &Scopes, claims: &mut Map<String, Value>) {
        for (scope, names) in BY_SCOPE {
            if scopes.has(scope) {
                self.add(names.iter().copied(), claims);
            }
        }
        for (_, shown) in self.custom.iter().filter(|(scope, _)| scopes.has(scope)) {
            for (claim, attribute) in shown {
                if let Some(value) = self.attribute(attribute) {
                    claims.entry(claim.clone()).or_insert_with(|| value.into());
                }
            }
        }
    }

    /// Adds single claims that were asked for by name, as far as the scopes that the client may ask for at all cover
    /// them.
    pub fn add_by_name(&self, names: &[String], allowed: &Scopes, claims: &mut Map<String, Value>) {
        let mut covered = Map::new();
        self.add_by_scope(allowed, &mut covered);
        for name in names {
            if let Some(value) = covered.remove(name) {
                claims.insert(name.clone(), value);
            }
        }
    }

    fn add<'n>(&self, names: impl Iterator<Item = &'n str>, claims: &mut Map<String, Value>) {
        for name in names {
            if let Some(value) = self.claim(name) {
                claims.insert(name.to_owned(), value);
            }
        }
    }

    fn attribute(&self, name: &str) -> Option<String> {
        let attributes = &self.profile?.attributes;
        let found = attributes.iter().find(|(own, _)| own.as_str() == name);
        found.map(|(_, value)| value.as_str().to_owned())
    }

    fn claim(&self, name: &str) -> Option<Value> {
        let user = self.user;
        Some(match name {
            "name" => user.display_name.as_str().into(),
            "preferred_username" => user.username.as_str().into(),
            "email" => user.email.as_ref()?.as_str().into(),
            "email_verified" => {
                user.email.as_ref()?;
                self.profile.is_some_and(|profile| profile.email_verified).into()
            }
            "groups" => json!(user.groups.iter().map(|group| group.as_str()).collect::<Vec<_>>()),
            "updated_at" => {
                self.profile.map_or(user.created_at, |profile| profile.updated_at).as_secs().into()
            }
            "address" => {
                let parts = self.profile?.address.parts();
                let parts: Map<String, Value> =
                    parts.map(|(part, text)| (part.to_owned(), text.into())).collect();
                if parts.is_empty() {
                    return None;
                }
                parts.into()
            }
            "phone_number_verified" => {
                let profile = self.profile?;
                profile.phone_number.as_ref()?;
                profile.phone_number_verified.into()
            }
            other => self.profile?.texts().into_iter().find(|(own, _)| *own == other)?.1?.into(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// OA-14: what is asked for by name counts as the scope that discloses it.
    #[test]
    fn a_claim_by_name_discloses_its_scope() {
        let scopes = |text: &str| Scopes::parse(text).unwrap();
        let request =
            ClaimsRequest { userinfo: vec!["email".to_owned()], id_token: vec!["badge".to_owned()] };
        let custom = [("badges".to_owned(), vec![("badge".to_owned(), "badge".to_owned())])];
        let allowed = scopes("openid email badges profile");
        assert_eq!(disclosed(&scopes("openid"), &request, &allowed, &custom), scopes("openid email badges"));
        assert_eq!(disclosed(&scopes("openid"), &request, &scopes("openid"), &custom), scopes("openid"));
    }

    /// OA-14: what no disclosed scope covers is forgotten; the mark of `phr` is no claim and stays.
    #[test]
    fn claims_by_name_are_kept_within_what_was_disclosed() {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let request = ClaimsRequest {
            userinfo: names(&["email", "badge", "phone_number"]),
            id_token: names(&["groups", "acr", "email"]),
        }
        .and_phr();
        let custom = [("badges".to_owned(), vec![("badge".to_owned(), "badge".to_owned())])];
        let kept = request.within(&Scopes::parse("openid email badges").unwrap(), &custom);
        assert_eq!((kept.userinfo, kept.id_token), (names(&["email", "badge"]), names(&["email", PHR])));
        let kept = request.within(&Scopes::parse("openid").unwrap(), &custom);
        assert_eq!((kept.userinfo, kept.id_token), (Vec::new(), names(&[PHR])));
    }

    #[test]
    fn the_claims_parameter_is_read_strictly() {
        let parsed = parse(
            r#"{"userinfo":{"name":{"essential":true},"email":null},
                "id_token":{"acr":{"essential":true,"values":["a","b"]},"sub":{"value":"x"}},"other":{}}"#,
        )
        .unwrap();
        assert_eq!(parsed.request.userinfo, ["email", "name"]);
        assert_eq!(parsed.essential_acr, ["a", "b"]);
        assert_eq!(parsed.sub.as_deref(), Some("x"));
        for bad in [
            "",
            "[]",
            "1",
            r#"{"userinfo":[]}"#,
            r#"{"userinfo":{"name":1}}"#,
            r#"{"userinfo":{"name":{"essential":"yes"}}}"#,
            r#"{"id_token":{"acr":{"values":"a"}}}"#,
            r#"{"id_token":{"sub":{"value":1}}}"#,
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
        assert_eq!(parse(&format!(r#"{{"x":"{}"}}"#, "a".repeat(9000))), None);
    }
}
