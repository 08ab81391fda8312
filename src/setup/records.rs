//! What the store keeps of the setup: two rows of the table `meta`.

use serde::{Deserialize, Serialize};

use crate::kernel::ids::UserId;
use crate::kernel::time::Timestamp;
use crate::store::meta::Single;
use crate::store::{Record, Table};

/// That somebody made this installation theirs. Written once and never removed: deleting every user does not open the
/// setup again (SET-02).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnerRecord {
    /// The first account.
    pub user: UserId,
    /// When it was made.
    pub at: Timestamp,
    /// From where: a pseudonym of the address (PRI-01), or a part of the system such as `command line`.
    pub place: String,
}

impl Record for OwnerRecord {
    const TABLE: Table = Table::META;
    const VERSION: u8 = 1;
}

impl Single for OwnerRecord {
    const ROW: &'static [u8] = b"owner";
}

/// How far the wizard is, so that it can be left and taken up again. What other records tell (is there an owner, has
/// the owner a second factor) is not repeated here.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetupRecord {
    /// The instance has a name.
    pub is_named: bool,
    /// The public address was decided.
    pub is_addressed: bool,
    /// The second factor was put off, where the policy allows that.
    pub is_second_factor_skipped: bool,
    /// The owner typed a recovery code back.
    pub are_codes_kept: bool,
    /// The first protected app.
    pub app_host: Option<String>,
    /// Who may open that app, as it was chosen.
    pub app_who: String,
    /// When the setup was finished; from then on its pages are gone.
    pub finished_at: Option<Timestamp>,
    /// The app that signs people in through OpenID Connect, by its client id. Version 1 ends before this field.
    pub app_client: Option<String>,
    /// The list of what is still open was put away.
    pub is_checklist_hidden: bool,
    /// When an administrator last took a copy of everything.
    pub backed_up_at: Option<Timestamp>,
}

impl Record for SetupRecord {
    const TABLE: Table = Table::META;
    const VERSION: u8 = 2;

    fn upgrade(version: u8, body: &[u8]) -> Option<Self> {
        /// No app, nothing hidden, no backup.
        const NOTHING_MORE: [u8; 3] = [0, 0, 0];
        if version != 1 {
            return None;
        }
        let body = [body, &NOTHING_MORE].concat();
        let (record, rest) = postcard::take_from_bytes(&body).ok()?;
        rest.is_empty().then_some(record)
    }
}

impl Single for SetupRecord {
    const ROW: &'static [u8] = b"setup";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_first_version_kept_is_read() {
        let old = SetupRecord {
            is_named: true,
            app_host: Some("photos.home.example".to_owned()),
            app_who: "everyone".to_owned(),
            finished_at: Some(Timestamp::from_secs(1)),
            ..SetupRecord::default()
        };
        let mut body = postcard::to_allocvec(&old).unwrap();
        body.truncate(body.len() - 3);
        assert_eq!(SetupRecord::upgrade(1, &body), Some(old));
        assert_eq!(SetupRecord::upgrade(1, &body[..body.len() - 1]), None);
        assert_eq!(SetupRecord::upgrade(3, &body), None);
    }
}
