//! Proxy configuration to copy: the files of `packaging/proxy`, with this installation's addresses in place.

use super::domain::{normal_host, split_authority};

const LOCATION: &str = include_str!("../../packaging/proxy/nginx/doorward-location.conf");
const AUTH_REQUEST: &str = include_str!("../../packaging/proxy/nginx/doorward-authrequest.conf");
const SITE: &str = include_str!("../../packaging/proxy/nginx/example-site.conf");
const PORTAL: &str = include_str!("../../packaging/proxy/nginx/doorward-portal.conf");

/// The addresses that go into the files.
#[derive(Clone, Debug)]
pub struct Addresses {
    /// Where people sign in, such as `https://auth.home.example`.
    pub portal_origin: String,
    /// Where the proxy reaches Doorward, such as `http://127.0.0.1:9091`.
    pub doorward: String,
    /// The host of the app, such as `photos.home.example`.
    pub host: String,
    /// Where the proxy reaches the app, such as `http://127.0.0.1:3000`.
    pub app: String,
}

/// A file to copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnippetFile {
    /// Where it goes, by convention.
    pub path: String,
    /// What is in it.
    pub text: String,
}

/// Returns the files for nginx: two to include, the app's site and the portal's.
///
/// # Errors
/// A sentence, if an address is not one: nothing else may get into a configuration file.
pub fn nginx(addresses: &Addresses) -> Result<Vec<SnippetFile>, String> {
    let host = normal_host(addresses.host.trim()).ok_or_else(|| {
        format!("“{}” is no host name. One looks like photos.home.example.", addresses.host)
    })?;
    let portal_host = authority_of(&addresses.portal_origin)?;
    let portal_name = split_authority(portal_host).map_or(portal_host, |(name, _)| name);
    let doorward = upstream(&addresses.doorward)?;
    let app = upstream(&addresses.app)?;
    let fill = |text: &str| {
        text.replace("{{host}}", &host)
            .replace("{{portal_host}}", portal_host)
            .replace("{{portal_name}}", portal_name)
            .replace("{{doorward}}", doorward)
            .replace("{{app}}", app)
    };
    let file = |path: String, text: &str| SnippetFile { path, text: fill(text) };
    Ok(vec![
        file("/etc/nginx/snippets/doorward-location.conf".into(), LOCATION),
        file("/etc/nginx/snippets/doorward-authrequest.conf".into(), AUTH_REQUEST),
        file(format!("/etc/nginx/sites-available/{host}.conf"), SITE),
        file(format!("/etc/nginx/sites-available/{portal_name}.conf"), PORTAL),
    ])
}

/// Returns `scheme://authority` if `text` is that and nothing more.
fn upstream(text: &str) -> Result<&str, String> {
    let text = text.trim().trim_end_matches('/');
    authority_of(text).map(|_| text)
}

fn authority_of(text: &str) -> Result<&str, String> {
    let wrong = || format!("“{text}” is no address. One looks like http://127.0.0.1:3000.");
    let rest = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://")).ok_or_else(wrong)?;
    let is_v6 = rest.starts_with('[');
    let (host, port) = match rest.strip_prefix('[').and_then(|v6| v6.split_once(']')) {
        Some((address, "")) => (address, None),
        Some((address, port)) => (address, Some(port.strip_prefix(':').ok_or_else(wrong)?)),
        None => match rest.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (rest, None),
        },
    };
    let is_sound =
        if is_v6 { host.parse::<std::net::Ipv6Addr>().is_ok() } else { normal_host(host).is_some() };
    let is_port = port.is_none_or(|port| {
        !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok()
    });
    if is_sound && is_port { Ok(rest) } else { Err(wrong()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses() -> Addresses {
        Addresses {
            portal_origin: "https://auth.home.example".into(),
            doorward: "http://127.0.0.1:9091/".into(),
            host: "Photos.home.example".into(),
            app: "http://[::1]:3000".into(),
        }
    }

    #[test]
    fn every_placeholder_is_filled() {
        let files = nginx(&addresses()).unwrap();
        assert_eq!(files.len(), 4);
        for file in &files {
            assert!(!file.text.contains("{{") && !file.text.contains("}}"), "{}", file.path);
        }
        assert!(files[0].text.contains("proxy_pass http://127.0.0.1:9091/api/authz/auth-request;"));
        assert!(files[0].text.contains("proxy_set_header Host auth.home.example;"));
        assert!(files[2].text.contains("server_name photos.home.example;"));
        assert!(files[2].text.contains("proxy_pass http://[::1]:3000;"));
        assert_eq!(files[3].path, "/etc/nginx/sites-available/auth.home.example.conf");
    }

    /// FWD-09: the snippet replaces the client's copies of the identity headers, in both spellings.
    #[test]
    fn the_identity_headers_of_the_client_are_replaced() {
        for name in ["User", "Groups", "Name", "Email"] {
            let own = format!("proxy_set_header Remote-{name} $doorward_{};", name.to_ascii_lowercase());
            assert!(AUTH_REQUEST.contains(&own), "{own}");
            assert!(AUTH_REQUEST.contains(&format!("proxy_set_header Remote_{name} \"\";")), "{name}");
        }
        assert!(!AUTH_REQUEST.contains("$http_connection"));
    }

    #[test]
    fn nothing_but_addresses_gets_into_a_file() {
        for bad in [
            "http://a; return 200",
            "http://a b",
            "http://a/x",
            "a:80",
            "http://",
            "http://a:99999",
            "http://[zz]:1",
            "http://a:80;}",
            "http://u@a",
        ] {
            assert!(nginx(&Addresses { app: bad.into(), ..addresses() }).is_err(), "{bad}");
            assert!(nginx(&Addresses { doorward: bad.into(), ..addresses() }).is_err(), "{bad}");
            assert!(nginx(&Addresses { portal_origin: bad.into(), ..addresses() }).is_err(), "{bad}");
        }
        for bad in ["", "a;b", "a b", "a/b", "*.a", "a:80"] {
            assert!(nginx(&Addresses { host: bad.into(), ..addresses() }).is_err(), "{bad}");
        }
    }
}
