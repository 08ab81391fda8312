//! What apps may be told of a person beyond name and address (OpenID Connect Core section 5.1), and who may change what
//! of it. Pure.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::claims::{
    AddressText, AttributeName, AttributeValue, Birthdate, Locale, PersonText, PhoneNumber, SecureUrl,
    Subject, WebUrl, ZoneInfo,
};
use crate::kernel::text::TextError;
use crate::kernel::time::Timestamp;
use crate::words::Words;

/// The most custom attributes of one person.
pub const MOST_ATTRIBUTES: usize = 32;

/// A postal address (OpenID Connect Core section 5.1.1).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Address {
    /// The whole address as on a label; may have several lines.
    pub formatted: Option<AddressText>,
    /// Street, house number and the like; may have several lines.
    pub street_address: Option<AddressText>,
    /// City.
    pub locality: Option<AddressText>,
    /// State, province or region.
    pub region: Option<AddressText>,
    /// Postal code.
    pub postal_code: Option<AddressText>,
    /// Country.
    pub country: Option<AddressText>,
}

impl Address {
    /// Tells whether no part is known.
    pub fn is_empty(&self) -> bool {
        *self == Address::default()
    }

    /// Returns the parts that are known, by the names of their claims.
    pub fn parts(&self) -> impl Iterator<Item = (&'static str, &str)> {
        AddressPart::ALL.into_iter().filter_map(|part| Some((part.as_str(), part.of(self)?.as_str())))
    }
}

/// A part of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressPart {
    /// `formatted`.
    Formatted,
    /// `street_address`.
    StreetAddress,
    /// `locality`.
    Locality,
    /// `region`.
    Region,
    /// `postal_code`.
    PostalCode,
    /// `country`.
    Country,
}

impl AddressPart {
    /// Every part.
    pub const ALL: [AddressPart; 6] = [
        AddressPart::Formatted,
        AddressPart::StreetAddress,
        AddressPart::Locality,
        AddressPart::Region,
        AddressPart::PostalCode,
        AddressPart::Country,
    ];

    /// Returns the name of the claim.
    pub fn as_str(self) -> &'static str {
        match self {
            AddressPart::Formatted => "formatted",
            AddressPart::StreetAddress => "street_address",
            AddressPart::Locality => "locality",
            AddressPart::Region => "region",
            AddressPart::PostalCode => "postal_code",
            AddressPart::Country => "country",
        }
    }

    fn of(self, address: &Address) -> Option<&AddressText> {
        match self {
            AddressPart::Formatted => address.formatted.as_ref(),
            AddressPart::StreetAddress => address.street_address.as_ref(),
            AddressPart::Locality => address.locality.as_ref(),
            AddressPart::Region => address.region.as_ref(),
            AddressPart::PostalCode => address.postal_code.as_ref(),
            AddressPart::Country => address.country.as_ref(),
        }
    }

    fn place(self, address: &mut Address) -> &mut Option<AddressText> {
        match self {
            AddressPart::Formatted => &mut address.formatted,
            AddressPart::StreetAddress => &mut address.street_address,
            AddressPart::Locality => &mut address.locality,
            AddressPart::Region => &mut address.region,
            AddressPart::PostalCode => &mut address.postal_code,
            AddressPart::Country => &mut address.country,
        }
    }

    fn has_lines(self) -> bool {
        matches!(self, AddressPart::Formatted | AddressPart::StreetAddress)
    }
}

