//! The program itself, as an administrator has it: processes, signals, exit codes and what it prints.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use doorward::kernel::time::SystemClock;

use crate::harness::{Answer, Client, PASSWORD, PATIENCE, TempDir};

/// The program with data of its own and one owner, `ada`.
pub(crate) struct Installation {
    pub(crate) dir: TempDir,
    pub(crate) data: PathBuf,
    /// Settings that every command gets.
    pub(crate) settings: Vec<String>,
    /// Runs everything as this user id.
    pub(crate) uid: Option<u32>,
    /// How many files a process may have open.
    pub(crate) most_files: Option<u32>,
}

/// What a command that ended left.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// A running `doorward serve`; killed when dropped.
pub(crate) struct Process {
    child: Child,
    log: PathBuf,
    pub(crate) address: SocketAddr,
}

impl Installation {
    pub(crate) fn new() -> Installation {
        let dir = TempDir::new();
        let data = dir.0.join("data");
        Installation::at(dir, data, None)
    }

    pub(crate) fn at(dir: TempDir, data: PathBuf, uid: Option<u32>) -> Installation {
        let installation = Installation { uid, ..Installation::bare(dir, data) };
        installation.add("ada").succeed();
        installation
    }

    /// The program, with no data yet.
    pub(crate) fn bare(dir: TempDir, data: PathBuf) -> Installation {
        // Its own copy, so that another user can run it and the commands it prints are found.
        fs::create_dir(dir.0.join("bin")).unwrap();
        fs::copy(env!("CARGO_BIN_EXE_doorward"), dir.0.join("bin/doorward")).unwrap();
        // Many programs share the machine with each other's tests, so nobody waits for an idle core.
        let settings = ["data.free_space_floor_mib=1", "password.idle_priority=false"];
        Installation {
            dir,
            data,
            settings: settings.map(str::to_owned).to_vec(),
            uid: None,
            most_files: None,
        }
    }

    pub(crate) fn add(&self, name: &str) -> Outcome {
        self.run_with_password(["user", "add", name, "--role", "owner", "--password-stdin"])
    }

    /// Runs a command that reads a password.
    pub(super) fn run_with_password<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> Outcome {
        self.type_in(arguments, PASSWORD)
    }

