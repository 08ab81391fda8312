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
}

impl Record for SetupRecord {
    const TABLE: Table = Table::META;
    const VERSION: u8 = 1;
}

impl Single for SetupRecord {
    const ROW: &'static [u8] = b"setup";
}
