//! Users, groups and their factors: records, use-cases and the directory in memory.
//!
//! This room knows what a user is and proves factors (password, TOTP, recovery codes). It knows nothing of sessions
//! or of who is asking: the rooms above decide that and call in here.

pub mod claims;
pub mod directory;
pub mod enrolment;
pub mod imported;
pub mod links;
pub mod passkeys;
pub mod passwords;
pub mod profile;
pub mod profiles;
pub mod records;
pub mod told;
pub mod totp;
pub mod users;
pub mod wording;

pub use directory::{Directory, User};
pub use profile::ProfileRecord;
pub use records::{Role, Status};
pub use users::Accounts;
