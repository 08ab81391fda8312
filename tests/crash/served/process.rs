//! The real server as a process: started over the same data again and again, killed without warning.

use std::fs::{File, OpenOptions};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::PASSWORD;
use super::load::monotonic;
use super::wire::Client;

/// Longer than a start takes on any machine.
const START_WITHIN: Duration = Duration::from_secs(30);

/// How the server is started.
pub(super) struct Place {
    pub(super) program: PathBuf,
    pub(super) data: PathBuf,
    pub(super) address: SocketAddr,
    log: PathBuf,
}

/// A running server; killed when dropped.
pub(super) struct Server {
    child: Child,
}

fn text(error: impl ToString) -> String {
    error.to_string()
}

impl Place {
    /// Finds a port and makes the first owner, so that the installation belongs to somebody.
    pub(super) fn new(program: &str, dir: &str) -> Result<Self, String> {
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| listener.local_addr());
        let place = Place {
            program: PathBuf::from(program),
            data: Path::new(dir).join("data"),
            address: free.map_err(text)?,
            log: Path::new(dir).join("server.log"),
        };
        std::fs::create_dir_all(dir).map_err(text)?;
        let password = Path::new(dir).join("password");
        std::fs::write(&password, format!("{PASSWORD}\n")).map_err(text)?;
        let mut command = place.command(&place.data);
        command.args(["setup", "--non-interactive", "--owner", "root", "--password-stdin"]);
        command.stdin(File::open(&password).map_err(text)?);
        finish(command)?;
        Ok(place)
    }

    fn command(&self, data: &Path) -> Command {
        let mut command = Command::new(&self.program);
        command.env_clear().stdin(Stdio::null()).arg("--data").arg(data);
        command.args(["--set", "data.free_space_floor_mib=8"]);
        // The load keeps every core busy, so a hash that waits for an idle one would hardly ever be made.
        command.args(["--set", "password.idle_priority=false"]);
        command
    }

    /// Starts the server and does not wait.
    pub(super) fn start(&self) -> Result<Server, String> {
        let log = OpenOptions::new().append(true).create(true).open(&self.log).map_err(text)?;
        let mut command = self.command(&self.data);
        command.arg("serve").args(["--metrics", "off", "--listen", &self.address.to_string()]);
        for setting in [
            "server.public_origin=http://localhost",
            "accounts.registration=open",
            "token.access_minutes=1440",
            "limits.api=1000000/1h",
            "limits.sign_in=100000/5m",
            "limits.registration=100000/1h",
            "limits.totp=1000/5m",
            "log.level=warn",
        ] {
            command.args(["--set", setting]);
        }
        let child = command.stdout(Stdio::null()).stderr(log).spawn().map_err(text)?;
        Ok(Server { child })
    }

    /// Waits until the server answers, and takes commands, for which it opens a socket a moment later. An error is the end
    /// of its log.
    pub(super) fn wait_until_ready(&self, server: &mut Server) -> Result<(), String> {
        let begun = monotonic();
        while monotonic() - begun < START_WITHIN {
            let takes_commands = || UnixStream::connect(self.data.join("control.sock")).is_ok();
            if Client::new(self.address).is_alive() && takes_commands() {
                return Ok(());
            }
            if server.has_ended() {
                break;
            }
            std::thread::sleep(Duration::from_millis(3));
        }
        Err(format!("the server does not start: {}", self.last_words()))
    }

    /// Returns the end of the log.
    pub(super) fn last_words(&self) -> String {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines.get(lines.len().saturating_sub(3)..).unwrap_or_default().join(" / ")
    }

    /// Copies the data of a killed server.
    pub(super) fn copy_to(&self, copy: &Path) -> Result<(), String> {
        let _ = std::fs::remove_dir_all(copy);
        let mut command = Command::new("cp");
        command.arg("-a").arg(&self.data).arg(copy);
        finish(command)?;
        let _ = std::fs::remove_file(copy.join("control.sock"));
        Ok(())
    }

    /// Runs `doorward store check` over a copy.
    pub(super) fn check_store(&self, copy: &Path) -> Result<(), String> {
        let mut command = self.command(copy);
        command.args(["store", "check"]);
        finish(command).map_err(|why| format!("doorward store check: {why}"))
    }
}

fn finish(mut command: Command) -> Result<(), String> {
    let output = command.output().map_err(text)?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim()))
}

impl Server {
    /// Tells whether the process ended without being asked to.
    pub(super) fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    /// Ends it as a crash would: at once, with whatever it is doing. Fails if it had ended by itself.
    pub(super) fn kill(&mut self) -> Result<(), String> {
        let had_ended = self.has_ended();
        self.child.kill().map_err(text)?;
        self.child.wait().map_err(text)?;
        if had_ended { Err("the server ended by itself".to_owned()) } else { Ok(()) }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
