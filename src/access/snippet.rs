//! Proxy configuration to copy: the files of `packaging/proxy`, with this installation's addresses in place.

use super::domain::{normal_host, split_authority};
use crate::words::Words;

/// A reverse proxy that we have files for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proxy {
    /// nginx, by `auth_request`.
    Nginx,
    /// Caddy, by `forward_auth`.
    Caddy,
    /// Traefik, by `forwardAuth`.
    Traefik,
    /// HAProxy, by a script of ours.
    Haproxy,
    /// Nginx Proxy Manager.
    Npm,
    /// SWAG of linuxserver.io.
    Swag,
    /// Apache HTTP Server, by a script of ours.
    Apache,
    /// Envoy, by `ext_authz`.
    Envoy,
}

impl Proxy {
    /// All of them, the commonest first.
    pub const ALL: [Proxy; 8] = [
        Proxy::Nginx,
        Proxy::Caddy,
        Proxy::Traefik,
        Proxy::Haproxy,
        Proxy::Npm,
        Proxy::Swag,
        Proxy::Apache,
        Proxy::Envoy,
    ];

    /// The word for it in commands and forms.
    pub fn as_str(self) -> &'static str {
        match self {
            Proxy::Nginx => "nginx",
            Proxy::Caddy => "caddy",
            Proxy::Traefik => "traefik",
            Proxy::Haproxy => "haproxy",
            Proxy::Npm => "npm",
            Proxy::Swag => "swag",
            Proxy::Apache => "apache",
            Proxy::Envoy => "envoy",
        }
    }

    /// What it calls itself.
    pub fn title(self) -> &'static str {
        match self {
            Proxy::Nginx => "nginx",
            Proxy::Caddy => "Caddy",
            Proxy::Traefik => "Traefik",
            Proxy::Haproxy => "HAProxy",
            Proxy::Npm => "Nginx Proxy Manager",
            Proxy::Swag => "SWAG",
            Proxy::Apache => "Apache",
            Proxy::Envoy => "Envoy",
        }
    }

    /// How to try a changed configuration and load it, as a sentence.
    pub fn reload(self, t: Words) -> &'static str {
        match self {
            Proxy::Nginx => t.access_proxy_nginx(),
            Proxy::Caddy => t.access_proxy_caddy(),
            Proxy::Traefik => t.access_proxy_traefik(),
            Proxy::Haproxy => t.access_proxy_haproxy(),
            Proxy::Npm => t.access_proxy_npm(),
            Proxy::Swag => t.access_proxy_swag(),
            Proxy::Apache => t.access_proxy_apache(),
            Proxy::Envoy => t.access_proxy_envoy(),
        }
    }

    /// Finds one by its word.
    pub fn parse(word: &str) -> Option<Proxy> {
        Proxy::ALL.into_iter().find(|proxy| proxy.as_str() == word)
    }

    /// The files, as (where it goes, what is in it); both have placeholders. What has no path goes into a form for a host.
    fn templates(self) -> &'static [(&'static str, &'static str)] {
        macro_rules! file {
            ($name:literal) => {
                include_str!(concat!("../../packaging/proxy/", $name))
            };
        }
        match self {
            Proxy::Nginx => &[
                ("/etc/nginx/snippets/doorward-location.conf", file!("nginx/doorward-location.conf")),
                ("/etc/nginx/snippets/doorward-authrequest.conf", file!("nginx/doorward-authrequest.conf")),
                ("/etc/nginx/sites-available/{{host}}.conf", file!("nginx/example-site.conf")),
                ("/etc/nginx/sites-available/{{portal_name}}.conf", file!("nginx/doorward-portal.conf")),
            ],
            Proxy::Caddy => &[
                ("/etc/caddy/doorward.caddy", file!("caddy/doorward.caddy")),
                ("/etc/caddy/{{host}}.caddy", file!("caddy/example-site.caddy")),
                ("/etc/caddy/{{portal_name}}.caddy", file!("caddy/doorward-portal.caddy")),
            ],
            Proxy::Traefik => &[("/etc/traefik/dynamic/doorward.yml", file!("traefik/doorward.yml"))],
            Proxy::Haproxy => &[
                ("/etc/haproxy/doorward.lua", file!("haproxy/doorward.lua")),
                ("/etc/haproxy/haproxy.cfg", file!("haproxy/haproxy.cfg")),
            ],
            Proxy::Npm => &[
                ("{{host}}", file!("npm/app-advanced.conf")),
                ("{{portal_name}}", file!("npm/portal-advanced.conf")),
            ],
            Proxy::Swag => &[
                ("/config/nginx/doorward-server.conf", file!("swag/doorward-server.conf")),
                ("/config/nginx/doorward-location.conf", file!("swag/doorward-location.conf")),
                ("/config/nginx/proxy-confs/{{host}}.subdomain.conf", file!("swag/app.subdomain.conf")),
                ("/config/nginx/proxy-confs/doorward.subdomain.conf", file!("swag/doorward.subdomain.conf")),
            ],
            Proxy::Apache => &[
                ("/etc/apache2/doorward.lua", file!("apache/doorward.lua")),
                ("/etc/apache2/sites-available/{{host}}.conf", file!("apache/example-site.conf")),
                ("/etc/apache2/sites-available/{{portal_name}}.conf", file!("apache/doorward-portal.conf")),
            ],
            Proxy::Envoy => &[("/etc/envoy/envoy.yaml", file!("envoy/envoy.yaml"))],
        }
    }

    /// Tells whether the files speak plain HTTP to Doorward, and to the app.
    fn is_plain(self) -> (bool, bool) {
        match self {
            Proxy::Envoy => (true, true),
            Proxy::Apache => (true, false),
            _ => (false, false),
        }
    }
}

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
    /// Where it goes, by convention; a host if it goes into a form for that.
    pub path: String,
    /// What is in it.
    pub text: String,
}

