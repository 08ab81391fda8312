//! `doorward generate`: files that packages ship, made from the command line's own description.

use std::io::Write;

use clap::Subcommand;
use clap_complete::Shell;

use super::Failure;

/// What to write.
#[derive(Subcommand)]
pub(super) enum GenerateCommand {
    /// The man page, in roff.
    Man,
    /// Completions for a shell.
    Completions {
        /// bash, zsh, fish, elvish or powershell.
        shell: Shell,
    },
}

pub(super) fn run(
    command: &GenerateCommand,
    cli: &mut clap::Command,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    match command {
        GenerateCommand::Man => {
            clap_mangen::Man::new(cli.clone()).render(out).map_err(|error| Failure::new(error.to_string()))
        }
        GenerateCommand::Completions { shell } => {
            clap_complete::generate(*shell, cli, "doorward", out);
            Ok(())
        }
    }
}
