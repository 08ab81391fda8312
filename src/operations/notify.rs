//! Messages to systemd (sd_notify(3)): one datagram each. Without systemd nothing happens.

use std::ffi::{OsStr, OsString};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::Duration;

/// How often the service manager is asked to wait, for how long it then does, and how often at most: half an hour.
const ASK_EVERY: Duration = Duration::from_secs(10);
const WAIT_FOR: Duration = Duration::from_secs(60);
const LONGEST_WAIT: Duration = Duration::from_secs(1800);

/// The way to the service manager, if there is one.
#[derive(Clone, Debug, Default)]
pub struct Notify {
    address: Option<SocketAddr>,
    watchdog: Option<Duration>,
}

impl Notify {
    /// Reads `NOTIFY_SOCKET` and `WATCHDOG_USEC`.
    pub fn from_env() -> Self {
        Notify::new(std::env::var_os("NOTIFY_SOCKET"), std::env::var_os("WATCHDOG_USEC").as_deref())
    }

    /// Takes the values of `NOTIFY_SOCKET` (a path, or `@` and an abstract name) and `WATCHDOG_USEC`. A value that
    /// cannot be understood counts as missing.
    pub fn new(socket: Option<OsString>, watchdog_micros: Option<&OsStr>) -> Self {
        let address = socket.and_then(|socket| match socket.as_bytes() {
            [b'@', name @ ..] => SocketAddr::from_abstract_name(name).ok(),
            [b'/', ..] => SocketAddr::from_pathname(&socket).ok(),
            _ => None,
        });
        let micros = watchdog_micros.and_then(OsStr::to_str).and_then(|text| text.parse::<u64>().ok());
        Notify { address, watchdog: micros.filter(|micros| *micros > 0).map(Duration::from_micros) }
    }

    /// Tells that the store is open and every listener bound.
    pub fn ready(&self) {
        self.send("READY=1");
    }

    /// Tells that the process is on its way out.
    pub fn stopping(&self) {
        self.send("STOPPING=1");
    }

    /// Tells that the process is alive; to be called only after a read of the store answered.
    pub fn alive(&self) {
        self.send("WATCHDOG=1");
    }

    /// Shows `text`, one line, in `systemctl status`.
    pub fn status(&self, text: &str) {
        self.send(&format!("STATUS={}", text.replace('\n', " ")));
    }

    /// Returns how often [`Notify::alive`] is expected: half of what the unit allows. `None` without a watchdog.
    pub fn watchdog_interval(&self) -> Option<Duration> {
        self.watchdog.map(|allowed| allowed / 2)
    }

    /// Asks the service manager to wait for as long as what this returns lives, half an hour at most: to bring a large backup
    /// back takes longer than a watchdog does, and there is no store yet to look at.
    pub fn ask_to_wait(&self) -> Waiting {
        let (end, ended) = channel();
        if self.address.is_none() {
            return Waiting { _end: end };
        }
        let every = self.watchdog_interval().map_or(ASK_EVERY, |interval| (interval / 2).min(ASK_EVERY));
        let every = every.max(Duration::from_millis(10));
        let message = format!("WATCHDOG=1\nEXTEND_TIMEOUT_USEC={}", WAIT_FOR.as_micros());
        self.send(&message);
        let (notify, times) = (self.clone(), LONGEST_WAIT.as_millis() / every.as_millis());
        let started = std::thread::Builder::new().name("notify-waiting".to_owned()).spawn(move || {
            for _ in 0..times {
                if ended.recv_timeout(every) != Err(RecvTimeoutError::Timeout) {
                    return;
                }
                notify.send(&message);
            }
        });
        if let Err(error) = started {
            tracing::warn!(%error, "systemd is not asked to wait");
        }
        Waiting { _end: end }
    }

    fn send(&self, message: &str) {
        let Some(address) = &self.address else { return };
        let sent = UnixDatagram::unbound().and_then(|socket| {
            socket.set_nonblocking(true)?;
            socket.send_to_addr(message.as_bytes(), address)
        });
        if let Err(error) = sent {
            tracing::warn!(%error, message, "systemd was not told");
        }
    }
}

/// The service manager waits until this is dropped.
#[derive(Debug)]
pub struct Waiting {
    _end: Sender<()>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_arrive_at_the_named_socket() {
        let name = format!("doorward-notify-test-{}", std::process::id());
        let receiver = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        let notify = Notify::new(Some(format!("@{name}").into()), Some(OsStr::new("30000000")));
        notify.ready();
        notify.status("two\nlines");
        let mut buffer = [0; 64];
        let length = receiver.recv(&mut buffer).unwrap();
        assert_eq!(&buffer[..length], b"READY=1");
        let length = receiver.recv(&mut buffer).unwrap();
        assert_eq!(&buffer[..length], b"STATUS=two lines");
        assert_eq!(notify.watchdog_interval(), Some(Duration::from_secs(15)));
    }

    #[test]
    fn without_a_service_manager_nothing_happens() {
        for socket in [None, Some("".into()), Some("relative".into()), Some("@".into())] {
            let notify = Notify::new(socket, Some(OsStr::new("soon")));
            notify.ready();
            notify.alive();
            notify.stopping();
            assert_eq!(notify.watchdog_interval(), None);
        }
    }
}
