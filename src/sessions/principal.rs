//! Who is asking, and what has been proven.

use std::sync::Arc;

use crate::accounts::User;
use crate::kernel::ids::SessionId;
use crate::kernel::time::Timestamp;

use super::records::SessionKind;

/// The factors that a sign-in proved, as a set. Names in tokens are those of RFC 8176.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct Factors(u8);

impl Factors {
    /// No factor.
    pub const NONE: Factors = Factors(0);
    /// A password (`pwd`).
    pub const PASSWORD: Factors = Factors(1);
    /// A TOTP code (`otp`).
    pub const TOTP: Factors = Factors(2);
    /// A recovery code (`kba` is wrong for it; Doorward says `rec`).
    pub const RECOVERY: Factors = Factors(4);
    /// A passkey that somebody touched (`hwk`): one factor.
    pub const PASSKEY: Factors = Factors(8);
    /// A passkey that made sure who the person is (`hwk` and `user`): two factors by itself (PK-03).
    pub const PASSKEY_UV: Factors = Factors(8 | 16);

    /// Returns both sets together.
    pub fn with(self, other: Factors) -> Factors {
        Factors(self.0 | other.0)
    }

    /// Returns the set without the factors of `other`.
    pub fn without(self, other: Factors) -> Factors {
        Factors(self.0 & !other.0)
    }

    /// Tells whether every factor of `other` is in the set.
    pub fn has(self, other: Factors) -> bool {
        self.0 & other.0 == other.0
    }

    /// Returns the level that the set reaches: two factors of different kinds make two.
    pub fn level(self) -> Level {
        let seconds = [Factors::TOTP, Factors::RECOVERY, Factors::PASSKEY];
        let is_password_and_more = self.has(Factors::PASSWORD) && seconds.iter().any(|own| self.has(*own));
        if is_password_and_more || self.has(Factors::PASSKEY_UV) {
            Level::TwoFactor
        } else {
            Level::OneFactor
        }
    }

    /// Tells whether nobody who stood in between could have got hold of what was proven: two factors, one of them a passkey,
    /// which answers to our own pages alone.
    pub fn resists_phishing(self) -> bool {
        self.level() == Level::TwoFactor && self.has(Factors::PASSKEY)
    }

    /// Returns the `amr` claim (RFC 8176 section 2).
    pub fn amr(self) -> Vec<&'static str> {
        let mut names = Vec::with_capacity(4);
        if self.has(Factors::PASSWORD) {
            names.push("pwd");
        }
        if self.has(Factors::TOTP) {
            names.push("otp");
        }
        if self.has(Factors::RECOVERY) {
            names.push("rec");
        }
        if self.has(Factors::PASSKEY) {
            names.push("hwk");
        }
        if self.has(Factors::PASSKEY_UV) {
            names.push("user");
        }
        if self.level() == Level::TwoFactor {
            names.push("mfa");
        }
        names
    }
}

/// How much was proven.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// One factor.
    OneFactor,
    /// Two factors of different kinds.
    TwoFactor,
}

/// A caller whose session is alive and whose account is active. Made only by `Sessions::admit`.
#[derive(Clone, Debug)]
pub struct Principal {
    /// The user as the directory has it now.
    pub user: Arc<User>,
    /// The session.
    pub session: SessionId,
    /// The signed-in stay that the session belongs to, as apps know it: the id of its first session. A new session in
    /// the place of an old one (SES-02) keeps it.
    pub sid: SessionId,
    /// Browser session or API token family.
    pub kind: SessionKind,
    /// The factors proven at sign-in.
    pub factors: Factors,
    /// When the user last proved factors by signing in or stepping up.
    pub authenticated_at: Timestamp,
}

impl Principal {
    /// Returns the level of the session.
    pub fn level(&self) -> Level {
        self.factors.level()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// PK-03: a passkey that verified its owner is two factors, one that was only touched is one. What sessions of before
    /// passkeys have stored means what it meant.
    #[test]
    fn levels_and_names_of_factors() {
        let password = Factors::PASSWORD;
        for (factors, level, amr) in [
            (password, Level::OneFactor, "pwd"),
            (password.with(Factors::TOTP), Level::TwoFactor, "pwd otp mfa"),
            (password.with(Factors::RECOVERY), Level::TwoFactor, "pwd rec mfa"),
            (Factors::TOTP.with(Factors::RECOVERY), Level::OneFactor, "otp rec"),
            (Factors::PASSKEY, Level::OneFactor, "hwk"),
            (Factors::PASSKEY.with(Factors::TOTP), Level::OneFactor, "otp hwk"),
            (Factors::PASSKEY_UV, Level::TwoFactor, "hwk user mfa"),
            (password.with(Factors::PASSKEY), Level::TwoFactor, "pwd hwk mfa"),
        ] {
            assert_eq!((factors.level(), factors.amr().join(" ").as_str()), (level, amr));
            assert_eq!(factors.resists_phishing(), amr.ends_with("hwk mfa") || amr.ends_with("hwk user mfa"));
        }
        for (stored, factors) in [(1_u8, password), (3, password.with(Factors::TOTP)), (4, Factors::RECOVERY)]
        {
            assert_eq!(postcard::from_bytes::<Factors>(&[stored]).unwrap(), factors);
        }
    }
}