    /// Runs a command of `doorward` that reads a line.
    pub(crate) fn type_in<'a>(&self, arguments: impl IntoIterator<Item = &'a str>, line: &str) -> Outcome {
        let file = self.dir.0.join("typed");
        fs::write(&file, format!("{line}\n")).unwrap();
        finish(self.command(arguments).stdin(File::open(file).unwrap()))
    }

    /// Returns `doorward` with arguments.
    fn command<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> Command {
        let mut command = self.shell_of(self.dir.0.join("bin/doorward"));
        command.arg("--data").arg(&self.data);
        for setting in &self.settings {
            command.args(["--set", setting]);
        }
        command.args(arguments);
        command
    }

    fn shell_of(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = match self.uid {
            None if self.most_files.is_some() => {
                let limit = format!("ulimit -n {}; exec \"$0\" \"$@\"", self.most_files.unwrap());
                let mut command = Command::new("/bin/sh");
                command.args(["-c", &limit]).arg(program);
                command
            }
            None => Command::new(program),
            Some(uid) => {
                let mut command = Command::new("setpriv");
                command.args([format!("--reuid={uid}"), format!("--regid={uid}")]);
                command.arg("--clear-groups").arg(program);
                command
            }
        };
        let path = format!("{}:/usr/sbin:/usr/bin:/sbin:/bin", self.dir.0.join("bin").display());
        command.env_clear().env("PATH", path).stdin(Stdio::null());
        command
    }

    /// Runs a command of `doorward` to its end.
    pub(crate) fn run<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> Outcome {
        finish(&mut self.command(arguments))
    }

    /// Runs a line that was printed, in a shell.
    pub(crate) fn run_line(&self, line: &str) -> Outcome {
        finish(self.shell_of("/bin/sh").args(["-c", line]))
    }

    /// Runs `doorward serve`, which must not start.
    pub(crate) fn refuse_to_serve(&self) -> Outcome {
        let mut process = self.spawn();
        let status = process.wait();
        let err = process.log();
        assert!(!status.success(), "it started: {err}");
        Outcome { code: status.code(), out: String::new(), err }
    }

    fn spawn(&self) -> Process {
        let log = self.dir.0.join("serve.log");
        let file = File::create(&log).unwrap();
        let mut command = self.command(["serve", "--listen", "127.0.0.1:0", "--metrics", "off"]);
        command.stdout(Stdio::null()).stderr(file);
        let child = started(|| command.spawn());
        Process { child, log, address: SocketAddr::from(([0; 4], 0)) }
    }

    /// Starts `doorward serve` and waits until it listens.
    pub(crate) fn serve(&self) -> Process {
        let mut process = self.spawn();
        let begun = SystemClock::shared();
        loop {
            let log = process.log();
            if let Some(address) = last_address(&log) {
                process.address = address;
                return process;
            }
            assert!(process.child.try_wait().unwrap().is_none(), "it did not start: {log}");
            assert!(begun.monotonic() < PATIENCE, "it does not start: {log}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// Returns where the server that wrote this log listens, or the wizard of one that belongs to nobody.
fn last_address(log: &str) -> Option<SocketAddr> {
    let ready = || log.rsplit_once("(listening on ")?.1.split_once(')')?.0.parse().ok();
    let waiting = || {
        let port = log.split_once("/setup#")?.0.rsplit_once("http://localhost:")?.1.parse().ok()?;
        Some(SocketAddr::from(([127, 0, 0, 1], port)))
    };
    ready().or_else(waiting)
}

/// Starts a program that was just copied: while another thread starts one of its own, that one still holds what was written,
/// and the system finds the file busy (execve(2), ETXTBSY).
fn started<T>(mut start: impl FnMut() -> std::io::Result<T>) -> T {
    let begun = SystemClock::shared();
    loop {
        match start() {
            Err(error) if error.kind() == ErrorKind::ExecutableFileBusy && begun.monotonic() < PATIENCE => {
                std::thread::sleep(Duration::from_millis(5));
            }
            outcome => return outcome.unwrap(),
        }
    }
}

fn finish(command: &mut Command) -> Outcome {
    let output = started(|| command.output());
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Outcome { code: output.status.code(), out: text(&output.stdout), err: text(&output.stderr) }
}

impl Outcome {
    #[track_caller]
    pub(crate) fn succeed(self) -> Outcome {
        assert_eq!(self.code, Some(0), "{self:?}");
        self
    }
}

impl Process {
    /// Finds out again where it listens, after it started again by itself.
    pub(crate) fn find_again(&mut self) -> bool {
        let address = last_address(&self.log()).filter(|_| self.log().contains("(listening on "));
        self.address = address.unwrap_or(self.address);
        address.is_some()
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn client(&self) -> Client {
        Client { address: self.address, cookies: Vec::new(), bearer: None, headers: Vec::new() }
    }

    pub(crate) fn sign_in(&self) -> Answer {
        let body = serde_json::json!({"username": "ada", "password": PASSWORD});
        self.client().post("/api/v1/auth/login/api", body)
    }

    /// Sends SIGTERM.
    pub(crate) fn terminate(&self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    }

    pub(crate) fn wait(&mut self) -> ExitStatus {
        let begun = SystemClock::shared();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(begun.monotonic() < PATIENCE, "it does not end: {}", self.log());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Stops it in order.
    #[track_caller]
    pub(crate) fn stop(mut self) {
        self.terminate();
        let status = self.wait();
        assert_eq!(status.code(), Some(0), "{}", self.log());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Says why a test has nothing to test here.
pub(crate) fn skip(why: &str) {
    eprintln!("skipped: {why}");
}

pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Gives a directory and everything in it to a user.
pub(crate) fn give(path: &Path, uid: u32) {
    std::os::unix::fs::chown(path, Some(uid), Some(uid)).unwrap();
    if path.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            give(&entry.unwrap().path(), uid);
        }
    }
}