impl SnippetFile {
    /// Where it goes, as a sentence.
    pub fn place(&self, t: Words) -> String {
        if self.path.starts_with('/') {
            t.access_proxy_save(&self.path)
        } else {
            t.access_proxy_paste(&self.path)
        }
    }
}

/// The placeholders of the files, which stand in them as `{{name}}`: all of them, and nothing else.
struct Values([(&'static str, String); 14]);

impl Values {
    /// Judges the addresses and takes them apart.
    fn of(addresses: &Addresses) -> Result<Self, String> {
        let host = normal_host(addresses.host.trim()).ok_or_else(|| {
            format!("“{}” is no host name. One looks like photos.home.example.", addresses.host)
        })?;
        let portal_host = authority_of(&addresses.portal_origin)?;
        let portal_name = split_authority(portal_host).map_or(portal_host, |(name, _)| name);
        let doorward = Upstream::parse(&addresses.doorward)?;
        let app = Upstream::parse(&addresses.app)?;
        let id = host.chars().map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '-' });
        Ok(Values([
            // The app's name in a browser.
            ("id", id.collect()),
            ("host", host.into_owned()),
            // Doorward's name in a browser, with its port and without.
            ("portal_host", portal_host.to_owned()),
            ("portal_name", portal_name.to_owned()),
            // Where the proxy reaches Doorward, and the app: as a URL, as name:port, in parts.
            ("doorward", doorward.url.to_owned()),
            ("doorward_address", doorward.address()),
            ("doorward_name", doorward.name.to_owned()),
            ("doorward_port", doorward.port.to_string()),
            ("doorward_tls", doorward.haproxy_tls()),
            ("app", app.url.to_owned()),
            ("app_address", app.address()),
            ("app_name", app.name.to_owned()),
            ("app_port", app.port.to_string()),
            ("app_tls", app.haproxy_tls()),
        ]))
    }

    fn fill(&self, text: &str) -> String {
        self.0
            .iter()
            .fold(text.to_owned(), |text, (name, value)| text.replace(&format!("{{{{{name}}}}}"), value))
    }
}

/// Returns the files for a proxy: what asks Doorward, the app's site and the portal's.
///
/// # Errors
/// A sentence, if an address is not one: nothing else may get into a configuration file.
pub fn files(proxy: Proxy, addresses: &Addresses) -> Result<Vec<SnippetFile>, String> {
    let values = Values::of(addresses)?;
    let (is_plain, is_app_plain) = proxy.is_plain();
    let secure = [(is_plain, &addresses.doorward), (is_app_plain, &addresses.app)];
    if let Some((_, url)) = secure.into_iter().find(|(is_plain, url)| *is_plain && is_https(url)) {
        return Err(format!(
            "The files for {} speak plain HTTP there. Give an address that starts with http:// instead of {}.",
            proxy.title(),
            url.trim()
        ));
    }
    let file = |(path, text): &(&str, &str)| SnippetFile { path: values.fill(path), text: values.fill(text) };
    Ok(proxy.templates().iter().map(file).collect())
}

fn is_https(url: &str) -> bool {
    url.trim().starts_with("https:")
}

/// Where a proxy reaches something, in parts.
struct Upstream<'a> {
    /// `scheme://authority`.
    url: &'a str,
    /// A name or an address, IPv6 without brackets.
    name: &'a str,
    port: u16,
}

