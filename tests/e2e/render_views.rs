//! Writes every page with sample data, in English and in German (`NAME.de.html`), and all assets, into a directory, for looking at them in a browser.
//!
//! `cargo run --example render-views -- DIRECTORY`, then `node tests/e2e/look.mjs DIRECTORY`.

use std::io::Write as _;
use std::path::Path;
use std::{env, fs, io};

use doorward::views::*;

#[path = "samples.rs"]
mod samples;

fn main() -> io::Result<()> {
    let target = env::args_os().nth(1).ok_or_else(|| io::Error::other("name a directory to write to"))?;
    let target = Path::new(&target);
    fs::create_dir_all(target.join("assets"))?;
    for page in samples::all() {
        fs::write(target.join(format!("{}.html", page.name)), page.html)?;
    }
    for page in samples::all_in(words::Lang::De) {
        fs::write(target.join(format!("{}.de.html", page.name)), page.html)?;
    }
    let best = |page: &samples::Sample| (0..5).map(|_| page.time()).min();
    let mut times: Vec<_> = samples::all().iter().map(|page| (best(page), page.name)).collect();
    times.sort();
    if let Some((Some(took), name)) = times.last() {
        writeln!(io::stdout(), "{} pages; {name} takes longest to render: {took:?}", times.len())?;
    }
    for asset in assets::assets().iter() {
        fs::write(target.join(asset.path.trim_start_matches('/')), &asset.body)?;
    }
    Ok(())
}
