//! Fills a store with many users at once, for measurements and for looking at long lists:
//!
//! ```text
//! seed-users DATA_DIR COUNT PASSWORD
//! ```
//!
//! The users are `user0`, `user1`, ... and all have the same password, hashed once. Nobody may be using the
//! directory; its master key is DATA_DIR/master.key, and both are made if there is nothing yet.

use std::error::Error;
use std::fs::DirBuilder;
use std::io::Write as _;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::PathBuf;
use std::sync::Arc;

use doorward::accounts::Role;
use doorward::accounts::users::{Accounts, NewUser, SecondFactorPolicy};
use doorward::crypto::key_file;
use doorward::crypto::password::{HashSettings, PasswordHasher, Ticket};
use doorward::crypto::sealed::Sealer;
use doorward::kernel::random::Random;
use doorward::kernel::secret::Secret;
use doorward::kernel::text::{DisplayName, GroupName, Username};
use doorward::kernel::time::SystemClock;
use doorward::store::{OpenSettings, has_data, open};

/// How many users go into one commit.
const GROUP: usize = 50;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let mut next = || arguments.next().ok_or("usage: seed-users DATA_DIR COUNT PASSWORD");
    let directory = PathBuf::from(next()?);
    let count: usize = next()?.parse()?;
    let password = Secret::new(next()?);

    DirBuilder::new().recursive(true).mode(0o700).create(&directory)?;
    let (random, clock) = (Random::os(), SystemClock::shared());
    let key = key_file::load_or_create(&directory.join("master.key"), &random, !has_data(&directory)?)?;
    let opened = open(&OpenSettings::new(&directory), &Arc::new(Sealer::new(&key)), &random, &clock)?;
    // As the server hashes, so that the first sign-in need not hash again.
    let hashing = HashSettings { pepper: Some(key.derive("password pepper")), ..HashSettings::default() };
    let hasher = PasswordHasher::start(hashing, random.clone())?;
    let store = opened.store.clone();
    let accounts =
        Accounts::open(store.clone(), hasher, clock, random, SecondFactorPolicy::Optional, Vec::new())?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let phc =
            accounts.hash_password(&password, Ticket::default()).await.map_err(|_| "the hasher is busy")?;
        let family = GroupName::parse("family").map_err(|error| error.to_string())?;
        for first in (0..count).step_by(GROUP) {
            let mut batch = store.batch();
            for number in first..count.min(first + GROUP) {
                let name = format!("user{number}");
                let user = NewUser {
                    username: Username::parse(&name).map_err(|error| error.to_string())?,
                    display_name: DisplayName::parse(&format!("User {number}"))
                        .map_err(|error| error.to_string())?,
                    email: None,
                    groups: vec![family.clone()],
                    role: Role::Member,
                    password_hash: Some(phc.clone()),
                };
                accounts.stage_create(&mut batch, user).map_err(|error| format!("{name}: {error:?}"))?;
            }
            store.commit(batch).await?;
        }
        Ok::<(), Box<dyn Error>>(())
    })?;
    opened.close();
    writeln!(std::io::stdout(), "{count} users")?;
    Ok(())
}
