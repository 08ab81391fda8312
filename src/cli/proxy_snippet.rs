//! `doorward proxy-snippet`: configuration for a reverse proxy, with the addresses filled in.

use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use clap::Args;

use super::{Failure, control};
use crate::access::snippet::{Addresses, Proxy, files};
use crate::config::Settings;
use crate::site::Site;
use crate::words::Words;

/// What to print.
#[derive(Args)]
pub(super) struct ProxySnippetArgs {
    /// nginx, caddy, traefik, haproxy, npm, swag, apache or envoy.
    #[arg(default_value = "nginx", value_parser = proxy)]
    proxy: Proxy,
    /// The host name of the app, such as photos.home.example.
    #[arg(long)]
    host: String,
    /// Where the proxy reaches the app, such as http://127.0.0.1:3000.
    #[arg(long, value_name = "URL")]
    app: String,
    /// Where the proxy reaches Doorward; without it, where this configuration listens.
    #[arg(long, value_name = "URL")]
    doorward: Option<String>,
    /// Where people sign in; without it, the public address of this installation.
    #[arg(long, value_name = "URL")]
    portal: Option<String>,
    /// Print JSON: a list of objects with path and text.
    #[arg(long)]
    json: bool,
}

/// Reads the name of a proxy.
pub(super) fn proxy(word: &str) -> Result<Proxy, String> {
    Proxy::parse(&word.to_ascii_lowercase()).ok_or_else(|| {
        let known: Vec<&str> = Proxy::ALL.into_iter().map(Proxy::as_str).collect();
        format!("there are files for {}", known.join(", "))
    })
}

pub(super) fn run(args: &ProxySnippetArgs, settings: &Settings, out: &mut dyn Write) -> Result<(), Failure> {
    let portal_origin = match &args.portal {
        Some(portal) => portal.clone(),
        None => public_origin(settings)?,
    };
    let addresses = Addresses {
        portal_origin,
        doorward: args.doorward.clone().unwrap_or_else(|| own_address(settings.listen)),
        host: args.host.clone(),
        app: args.app.clone(),
    };
    let files = files(args.proxy, &addresses).map_err(Failure::usage)?;
    let failed = |error: std::io::Error| Failure::new(error.to_string());
    if args.json {
        let list: Vec<serde_json::Value> = files
            .into_iter()
            .map(|file| serde_json::json!({ "path": file.path, "text": file.text }))
            .collect();
        let text = serde_json::to_string_pretty(&list).map_err(|error| Failure::new(error.to_string()))?;
        return writeln!(out, "{text}").map_err(failed);
    }
    for file in &files {
        writeln!(out, "# ==== {}\n\n{}", file.place(Words::ENGLISH), file.text).map_err(failed)?;
    }
    writeln!(out, "# ==== {}", args.proxy.reload(Words::ENGLISH)).map_err(failed)
}

/// Returns where a proxy on this machine reaches a server that listens at `listen`.
fn own_address(listen: SocketAddr) -> String {
    let ip = if listen.ip().is_unspecified() { IpAddr::V4(Ipv4Addr::LOCALHOST) } else { listen.ip() };
    format!("http://{}", SocketAddr::new(ip, listen.port()))
}

/// Returns where people sign in: by the configuration, or by what the wizard stored.
fn public_origin(settings: &Settings) -> Result<String, Failure> {
    if let Some(origin) = &settings.public_origin {
        return Ok(origin.to_text());
    }
    let mut text = Vec::new();
    control::run(control::Order::PublicOrigin, settings, &mut text)?;
    String::from_utf8(text).map_err(|error| Failure::new(error.to_string()))
}

/// Answers in the process that has the store open.
pub(super) fn origin_of(site: &Site) -> String {
    site.origin().text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_on_this_machine_reaches_the_server_by_loopback() {
        assert_eq!(own_address("0.0.0.0:8080".parse().unwrap()), "http://127.0.0.1:8080");
        assert_eq!(own_address("[::1]:8080".parse().unwrap()), "http://[::1]:8080");
    }
}
