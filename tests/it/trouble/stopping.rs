//! Signals, and two processes over one directory (FAIL-06).

use std::io::Write;
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use serde_json::json;

use super::program::{Installation, Process};
use doorward::kernel::time::SystemClock;

use crate::harness::{PASSWORD, PATIENCE, until};

fn with_open_registration() -> Installation {
    let mut installation = Installation::new();
    let settings = ["accounts.registration=open", "limits.registration=100000/1h", "limits.api=100000/1h"];
    installation.settings.extend(settings.map(str::to_owned));
    installation
}

fn people(installation: &Installation) -> String {
    installation.run(["user", "list"]).succeed().out
}

/// Registers people until nobody answers any more; returns how many were acknowledged.
fn register(process: &Process, thread: u64, acknowledged: &AtomicU64) {
    for number in 0.. {
        let body = json!({"username": format!("person{thread}x{number}"), "password": PASSWORD}).to_string();
        let request = format!(
            "POST /api/v1/users HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let Ok(mut stream) = TcpStream::connect(process.address) else { return };
        let mut answer = Vec::new();
        let is_sent = stream.write_all(request.as_bytes()).is_ok();
        if !is_sent || std::io::Read::read_to_end(&mut stream, &mut answer).is_err() || answer.is_empty() {
            return;
        }
        if answer.starts_with(b"HTTP/1.1 201") {
            acknowledged.fetch_add(1, Ordering::SeqCst);
        }
    }
}

/// FAIL-06: SIGTERM ends the server within five seconds and with code 0, under load and with a connection that sends
/// its request forever; everything acknowledged is there, and the store was closed in order.
#[test]
fn a_signal_stops_the_server_in_order_under_load() {
    let installation = with_open_registration();
    let mut process = installation.serve();
    let mut slow = TcpStream::connect(process.address).unwrap();
    slow.write_all(b"POST /api/v1/users HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{")
        .unwrap();
    let (acknowledged, is_over) = (AtomicU64::new(0), AtomicBool::new(false));
    let took = std::thread::scope(|scope| {
        for thread in 0..4 {
            let (process, acknowledged) = (&process, &acknowledged);
            scope.spawn(move || register(process, thread, acknowledged));
        }
        let is_over = &is_over;
        scope.spawn(move || {
            while !is_over.load(Ordering::Relaxed) {
                let _ = slow.write_all(b" ");
                std::thread::sleep(Duration::from_millis(500));
            }
        });
        until("somebody is registered", || acknowledged.load(Ordering::SeqCst) >= 4);
        let begun = SystemClock::shared();
        process.terminate();
        while std::path::Path::new(&format!("/proc/{}/stat", process.id())).exists()
            && !has_exited(process.id())
        {
            assert!(begun.monotonic() < PATIENCE, "it does not end: {}", process.log());
            std::thread::sleep(Duration::from_millis(5));
        }
        is_over.store(true, Ordering::Relaxed);
        begun.monotonic()
    });
    assert_eq!(process.wait().code(), Some(0), "{}", process.log());
    // Five seconds of patience, and what a busy machine takes to close the store.
    assert!(took < Duration::from_secs(10), "{took:?}");
    let acknowledged = acknowledged.load(Ordering::SeqCst);
    assert!(acknowledged > 0);
    // One more may have been made whose answer was cut, for each thread.
    let found = people(&installation).lines().count() as u64 - 1;
    assert!((acknowledged..=acknowledged + 4).contains(&found), "{acknowledged} acknowledged, {found} found");
    let process = installation.serve();
    assert!(!process.log().contains("did not close the store"), "{}", process.log());
    process.stop();
}

/// Tells whether a child has ended and only waits to be asked for its exit code.
fn has_exited(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_none_or(|(_, rest)| rest.starts_with('Z'))
}

/// A second signal does not wait, and loses nothing that was acknowledged.
#[test]
fn a_second_signal_ends_at_once() {
    let installation = Installation::new();
    let mut process = installation.serve();
    let mut slow = TcpStream::connect(process.address).unwrap();
    slow.write_all(b"GET /healthz HTTP/1.1\r\nHost: loc").unwrap();
    process.terminate();
    std::thread::sleep(Duration::from_millis(200));
    process.terminate();
    let code = process.wait().code();
    assert!(matches!(code, Some(0 | 143)), "{code:?}: {}", process.log());
    assert!(people(&installation).contains("ada"));
}

/// FAIL-06: two processes never write the same store.
#[test]
fn a_second_process_on_the_same_data_is_refused_in_a_sentence() {
    let installation = Installation::new();
    let process = installation.serve();
    let log = process.log();
    let second = Installation::refuse_to_serve(&installation);
    assert_eq!(second.code, Some(1));
    let sentence =
        format!("Another Doorward (process {}) uses {}", process.id(), installation.data.display());
    assert!(second.err.contains(&sentence), "{}", second.err);
    assert!(log.contains("listening on"));
    for command in [["store", "check"], ["store", "compact"]] {
        let refused = installation.run(command);
        assert_eq!(refused.code, Some(1), "{refused:?}");
        assert!(refused.err.contains(&sentence), "{}", refused.err);
    }
    // The first goes on, and commands still reach it.
    process.sign_in().expect(200);
    assert!(people(&installation).contains("ada"));
    process.stop();
}

/// RES-01: while no file can be opened no command is heard; once some are closed again, commands are.
#[test]
fn commands_are_heard_again_after_a_flood_of_connections() {
    let mut installation = Installation::new();
    installation.most_files = Some(64);
    installation.settings.push("server.max_connections_per_address=1000".to_owned());
    let server = installation.serve();
    let flood: Vec<TcpStream> = (0..100).map(|_| TcpStream::connect(server.address).unwrap()).collect();
    until("no file is left", || server.log().contains("cannot accept a connection"));
    let socket = installation.data.join("control.sock");
    let waiting = std::os::unix::net::UnixStream::connect(&socket).unwrap();
    std::thread::sleep(Duration::from_millis(300));
    drop((flood, waiting));
    installation.most_files = None;
    until("commands are heard", || installation.run(["user", "list"]).out.contains("ada"));
    server.stop();
}