/// What is known of a person besides the user record. In the store `address` and each of `attributes` have rows of their
/// own, because values there are small.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProfileRecord {
    /// First name.
    pub given_name: Option<PersonText>,
    /// Last name.
    pub family_name: Option<PersonText>,
    /// Middle name.
    pub middle_name: Option<PersonText>,
    /// What friends say.
    pub nickname: Option<PersonText>,
    /// A page about the person.
    pub profile: Option<SecureUrl>,
    /// A picture of the person.
    pub picture: Option<SecureUrl>,
    /// The person's own site.
    pub website: Option<WebUrl>,
    /// The gender, in the person's own words.
    pub gender: Option<PersonText>,
    /// The day of birth.
    pub birthdate: Option<Birthdate>,
    /// The time zone.
    pub zoneinfo: Option<ZoneInfo>,
    /// The language.
    pub locale: Option<Locale>,
    /// The telephone number.
    pub phone_number: Option<PhoneNumber>,
    /// Whether an administrator vouches for the number; false without one.
    pub phone_number_verified: bool,
    /// Whether an administrator vouches for the address of the user record; false without one.
    pub email_verified: bool,
    /// The `sub` that apps know the person by, if it came from another sign-in server; otherwise it is the user id.
    pub subject: Option<Subject>,
    /// When name, address or anything here was last changed.
    pub updated_at: Timestamp,
    /// Counts the changes, so that no two states of a profile read the same in the store.
    pub revision: u64,
    /// The postal address.
    #[serde(skip)]
    pub address: Address,
    /// Custom attributes, by name.
    #[serde(skip)]
    pub attributes: BTreeMap<AttributeName, AttributeValue>,
}

impl ProfileRecord {
    /// Returns the texts that the claims of these names hold; flags, subject, address and attributes are not among them.
    pub fn texts(&self) -> [(&'static str, Option<&str>); 12] {
        [
            ("given_name", self.given_name.as_ref().map(PersonText::as_str)),
            ("family_name", self.family_name.as_ref().map(PersonText::as_str)),
            ("middle_name", self.middle_name.as_ref().map(PersonText::as_str)),
            ("nickname", self.nickname.as_ref().map(PersonText::as_str)),
            ("profile", self.profile.as_ref().map(SecureUrl::as_str)),
            ("picture", self.picture.as_ref().map(SecureUrl::as_str)),
            ("website", self.website.as_ref().map(WebUrl::as_str)),
            ("gender", self.gender.as_ref().map(PersonText::as_str)),
            ("birthdate", self.birthdate.as_ref().map(Birthdate::as_str)),
            ("zoneinfo", self.zoneinfo.as_ref().map(ZoneInfo::as_str)),
            ("locale", self.locale.as_ref().map(Locale::as_str)),
            ("phone_number", self.phone_number.as_ref().map(PhoneNumber::as_str)),
        ]
    }

    /// Makes all edits. A number that changes is no longer verified, unless the same edits say so; without a number there
    /// is nothing to verify.
    pub fn apply(&mut self, edits: &[Edit]) {
        let number = self.phone_number.clone();
        for edit in edits {
            edit.apply(self);
        }
        let is_vouched = edits.iter().any(|edit| matches!(edit, Edit::PhoneNumberVerified(true)));
        if self.phone_number.is_none() || (self.phone_number != number && !is_vouched) {
            self.phone_number_verified = false;
        }
    }
}

/// A change of one claim; `None` removes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Edit {
    /// `given_name`.
    GivenName(Option<PersonText>),
    /// `family_name`.
    FamilyName(Option<PersonText>),
    /// `middle_name`.
    MiddleName(Option<PersonText>),
    /// `nickname`.
    Nickname(Option<PersonText>),
    /// `profile`.
    Profile(Option<SecureUrl>),
    /// `picture`.
    Picture(Option<SecureUrl>),
    /// `website`.
    Website(Option<WebUrl>),
    /// `gender`.
    Gender(Option<PersonText>),
    /// `birthdate`.
    Birthdate(Option<Birthdate>),
    /// `zoneinfo`.
    ZoneInfo(Option<ZoneInfo>),
    /// `locale`.
    Locale(Option<Locale>),
    /// `phone_number`.
    PhoneNumber(Option<PhoneNumber>),
    /// `phone_number_verified`.
    PhoneNumberVerified(bool),
    /// `email_verified`.
    EmailVerified(bool),
    /// A part of `address`.
    Address(AddressPart, Option<AddressText>),
    /// All of `address`, removed.
    NoAddress,
    /// One of `attributes`.
    Attribute(AttributeName, Option<AttributeValue>),
    /// All of `attributes`, removed.
    NoAttributes,
    /// `subject`.
    Subject(Option<Subject>),
}

