//! The values that labels may have.

/// A label with a fixed list of values.
pub(super) trait Label: Copy + 'static {
    /// The name of the label.
    const KEY: &'static str;
    /// Every value.
    const ALL: &'static [Self];
    /// Returns the text of the value.
    fn name(self) -> &'static str;
    /// Returns the place of the value in [`Label::ALL`].
    fn index(self) -> usize;
}

macro_rules! label {
    ($(#[$doc:meta])* $name:ident($key:literal) { $($(#[$variant_doc:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)*
        }

        impl Label for $name {
            const KEY: &'static str = $key;
            const ALL: &'static [Self] = &[$($name::$variant),*];

            fn name(self) -> &'static str {
                match self {
                    $($name::$variant => $text,)*
                }
            }

            fn index(self) -> usize {
                self as usize
            }
        }
    };
}

label!(
    /// Why an access token is no good, other than that it expired.
    TokenFault("reason") {
        /// It is not a token of ours at all.
        Malformed = "malformed",
        /// Its signature does not hold.
        BadSignature = "bad_signature",
        /// Its session was ended, or its user may not sign in any more.
        Revoked = "revoked",
        /// It is for somebody else, or from another issuer, or not valid yet.
        Misplaced = "misplaced",
    }
);

label!(
    /// Why a refresh token was refused.
    RefreshFault("reason") {
        /// It is none that we issued, or its session is over.
        Unknown = "unknown",
        /// It expired.
        Expired = "expired",
        /// It had been used before; its family is revoked.
        Reused = "reused",
        /// The store took no writes.
        Unavailable = "unavailable",
    }
);

label!(
    /// How a sign-in attempt ended.
    SignIn("result") {
        /// All factors were proven.
        Succeeded = "succeeded",
        /// The password was right, and a second factor is asked for.
        SecondFactorWanted = "second_factor_wanted",
        /// Unknown name, wrong password, or an account that may not sign in; not told apart here either.
        Refused = "refused",
        /// The second factor was wrong.
        SecondFactorRefused = "second_factor_refused",
        /// The account is suspended for this place.
        Suspended = "suspended",
        /// Too many attempts.
        Limited = "limited",
        /// The password queue was full.
        Busy = "busy",
    }
);

label!(
    /// The class of a route.
    Route("route") {
        /// A page.
        Page = "page",
        /// A style sheet, script or picture.
        Asset = "asset",
        /// The JSON API.
        Api = "api",
        /// Signing in, second factors and refreshing.
        SignIn = "sign_in",
        /// The token check of the API.
        Validate = "validate",
        /// A check for a reverse proxy.
        ForwardAuth = "forward_auth",
        /// Administration.
        Admin = "admin",
        /// Health and readiness.
        Health = "health",
        /// Nothing that exists, or not with this method.
        Unknown = "unknown",
    }
);
