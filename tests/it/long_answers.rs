//! Long answers, such as the export of the log and a copy of everything, and what ends them.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use doorward::accounts::records::Role;
use doorward::audit::{Event, Kind};
use serde_json::json;

use crate::harness::{Client, PATIENCE, Server};
use crate::my_account::program;

const ADMIN: &str = "/api/v1/admin";

/// Fills the log with more than a connection holds that nobody reads: about 20 MB as JSON.
fn fill_the_log(server: &Server) {
    for _ in 0..50 {
        let mut batch = server.app().store().batch();
        for _ in 0..500 {
            let mut event = Event::succeeded(Kind::SettingChanged).by_system("test");
            for name in ["a", "b", "c"] {
                event = event.detail(name, "x".repeat(200));
            }
            server.app().audit.write(&mut batch, event);
        }
        server.block_on(server.app().store().commit(batch)).unwrap();
    }
}

/// Asks for a long answer and reads its beginning.
fn begin(client: &Client, line: &str) -> (TcpStream, Vec<u8>) {
    let mut stream = TcpStream::connect(client.address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let token = client.bearer.as_ref().unwrap();
    let request = format!(
        "{line} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n\
         Content-Length: 0\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut first = vec![0; 16 * 1024];
    stream.read_exact(&mut first).unwrap();
    assert!(first.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&first));
    (stream, first)
}

/// Reads what else comes, and how long the whole is. That the connection breaks off is no error here.
fn read_on((mut stream, mut bytes): (TcpStream, Vec<u8>)) -> usize {
    let mut piece = vec![0; 1 << 16];
    while let Ok(count @ 1..) = stream.read(&mut piece) {
        bytes.extend_from_slice(&piece[..count]);
    }
    bytes.len()
}

/// GEN-02, ADM-01: who is no administrator any more gets no more of what an administrator asked for, however long it
/// takes to send.
#[test]
fn a_long_answer_ends_with_the_power_that_asked_for_it() {
    let server = Server::start();
    server.add_user("olga", Role::Owner, &[]);
    let mut olga = program(&server, "olga", None);
    fill_the_log(&server);
    for (number, line) in
        ["GET /api/v1/admin/audit/export", "POST /api/v1/admin/backup"].into_iter().enumerate()
    {
        let whole = read_on(begin(&olga, line));
        assert!(whole > 15_000_000, "{line}: {whole}");
        for deed in ["demote", "disable", "sign-out"] {
            let name = format!("{deed}{number}");
            let id = server.add_user(&name, Role::Admin, &[]);
            let under_way = begin(&program(&server, &name, None), line);
            match deed {
                "demote" => {
                    olga.json("PATCH", &format!("{ADMIN}/users/{id}"), &json!({"role": "member"})).expect(200)
                }
                deed => olga.post(&format!("{ADMIN}/users/{id}/{deed}"), json!({})).expect(204),
            };
            let got = read_on(under_way);
            assert!(got < whole, "{line}: {deed} did not end it");
        }
    }
}
