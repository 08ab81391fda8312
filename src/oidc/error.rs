//! Refusals of the OAuth endpoints: `{"error": …, "error_description": …}` (RFC 6749 section 5.2).

use http::{HeaderValue, StatusCode, header};
use serde_json::json;

use crate::accounts::users::AccountError;
use crate::http::problem::seconds_rounded_up;
use crate::http::{Problem, Reply};
use crate::store::{CommitError, StoreError};

/// A refusal. `code` is one of the registered names; `description` is a sentence for the developer of the app.
#[derive(Debug)]
pub struct OAuthError {
    /// 400, or 401 for a client that did not prove itself, or 5xx.
    pub status: StatusCode,
    /// The registered name, such as `invalid_grant`.
    pub code: &'static str,
    /// A sentence without `"` and `\`, which RFC 6749 does not allow in it.
    pub description: String,
    /// Headers to add, such as `WWW-Authenticate`.
    pub headers: Vec<(http::HeaderName, HeaderValue)>,
    /// The cause, for the log alone.
    pub private: Option<String>,
}

impl OAuthError {
    /// Makes a refusal with status 400.
    pub fn new(code: &'static str, description: impl Into<String>) -> Self {
        OAuthError {
            status: StatusCode::BAD_REQUEST,
            code,
            description: plain(&description.into()),
            headers: Vec::new(),
            private: None,
        }
    }

    /// The request lacks something, or says something twice or in a way that cannot be understood.
    pub fn invalid_request(description: impl Into<String>) -> Self {
        OAuthError::new("invalid_request", description)
    }

    /// The code, token or device is unknown, over, used, or somebody else's.
    pub fn invalid_grant(description: impl Into<String>) -> Self {
        OAuthError::new("invalid_grant", description)
    }

    /// The client did not prove who it is; the same words for every reason (RFC 6749 section 5.2).
    pub fn invalid_client() -> Self {
        let mut error = OAuthError::new(
            "invalid_client",
            "The client is unknown, or its secret or assertion is wrong, or it used another method than it registered.",
        );
        error.status = StatusCode::UNAUTHORIZED;
        error
    }

    /// Adds the challenge for a client that tried to prove itself in the header (RFC 6749 section 5.2). Others are given
    /// none: libraries would show it in place of the error.
    #[must_use]
    pub fn with_basic_challenge(mut self) -> Self {
        self.headers.push((header::WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"Doorward\"")));
        self
    }

    /// The access token of a protected resource is no good (RFC 6750 section 3.1, RFC 9449 section 7.1).
    pub fn invalid_token(scheme: &'static str, description: &str) -> Self {
        let mut error = OAuthError::new("invalid_token", description);
        error.status = StatusCode::UNAUTHORIZED;
        let challenge = match scheme {
            "DPoP" => "DPoP error=\"invalid_token\", algs=\"ES256 EdDSA PS256\"",
            _ => "Bearer error=\"invalid_token\"",
        };
        error.headers.push((header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge)));
        error
    }

    /// What is wrong with a DPoP proof, as a protected resource says it (RFC 9449 sections 7.1 and 9): with 401 and a
    /// challenge. What is no fault of the proof stays as it is.
    #[must_use]
    pub fn for_resource(mut self) -> Self {
        if self.status != StatusCode::BAD_REQUEST {
            return self;
        }
        self.status = StatusCode::UNAUTHORIZED;
        let challenge = match self.code {
            "use_dpop_nonce" => "DPoP error=\"use_dpop_nonce\", algs=\"ES256 EdDSA PS256\"",
            _ => "DPoP error=\"invalid_dpop_proof\", algs=\"ES256 EdDSA PS256\"",
        };
        self.headers.push((header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge)));
        self
    }

    /// Our own fault.
    pub fn server_error(private: impl Into<String>) -> Self {
        let mut error =
            OAuthError::new("server_error", "Something went wrong on the side of the sign-in server.");
        error.status = StatusCode::INTERNAL_SERVER_ERROR;
        error.private = Some(private.into());
        error
    }

    /// Answers with JSON that no cache keeps.
    pub fn reply(self) -> Reply {
        if let Some(cause) = &self.private {
            tracing::error!(code = self.code, cause, "an app's request failed");
        }
        let body = json!({ "error": self.code, "error_description": self.description });
        let mut reply = Reply::json(self.status, &body);
        for (name, value) in self.headers {
            reply.headers.append(name, value);
        }
        reply
    }
}

/// Leaves out what RFC 6749 section 4.1.2.1 does not allow in a description.
fn plain(text: &str) -> String {
    text.chars()
        .map(|character| match character {
            '"' => '\'',
            '\\' => '/',
            ' '..='~' => character,
            _ => '?',
        })
        .collect()
}

impl From<Problem> for OAuthError {
    fn from(problem: Problem) -> Self {
        let code = match problem.status {
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => "temporarily_unavailable",
            status if status.is_server_error() => "server_error",
            _ => "invalid_request",
        };
        let problem = problem.into_refusal();
        let mut error = OAuthError::new(code, problem.detail.english());
        error.status = problem.status;
        error.headers = problem.headers;
        error.private = problem.private;
        if let Some(wait) = problem.retry_after {
            let seconds = HeaderValue::from(seconds_rounded_up(wait).max(1));
            error.headers.push((header::RETRY_AFTER, seconds));
        }
        error
    }
}

impl From<CommitError> for OAuthError {
    fn from(error: CommitError) -> Self {
        Problem::from(error).into()
    }
}

impl From<AccountError> for OAuthError {
    fn from(error: AccountError) -> Self {
        Problem::from(error).into()
    }
}

impl From<StoreError> for OAuthError {
    fn from(error: StoreError) -> Self {
        Problem::from(error).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_description_holds_only_what_the_rfc_allows() {
        let error = OAuthError::invalid_request("\"a\\b\"\r\nc\u{e4}~");
        assert_eq!(error.description, "'a/b'??c?~");
    }
}