impl<'a> Upstream<'a> {
    fn parse(text: &'a str) -> Result<Self, String> {
        let url = text.trim().trim_end_matches('/');
        let authority = authority_of(url)?;
        let usual = if is_https(url) { 443 } else { 80 };
        let (name, port) = match authority.strip_prefix('[').and_then(|v6| v6.split_once(']')) {
            Some((address, port)) => (address, port.strip_prefix(':')),
            None => match authority.split_once(':') {
                Some((name, port)) => (name, Some(port)),
                None => (authority, None),
            },
        };
        // The port was judged with the authority.
        let port = port.and_then(|port| port.parse().ok()).unwrap_or(usual);
        Ok(Upstream { url, name, port })
    }

    fn address(&self) -> String {
        if self.name.contains(':') {
            format!("[{}]:{}", self.name, self.port)
        } else {
            format!("{}:{}", self.name, self.port)
        }
    }

    /// What HAProxy's `server` line needs to speak TLS.
    fn haproxy_tls(&self) -> String {
        if is_https(self.url) {
            format!(" ssl verify required ca-file @system-ca sni str({})", self.name)
        } else {
            String::new()
        }
    }
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
            portal_origin: "https://auth.home.example:8443".into(),
            doorward: "http://127.0.0.1:9091/".into(),
            host: "Photos.home.example".into(),
            app: "http://[::1]:3000".into(),
        }
    }

    fn nginx(addresses: &Addresses) -> Result<Vec<SnippetFile>, String> {
        files(Proxy::Nginx, addresses)
    }

    #[test]
    fn every_placeholder_is_filled() {
        let values = Values::of(&addresses()).unwrap();
        for proxy in Proxy::ALL {
            assert_eq!(Proxy::parse(proxy.as_str()), Some(proxy));
            for file in files(proxy, &addresses()).unwrap() {
                assert!(!file.text.contains("{{") && !file.text.contains("}}"), "{}", file.path);
                assert!(!file.path.contains("{{"), "{}", file.path);
            }
            for placeholder in proxy.templates().iter().flat_map(|(path, text)| [path, text]) {
                for (_, rest) in placeholder.match_indices("{{").map(|(at, _)| placeholder.split_at(at + 2)) {
                    let name = rest.split_once("}}").unwrap().0;
                    assert!(values.0.iter().any(|(known, _)| *known == name), "{}: {name}", proxy.title());
                }
            }
        }
        for (name, _) in &values.0 {
            let placeholder = format!("{{{{{name}}}}}");
            let is_used = Proxy::ALL.iter().any(|proxy| {
                proxy
                    .templates()
                    .iter()
                    .any(|(path, text)| (*path).contains(&placeholder) || text.contains(&placeholder))
            });
            assert!(is_used, "{name} stands in no file");
        }
    }

    #[test]
    fn the_addresses_stand_where_they_belong() {
        let files = nginx(&addresses()).unwrap();
        assert_eq!(files.len(), 4);
        assert!(files[0].text.contains("proxy_pass http://127.0.0.1:9091/api/authz/auth-request;"));
        assert!(files[0].text.contains("proxy_set_header Host auth.home.example:8443;"));
        assert!(files[2].text.contains("server_name photos.home.example;"));
        assert!(files[2].text.contains("proxy_pass http://[::1]:3000;"));
        assert_eq!(files[3].path, "/etc/nginx/sites-available/auth.home.example.conf");
        let secure = Addresses { app: "https://nas.lan".into(), ..addresses() };
        let haproxy = super::files(Proxy::Haproxy, &secure).unwrap();
        assert!(
            haproxy[1]
                .text
                .contains("server app nas.lan:443 ssl verify required ca-file @system-ca sni str(nas.lan)\n")
        );
        assert!(haproxy[1].text.contains("server doorward 127.0.0.1:9091\n"));
        let envoy = super::files(Proxy::Envoy, &addresses()).unwrap();
        assert!(envoy[0].text.contains(r#"{ address: "::1", port_value: 3000 }"#));
        assert!(super::files(Proxy::Envoy, &secure).unwrap_err().contains("plain HTTP"));
    }

    /// FWD-09: each snippet deletes or replaces the client's copies of the identity headers, in all spellings.
    #[test]
    fn the_identity_headers_of_the_client_are_deleted() {
        for proxy in Proxy::ALL {
            let text: String = proxy.templates().iter().map(|(_, text)| *text).collect();
            let text = text.to_ascii_lowercase();
            for name in ["user", "groups", "name", "email", "assertion"] {
                let lines: &[String] = match proxy {
                    Proxy::Nginx | Proxy::Npm | Proxy::Swag => &[
                        format!("proxy_set_header remote-{name} $doorward_{name};"),
                        format!("proxy_set_header remote_{name} \"\";"),
                    ],
                    Proxy::Caddy => {
                        &[format!("request_header -remote-{name}\n"), "request_header -remote_*\n".into()]
                    }
                    Proxy::Traefik => {
                        &[format!("\n          remote-{name}: \"\"\n"), format!("remote_{name}: \"\"\n")]
                    }
                    Proxy::Haproxy => &["http-request del-header ^remote[-_.] -m reg\n".into()],
                    Proxy::Apache => &[
                        format!("requestheader unset remote-{name} early\n"),
                        format!("requestheader unset remote_{name} early\n"),
                    ],
                    Proxy::Envoy => &[
                        format!("- remove: remote-{name}\n"),
                        "headers_with_underscores_action: drop_header\n".into(),
                    ],
                };
                for line in lines {
                    assert!(text.contains(line.as_str()), "{}: {line}", proxy.title());
                }
            }
        }
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
            "http://a\nb",
            "http://a:80#",
            "http://a`b",
            "http://a\"b",
            "http://{{host}}",
        ] {
            assert!(nginx(&Addresses { app: bad.into(), ..addresses() }).is_err(), "{bad}");
            assert!(nginx(&Addresses { doorward: bad.into(), ..addresses() }).is_err(), "{bad}");
            assert!(nginx(&Addresses { portal_origin: bad.into(), ..addresses() }).is_err(), "{bad}");
        }
        for bad in ["", "a;b", "a b", "a/b", "*.a", "a:80", "a`", "a\"", "{{app}}", "a\nb"] {
            assert!(nginx(&Addresses { host: bad.into(), ..addresses() }).is_err(), "{bad}");
        }
    }
}
