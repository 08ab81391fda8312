//! `doorward health`: asks the running server; for containers that have nothing else to ask with.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::Duration;

use super::Failure;
use crate::config::Settings;

const PATIENCE: Duration = Duration::from_secs(5);

pub(super) fn run(settings: &Settings, out: &mut dyn Write) -> Result<(), Failure> {
    let address = reachable(settings.listen);
    let lost =
        |error: std::io::Error| Failure::new(format!("Doorward does not answer at {address}: {error}"));
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE).map_err(lost)?;
    stream.set_read_timeout(Some(PATIENCE)).map_err(lost)?;
    let request = "GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).map_err(lost)?;
    let mut answer = String::new();
    stream.take(65_536).read_to_string(&mut answer).map_err(lost)?;
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    if !answer.starts_with("HTTP/1.1 200 ") {
        return Err(Failure::new(format!("Doorward is not ready: {body}")));
    }
    writeln!(out, "{body}").map_err(|error| Failure::new(error.to_string()))
}

/// Returns where to reach a server that listens on this address.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}
