//! `doorward setup-token` and `doorward setup`: claiming an installation with and without a browser.

use std::io::{Read, Write};
use std::path::PathBuf;

use clap::Args;

use super::{Failure, control, input};
use crate::app::App;
use crate::config::Settings;
use crate::kernel::random::Random;
use crate::kernel::secret::SecretText;
use crate::kernel::time::SystemClock;
use crate::setup::{Bootstrap, BootstrapPassword, Bootstrapped, OwnerError, claim};

/// Flags of `setup-token`.
#[derive(Args)]
pub(super) struct SetupTokenArgs {
    /// Make a new token even if the present one is still good.
    #[arg(long)]
    renew: bool,
}

/// Flags of `setup`.
#[derive(Args)]
pub(super) struct SetupArgs {
    /// Say that no browser is wanted; the wizard is the usual way.
    #[arg(long, required = true)]
    non_interactive: bool,
    /// The owner's username.
    #[arg(long)]
    owner: String,
    /// The owner's name as people see it.
    #[arg(long, default_value = "")]
    name: String,
    /// The owner's e-mail address.
    #[arg(long, default_value = "")]
    email: String,
    /// Read the owner's password from standard input.
    #[arg(long, conflicts_with = "password_hash_file")]
    password_stdin: bool,
    /// Read an argon2id hash of the owner's password from a file.
    #[arg(long, value_name = "FILE")]
    password_hash_file: Option<PathBuf>,
    /// The name of the installation.
    #[arg(long)]
    instance_name: Option<String>,
    /// Where people open Doorward, such as https://auth.home.example.
    #[arg(long, value_name = "ORIGIN")]
    origin: Option<String>,
    /// The parent domain of the protected apps, such as home.example.
    #[arg(long, value_name = "DOMAIN")]
    protect_domain: Option<String>,
    /// Enrol an authenticator app now, and print its secret and the recovery codes.
    #[arg(long)]
    totp: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Prints the token that claims this installation.
pub(super) fn token(args: &SetupTokenArgs, settings: &Settings, out: &mut dyn Write) -> Result<(), Failure> {
    let clock = SystemClock::shared();
    let shown = claim::show(&settings.data_directory, args.renew, &Random::os(), clock.now())
        .map_err(|error| Failure::new(error.to_string()))?;
    let Some(token) = shown else {
        return Err(Failure::new(
            "There is nothing to claim: this Doorward has an owner, or `doorward serve` has not been started yet.",
        ));
    };
    let link = settings.public_origin_or_local();
    writeln!(out, "{}\n{link}/setup#{}", token.expose(), token.expose())
        .map_err(|error| Failure::new(error.to_string()))
}

/// Sets up without a browser. The server must not run.
pub(super) fn run(args: &SetupArgs, settings: &Settings, out: &mut dyn Write) -> Result<(), Failure> {
    let password = read_password(args)?;
    let bootstrap = Bootstrap {
        username: &args.owner,
        display_name: &args.name,
        email: &args.email,
        password,
        instance_name: args.instance_name.as_deref(),
        origin: args.origin.as_deref(),
        protected_domain: args.protect_domain.as_deref(),
        with_totp: args.totp,
    };
    let made = control::run_here(settings, async |app: &App| app.setup.bootstrap(bootstrap).await)?;
    let made = made.map_err(|error| refused(&error))?;
    report(&made, args.json, out).map_err(|error| Failure::new(error.to_string()))
}

pub(super) fn refused(error: &OwnerError) -> Failure {
    match error {
        OwnerError::Taken => {
            Failure::new("This Doorward has an owner already. `doorward user list` shows who.")
        }
        OwnerError::Problem(problem) => Failure::usage(problem.detail.english()),
    }
}

fn read_password(args: &SetupArgs) -> Result<BootstrapPassword, Failure> {
    match &args.password_hash_file {
        Some(path) => {
            let unreadable =
                |error: std::io::Error| Failure::new(format!("{} cannot be read: {error}", path.display()));
            let mut text = String::new();
            std::fs::File::open(path)
                .map_err(unreadable)?
                .take(4096)
                .read_to_string(&mut text)
                .map_err(unreadable)?;
            Ok(BootstrapPassword::Hash(text.trim().to_owned()))
        }
        None if args.password_stdin => Ok(BootstrapPassword::Plain(SecretText::new(input::read_password()?))),
        None => {
            Err(Failure::usage("Give the owner's password with --password-stdin or --password-hash-file."))
        }
    }
}

fn report(made: &Bootstrapped, as_json: bool, out: &mut dyn Write) -> std::io::Result<()> {
    let totp = made.totp.as_ref();
    if as_json {
        let document = serde_json::json!({
            "username": made.username,
            "otpauth_uri": totp.map(|totp| &totp.otpauth_uri),
            "totp_secret": totp.map(|totp| &totp.secret_base32),
            "recovery_codes": totp.map(|totp| &totp.recovery_codes),
        });
        return writeln!(out, "{document}");
    }
    writeln!(out, "{} owns this Doorward now. Start it with `doorward serve`.", made.username)?;
    if let Some(totp) = totp {
        writeln!(out, "Authenticator secret: {}\n{}", totp.secret_base32, totp.otpauth_uri)?;
        writeln!(out, "Recovery codes, each good once:")?;
        for code in &totp.recovery_codes {
            writeln!(out, "  {code}")?;
        }
    }
    Ok(())
}
