//! What a store without group commit would do: one record, one flush, and the next.
//! Prints how many of them a second fit on the disk of the directory it is given.

use std::error::Error;
use std::io::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use doorward::kernel::time::SystemClock;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let directory = PathBuf::from(arguments.next().ok_or("usage: bench-sync-each EMPTY_DIRECTORY SECONDS")?);
    let seconds: u64 = arguments.next().unwrap_or_else(|| "5".to_owned()).parse()?;
    let database =
        sled::Config::new().path(&directory).cache_capacity(16 << 20).flush_every_ms(None).open()?;
    let clock = SystemClock::shared();
    let until = clock.monotonic() + Duration::from_secs(seconds);
    let begun = clock.monotonic();
    let mut written: u64 = 0;
    while clock.monotonic() < until {
        // A family of refresh tokens is about this large. It differs each time: sled does not write what is there already.
        database.insert((written % 4096).to_be_bytes(), written.to_be_bytes().repeat(30))?;
        // One fdatasync(2): src/store/durability.rs is part of this program as well.
        database.flush()?;
        written += 1;
    }
    let took = (clock.monotonic() - begun).as_secs_f64();
    writeln!(std::io::stdout(), "{:.1}", written as f64 / took)?;
    Ok(())
}
