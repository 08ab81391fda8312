//! The parameters of a request to an OAuth endpoint, from a query or a form.
//!
//! A parameter without a value counts as absent, and one that comes twice is refused (RFC 6749 section 3.1), except
//! `resource` (RFC 8707 section 2).

use crate::http::{form, json};

use super::error::OAuthError;

/// The parameter that may come several times.
const REPEATABLE: &str = "resource";
/// The longest value of a parameter that is not an assertion, a token or a list.
pub const LONGEST: usize = 4096;

/// Parameters in the order they came. Wiped when dropped: they carry secrets.
#[derive(Default)]
pub struct Params(Vec<(String, String)>);

impl Params {
    /// Reads a query or a form body.
    ///
    /// # Errors
    /// `invalid_request` for bytes that are not UTF-8 and for too many parameters.
    pub fn parse(bytes: &[u8]) -> Result<Params, OAuthError> {
        let mut pairs =
            form::pairs(bytes).map_err(|problem| OAuthError::invalid_request(problem.detail.english()))?;
        pairs.retain(|(_, value)| !value.is_empty());
        Ok(Params(pairs))
    }

    /// Reads the body of a POST, which must be a form; parameters in the query are refused (OA-08).
    ///
    /// # Errors
    /// `invalid_request`.
    pub fn of_form(request: &crate::http::Request) -> Result<Params, OAuthError> {
        if !json::has_content_type(&request.headers, "application/x-www-form-urlencoded") {
            return Err(OAuthError::invalid_request(
                "Send the parameters as a form (Content-Type: application/x-www-form-urlencoded).",
            ));
        }
        if request.uri.query().is_some_and(|query| !query.is_empty()) {
            return Err(OAuthError::invalid_request("Send the parameters in the body, not in the address."));
        }
        let params = Params::parse(&request.body)?;
        params.refuse_duplicates()?;
        Ok(params)
    }

    /// Returns a parameter.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Returns a parameter if it came exactly once.
    pub fn once(&self, name: &str) -> Option<&str> {
        let mut values = self.all(name);
        let first = values.next();
        if values.next().is_some() { None } else { first }
    }

    /// Returns every value of a parameter.
    pub fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Returns a parameter that the request must have.
    ///
    /// # Errors
    /// `invalid_request` that names it.
    pub fn require(&self, name: &str) -> Result<&str, OAuthError> {
        self.get(name).ok_or_else(|| OAuthError::invalid_request(format!("The parameter {name} is missing.")))
    }

    /// Refuses a parameter that came twice (OA-08).
    ///
    /// # Errors
    /// `invalid_request` that names it.
    pub fn refuse_duplicates(&self) -> Result<(), OAuthError> {
        for (index, (name, _)) in self.0.iter().enumerate() {
            if name != REPEATABLE && self.0.iter().skip(index + 1).any(|(other, _)| other == name) {
                let shown: String = name.chars().take(40).collect();
                return Err(OAuthError::invalid_request(format!("The parameter {shown} came twice.")));
            }
        }
        Ok(())
    }

    /// Returns all of them.
    pub fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Writes them as a query.
    pub fn to_query(&self) -> String {
        form_urlencoded::Serializer::new(String::new()).extend_pairs(self.pairs()).finish()
    }
}

impl From<Vec<(String, String)>> for Params {
    fn from(pairs: Vec<(String, String)>) -> Self {
        Params(pairs)
    }
}

impl Drop for Params {
    fn drop(&mut self) {
        use zeroize::Zeroize as _;
        for (_, value) in &mut self.0 {
            value.zeroize();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// OA-08
    #[test]
    fn a_parameter_that_comes_twice_is_refused_except_resource() {
        let params = Params::parse(b"a=1&resource=x&resource=y&b=&b=2").unwrap();
        assert!(params.refuse_duplicates().is_ok(), "without a value it counts as absent");
        assert_eq!(params.all("resource").count(), 2);
        assert_eq!(params.get("b"), Some("2"));
        let twice = Params::parse(b"client_id=a&client_id=b").unwrap();
        assert!(twice.refuse_duplicates().is_err());
        assert_eq!(twice.once("client_id"), None);
    }
}
