//! Administration: protected domains.

use askama::Template;

use super::frame::Frame;
use super::parts::{Choice, FieldErrors};

/// One domain in the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DomainRow {
    /// `/admin/domains/{domain}`.
    pub url: String,
    /// The domain.
    pub domain: String,
    /// How its apps get their cookie.
    pub sentence: String,
}

/// `GET /admin/domains`.
///
/// Form: POST `/admin/domains`, fields `csrf`, `domain`, `cookie`, `portal`.
#[derive(Debug, Template)]
#[template(path = "admin/domains.html")]
pub struct Domains {
    /// Common parts.
    pub frame: Frame,
    /// The domains in their order.
    pub rows: Vec<DomainRow>,
    /// Whether the configuration says which there are.
    pub is_fixed: bool,
    /// The host where people sign in.
    pub portal_host: String,
    /// Prefilled domain.
    pub domain: String,
    /// Prefilled portal.
    pub portal: String,
    /// Kinds of cookies.
    pub cookies: Vec<Choice>,
    /// Errors on the fields.
    pub errors: FieldErrors,
}

/// `GET /admin/domains/{domain}`.
///
/// Forms: POST `url` (`csrf`, `cookie`, `portal`) and POST `url/remove` (`csrf`).
#[derive(Debug, Template)]
#[template(path = "admin/domain.html")]
pub struct Domain {
    /// Common parts; the title is the domain.
    pub frame: Frame,
    /// `/admin/domains/{domain}`.
    pub url: String,
    /// Whether the configuration says which domains there are.
    pub is_fixed: bool,
    /// The host where people sign in.
    pub portal_host: String,
    /// Prefilled portal.
    pub portal: String,
    /// Kinds of cookies.
    pub cookies: Vec<Choice>,
    /// Errors on the fields.
    pub errors: FieldErrors,
}