/// Why an edit was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EditFault {
    /// There is no such claim.
    Unknown,
    /// The value is not one of this claim.
    Value(&'static str, TextError),
}

fn optional<T>(
    name: &'static str,
    value: Option<&str>,
    parse: fn(&str) -> Result<T, TextError>,
) -> Result<Option<T>, EditFault> {
    value.map(parse).transpose().map_err(|error| EditFault::Value(name, error))
}

fn flag(name: &'static str, value: Option<&str>) -> Result<bool, EditFault> {
    match value {
        Some("true") => Ok(true),
        Some("false") | None => Ok(false),
        Some(_) => Err(EditFault::Value(name, TextError(Words::accounts_claim_flag))),
    }
}

impl Edit {
    /// Parses a claim and its new value; `None` removes it. Members are named `address.locality` and `attributes.quota`.
    ///
    /// # Errors
    /// An unknown name, or a value that the claim cannot have.
    pub fn parse(key: &str, value: Option<&str>) -> Result<Edit, EditFault> {
        match key.split_once('.') {
            Some(("address", part)) => Edit::parse_address(part, value),
            Some(("attributes", name)) => {
                let name =
                    AttributeName::parse(name).map_err(|error| EditFault::Value("attributes", error))?;
                Ok(Edit::Attribute(name, optional("attributes", value, AttributeValue::parse)?))
            }
            Some(_) => Err(EditFault::Unknown),
            None => Edit::parse_claim(key, value),
        }
    }

    fn parse_address(part: &str, value: Option<&str>) -> Result<Edit, EditFault> {
        let part =
            AddressPart::ALL.into_iter().find(|known| known.as_str() == part).ok_or(EditFault::Unknown)?;
        let text = optional("address", value, AddressText::parse)?;
        if !part.has_lines() && text.as_ref().is_some_and(|text| text.as_str().contains('\n')) {
            return Err(EditFault::Value("address", TextError(Words::accounts_claim_address_lines)));
        }
        Ok(Edit::Address(part, text))
    }

    fn parse_claim(key: &str, value: Option<&str>) -> Result<Edit, EditFault> {
        let members = |name, none| match value {
            None => Ok(none),
            Some(_) => Err(EditFault::Value(name, TextError(Words::accounts_claim_members))),
        };
        Ok(match key {
            "given_name" => Edit::GivenName(optional("given_name", value, PersonText::parse)?),
            "family_name" => Edit::FamilyName(optional("family_name", value, PersonText::parse)?),
            "middle_name" => Edit::MiddleName(optional("middle_name", value, PersonText::parse)?),
            "nickname" => Edit::Nickname(optional("nickname", value, PersonText::parse)?),
            "profile" => Edit::Profile(optional("profile", value, SecureUrl::parse)?),
            "picture" => Edit::Picture(optional("picture", value, SecureUrl::parse)?),
            "website" => Edit::Website(optional("website", value, WebUrl::parse)?),
            "gender" => Edit::Gender(optional("gender", value, PersonText::parse)?),
            "birthdate" => Edit::Birthdate(optional("birthdate", value, Birthdate::parse)?),
            "zoneinfo" => Edit::ZoneInfo(optional("zoneinfo", value, ZoneInfo::parse)?),
            "locale" => Edit::Locale(optional("locale", value, Locale::parse)?),
            "phone_number" => Edit::PhoneNumber(optional("phone_number", value, PhoneNumber::parse)?),
            "phone_number_verified" => Edit::PhoneNumberVerified(flag("phone_number_verified", value)?),
            "email_verified" => Edit::EmailVerified(flag("email_verified", value)?),
            "subject" => Edit::Subject(optional("subject", value, Subject::parse)?),
            "address" => members("address", Edit::NoAddress)?,
            "attributes" => members("attributes", Edit::NoAttributes)?,
            _ => return Err(EditFault::Unknown),
        })
    }

