//! Programs that bring a credential in the `Authorization` header of the app's request. So far none is known, and the
//! cookie decides.

use http::header;

use super::asker::Credential;
use super::{Access, Inquiry};
use crate::http::Request;

/// Tells at once what the credential of a proxied request comes to.
pub fn identify(_access: &Access, request: &Request, _inquiry: &Inquiry<'_>) -> Credential {
    if request.headers.contains_key(header::AUTHORIZATION) { Credential::Unknown } else { Credential::None }
}

/// Proves a credential that takes time to prove. Called only after [`identify`] returned [`Credential::Unproven`].
pub async fn prove(access: &Access, request: &Request, inquiry: &Inquiry<'_>) -> Credential {
    identify(access, request, inquiry)
}