    /// Returns the name of the claim, without the member.
    pub fn claim(&self) -> &'static str {
        match self {
            Edit::GivenName(_) => "given_name",
            Edit::FamilyName(_) => "family_name",
            Edit::MiddleName(_) => "middle_name",
            Edit::Nickname(_) => "nickname",
            Edit::Profile(_) => "profile",
            Edit::Picture(_) => "picture",
            Edit::Website(_) => "website",
            Edit::Gender(_) => "gender",
            Edit::Birthdate(_) => "birthdate",
            Edit::ZoneInfo(_) => "zoneinfo",
            Edit::Locale(_) => "locale",
            Edit::PhoneNumber(_) => "phone_number",
            Edit::PhoneNumberVerified(_) => "phone_number_verified",
            Edit::EmailVerified(_) => "email_verified",
            Edit::Address(..) | Edit::NoAddress => "address",
            Edit::Attribute(..) | Edit::NoAttributes => "attributes",
            Edit::Subject(_) => "subject",
        }
    }

    /// Tells whether only an administrator may change this: apps take it for the word of who runs the server (OA-19).
    pub fn is_for_administrators(&self) -> bool {
        matches!(
            self,
            Edit::PhoneNumberVerified(_)
                | Edit::EmailVerified(_)
                | Edit::Attribute(..)
                | Edit::NoAttributes
                | Edit::Subject(_)
        )
    }

    fn apply(&self, profile: &mut ProfileRecord) {
        match self {
            Edit::GivenName(name) => profile.given_name.clone_from(name),
            Edit::FamilyName(name) => profile.family_name.clone_from(name),
            Edit::MiddleName(name) => profile.middle_name.clone_from(name),
            Edit::Nickname(name) => profile.nickname.clone_from(name),
            Edit::Profile(url) => profile.profile.clone_from(url),
            Edit::Picture(url) => profile.picture.clone_from(url),
            Edit::Website(url) => profile.website.clone_from(url),
            Edit::Gender(text) => profile.gender.clone_from(text),
            Edit::Birthdate(day) => profile.birthdate.clone_from(day),
            Edit::ZoneInfo(zone) => profile.zoneinfo.clone_from(zone),
            Edit::Locale(language) => profile.locale.clone_from(language),
            Edit::PhoneNumber(number) => profile.phone_number.clone_from(number),
            Edit::PhoneNumberVerified(is_verified) => profile.phone_number_verified = *is_verified,
            Edit::EmailVerified(is_verified) => profile.email_verified = *is_verified,
            Edit::Address(part, text) => part.place(&mut profile.address).clone_from(text),
            Edit::NoAddress => profile.address = Address::default(),
            Edit::Attribute(name, Some(value)) => {
                profile.attributes.insert(name.clone(), value.clone());
            }
            Edit::Attribute(name, None) => {
                profile.attributes.remove(name);
            }
            Edit::NoAttributes => profile.attributes.clear(),
            Edit::Subject(subject) => profile.subject.clone_from(subject),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edit(key: &str, value: &str) -> Edit {
        Edit::parse(key, Some(value)).unwrap()
    }

    /// Every claim that can be set, with a value of it.
    const EVERY: [(&str, &str); 23] = [
        ("given_name", "Ada"),
        ("family_name", "Lovelace"),
        ("middle_name", "King"),
        ("nickname", "A"),
        ("profile", "https://example.org/ada"),
        ("picture", "https://example.org/ada.png"),
        ("website", "http://ada.example.org/"),
        ("gender", "female"),
        ("birthdate", "1815-12-10"),
        ("zoneinfo", "Europe/London"),
        ("locale", "en-GB"),
        ("phone_number", "+442012345678"),
        ("phone_number_verified", "true"),
        ("email_verified", "true"),
        ("subject", "legacy-1"),
        ("address.formatted", "1 St James's Square\nLondon"),
        ("address.street_address", "1 St James's Square"),
        ("address.locality", "London"),
        ("address.region", "England"),
        ("address.postal_code", "SW1Y 4LB"),
        ("address.country", "UK"),
        ("attributes.quota", "5"),
        ("attributes.immich_role", "admin"),
    ];

    #[test]
    fn every_claim_is_set_shown_and_removed() {
        let mut profile = ProfileRecord::default();
        for (key, value) in EVERY {
            let edit = edit(key, value);
            assert!(key.starts_with(edit.claim()), "{key}");
            let before = profile.clone();
            profile.apply(&[edit]);
            assert_ne!(profile, before, "{key}");
        }
        assert!(profile.texts().iter().all(|(_, text)| text.is_some()));
        assert_eq!(profile.address.parts().count(), 6);
        for (key, _) in EVERY {
            profile.apply(&[Edit::parse(key, None).unwrap()]);
        }
        assert_eq!(profile, ProfileRecord::default());
    }

    #[test]
    fn whole_addresses_and_all_attributes_can_be_removed_and_not_set() {
        let mut profile = ProfileRecord::default();
        profile.apply(&[edit("address.country", "UK"), edit("attributes.quota", "5")]);
        profile.apply(&[Edit::parse("address", None).unwrap(), Edit::parse("attributes", None).unwrap()]);
        assert_eq!(profile, ProfileRecord::default());
        for key in ["address", "attributes"] {
            assert!(matches!(Edit::parse(key, Some("x")), Err(EditFault::Value(name, _)) if name == key));
        }
    }

    /// OA-19: what apps take for the word of an administrator is none of the person's own business.
    #[test]
    fn only_administrators_vouch() {
        for (key, value) in EVERY {
            let is_reserved = matches!(key, "phone_number_verified" | "email_verified" | "subject")
                || key.starts_with("attributes");
            assert_eq!(edit(key, value).is_for_administrators(), is_reserved, "{key}");
        }
        assert!(Edit::parse("attributes", None).unwrap().is_for_administrators());
        assert!(!Edit::parse("address", None).unwrap().is_for_administrators());
    }

    /// OA-19: a number counts as verified only while it is the one that was verified.
    #[test]
    fn another_number_is_not_verified() {
        let mut profile = ProfileRecord::default();
        profile.apply(&[edit("phone_number_verified", "true"), edit("phone_number", "+442012345678")]);
        assert!(profile.phone_number_verified);
        profile.apply(&[edit("phone_number", "+44 20 1234 5678"), edit("nickname", "A")]);
        assert!(profile.phone_number_verified, "it is the same number");
        profile.apply(&[edit("phone_number", "+442012345679")]);
        assert!(!profile.phone_number_verified);
        profile.apply(&[edit("phone_number_verified", "true")]);
        profile.apply(&[Edit::PhoneNumber(None)]);
        profile.apply(&[edit("phone_number_verified", "true")]);
        assert!(!profile.phone_number_verified, "there is no number");
    }

    #[test]
    fn unknown_claims_and_bad_values_are_told_apart() {
        for key in [
            "",
            "sub",
            "name",
            "email",
            "role",
            "given_name.x",
            "address.planet",
            "x.y",
            "updated_at",
            "revision",
        ] {
            assert_eq!(Edit::parse(key, Some("x")), Err(EditFault::Unknown), "{key}");
        }
        for (key, value) in [
            ("given_name", ""),
            ("profile", "http://example.org/"),
            ("birthdate", "yesterday"),
            ("email_verified", "yes"),
            ("address.country", "a\nb"),
            ("attributes.sub", "x"),
            ("attributes.x.y", "x"),
        ] {
            assert!(matches!(Edit::parse(key, Some(value)), Err(EditFault::Value(..))), "{key}");
        }
    }
}
