//! The line that mends a finding, taken out of the files of `packaging/proxy` for the proxy at hand.

use http::HeaderMap;

use crate::access::snippet::{Addresses, Proxy, files};

/// What a proxy does not do right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// It does not ask.
    DoesNotAsk,
    /// It does not get an answer.
    CannotAsk,
    /// It does not say the method, or asks in the wrong place.
    Method,
    /// It does not say the address that was asked for.
    Address,
    /// It does not send people to the sign-in page.
    SignIn,
    /// It sends scripts there.
    Script,
    /// It does not say who the visitor is.
    Visitor,
    /// It keeps back the cookie of an answer.
    SetCookie,
    /// It keeps back headers of the visitor.
    Told,
    /// It serves an app under names that it does not know.
    Names,
    /// The question can be asked from outside.
    Internal,
    /// The questions can be asked at the portal.
    PortalQuestions,
    /// The portal is not served.
    Portal,
    /// The portal is served under another name.
    PortalHost,
    /// WebSockets do not get through.
    WebSocket,
}

/// Tells which proxy answered, as far as its answers say.
pub(super) fn recognize(headers: &HeaderMap) -> Option<Proxy> {
    let words = ["server", "via"].into_iter().filter_map(|name| headers.get(name)?.to_str().ok());
    let words = words.collect::<Vec<_>>().join(" ").to_ascii_lowercase();
    let known = [
        ("openresty", Proxy::Npm),
        ("nginx", Proxy::Nginx),
        ("caddy", Proxy::Caddy),
        ("apache", Proxy::Apache),
        ("envoy", Proxy::Envoy),
        ("traefik", Proxy::Traefik),
        ("haproxy", Proxy::Haproxy),
    ];
    known.into_iter().find(|(word, _)| words.contains(word)).map(|(_, proxy)| proxy)
}

/// Returns the line for a fault, as it stands in our files for this proxy.
pub(super) fn line(proxy: Proxy, fault: Fault, addresses: &Addresses) -> Option<String> {
    use Fault as F;
    let key = match (proxy, fault) {
        // These stand in no file of ours, because our files do not need them.
        (Proxy::Nginx | Proxy::Npm | Proxy::Swag, F::Told) => {
            return Some("proxy_pass_request_headers on;".into());
        }
        (Proxy::Caddy, F::Visitor) => return Some("header_up X-Forwarded-For {remote_host}".into()),
        (Proxy::Nginx | Proxy::Npm | Proxy::Swag, F::Names) => {
            return Some("server { listen 443 ssl default_server; ssl_reject_handshake on; }".into());
        }
        (Proxy::Npm | Proxy::Swag, F::DoesNotAsk) => "auth_request /.doorward/check;",
        (Proxy::Nginx, F::DoesNotAsk) => "include snippets/doorward-authrequest.conf;",
        (Proxy::Nginx | Proxy::Npm | Proxy::Swag, fault) => match fault {
            F::CannotAsk => "/api/authz/auth-request;",
            F::Method => "proxy_set_header X-Original-Method $request_method;",
            F::Address => "proxy_set_header X-Original-URL $scheme",
            F::SignIn => "error_page 401 = @doorward_sign_in;",
            F::Script => "if ($http_accept !~*",
            F::Visitor => "proxy_set_header X-Forwarded-For $remote_addr;",
            F::SetCookie => "add_header Set-Cookie $doorward_cookie;",
            F::Internal => "internal;",
            F::PortalQuestions => "location /api/authz/ {",
            F::Portal => "proxy_pass",
            F::PortalHost => "proxy_set_header Host $http_host;",
            F::WebSocket => "proxy_set_header Upgrade $http_upgrade;",
            F::DoesNotAsk | F::Told | F::Names => return None,
        },
        (Proxy::Caddy, fault) => match fault {
            F::DoesNotAsk => "import doorward",
            F::CannotAsk | F::SignIn | F::SetCookie => "forward_auth http",
            F::Method | F::Script | F::Told => "uri /api/authz/forward-auth",
            F::Address => "route {",
            F::PortalQuestions => "respond @doorward_questions 404",
            F::Portal | F::PortalHost => "reverse_proxy http",
            F::WebSocket => "request_header @doorward_websocket Connection Upgrade",
            F::Visitor | F::Names | F::Internal => return None,
        },
        (Proxy::Traefik, fault) => match fault {
            F::DoesNotAsk => "- doorward\n",
            F::CannotAsk | F::Method | F::SignIn | F::SetCookie => "address:",
            F::Script => "- X-Requested-With",
            F::Told => "authRequestHeaders:",
            F::Address | F::Visitor => "trustForwardHeader: false",
            F::PortalQuestions | F::Portal | F::PortalHost => "!PathPrefix(`/api/authz/`)",
            F::Names | F::Internal | F::WebSocket => return None,
        },
        (Proxy::Haproxy, fault) => match fault {
            F::PortalQuestions => "deny_status 404",
            F::Portal | F::PortalHost => "use_backend doorward",
            F::Method | F::Script | F::Told | F::SetCookie | F::Address => "lua-load /etc/",
            F::Visitor => "http-request set-header X-Forwarded-For",
            F::WebSocket => "http-request set-header Connection upgrade",
            F::DoesNotAsk | F::CannotAsk | F::SignIn => "http-request lua.doorward http",
            F::Names | F::Internal => return None,
        },
        (Proxy::Apache, fault) => match fault {
            F::DoesNotAsk | F::SignIn => "LuaHookAccessChecker",
            F::CannotAsk => "local DOORWARD_HOST",
            F::Method | F::Script | F::Told => "local TOLD",
            F::Address => "UseCanonicalName On",
            F::Visitor => "[\"X-Forwarded-For\"]",
            F::SetCookie => "\"Set-Cookie\"",
            F::PortalQuestions => "<LocationMatch",
            F::Portal => "ProxyPass /",
            F::PortalHost => "ProxyPreserveHost On",
            F::WebSocket => "upgrade=websocket",
            F::Names | F::Internal => return None,
        },
        (Proxy::Envoy, fault) => match fault {
            F::DoesNotAsk => "name: envoy.filters.http.ext_authz",
            F::CannotAsk => "cluster: doorward",
            F::Method | F::Address => "path_prefix:",
            F::SignIn => "{ exact: location }",
            F::Script => "{ exact: x-requested-with }",
            F::Told => "{ exact: cookie }",
            F::Visitor => "{ exact: x-forwarded-for }",
            F::SetCookie => "{ exact: set-cookie }",
            F::PortalQuestions => "prefix: /api/authz/",
            F::Portal | F::PortalHost => "route: { cluster: doorward }",
            F::WebSocket => "upgrade_type: websocket",
            F::Names | F::Internal => return None,
        },
    };
    find(proxy, key, addresses)
}

/// Returns the line that deletes or replaces a header of the client on its way to the app.
pub(super) fn line_for_header(proxy: Proxy, name: &str, addresses: &Addresses) -> Option<String> {
    let name = name.to_ascii_lowercase();
    // Three files delete whole families by a pattern.
    let family = match (proxy, name.contains('_'), name.contains('.')) {
        (Proxy::Caddy, true, _) if name.starts_with("remote") => "request_header -Remote_*",
        (Proxy::Caddy, _, true) => "request_header -Remote.*",
        (Proxy::Haproxy, ..) if name.starts_with("remote") => "del-header ^remote",
        (Proxy::Haproxy, ..) if name.starts_with("x-original") => "del-header ^x[-_.](original",
        (Proxy::Haproxy, ..) => "del-header ^x[-_.]forwarded",
        (Proxy::Envoy, true, _) => "headers_with_underscores_action",
        _ => "",
    };
    let key = match (family, proxy) {
        ("", Proxy::Nginx | Proxy::Npm | Proxy::Swag) => format!("proxy_set_header {name} "),
        ("", Proxy::Caddy) => format!("request_header -{name}"),
        ("", Proxy::Traefik) => format!("{name}: \"\""),
        ("", Proxy::Apache) => format!("requestheader unset {name} "),
        ("", Proxy::Envoy) => format!("- remove: {name}"),
        (family, _) => family.to_owned(),
    };
    find_in(proxy, &key, addresses, true)
}

fn find(proxy: Proxy, key: &str, addresses: &Addresses) -> Option<String> {
    find_in(proxy, key, addresses, false)
}

/// Returns the first line with the key, or the last: what goes to the app stands behind what goes to Doorward.
fn find_in(proxy: Proxy, key: &str, addresses: &Addresses, is_last: bool) -> Option<String> {
    let key = key.to_ascii_lowercase();
    let (key, is_whole) = key.strip_suffix('\n').map_or((key.as_str(), false), |key| (key, true));
    let files = files(proxy, addresses).ok()?;
    let mut lines = files.iter().flat_map(|file| file.text.lines()).map(str::trim);
    let fits = |line: &&str| {
        let line = line.to_ascii_lowercase();
        !line.starts_with('#') && if is_whole { line == key } else { line.contains(key) }
    };
    let found = if is_last { lines.rev().find(fits) } else { lines.find(fits) };
    found.map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses() -> Addresses {
        Addresses {
            portal_origin: "https://auth.home.example".into(),
            doorward: "http://127.0.0.1:9091".into(),
            host: "photos.home.example".into(),
            app: "http://127.0.0.1:3000".into(),
        }
    }

    #[test]
    fn every_proxy_has_a_line_for_what_can_go_wrong_with_it() {
        use Fault as F;
        for proxy in Proxy::ALL {
            for fault in [
                F::DoesNotAsk,
                F::CannotAsk,
                F::Method,
                F::Address,
                F::SignIn,
                F::Script,
                F::Visitor,
                F::SetCookie,
                F::Told,
                F::PortalQuestions,
            ] {
                assert!(line(proxy, fault, &addresses()).is_some(), "{proxy:?} {fault:?}");
            }
            for name in ["Remote-User", "Remote-Groups", "Remote_User", "X-Original-URL"] {
                let line = line_for_header(proxy, name, &addresses());
                // SWAG's own proxy.conf writes the addresses.
                assert!(
                    line.is_some() || proxy == Proxy::Swag && name == "X-Original-URL",
                    "{proxy:?} {name}"
                );
            }
        }
        let nginx = |fault| line(Proxy::Nginx, fault, &addresses()).unwrap();
        assert_eq!(nginx(F::CannotAsk), "proxy_pass http://127.0.0.1:9091/api/authz/auth-request;");
        assert_eq!(nginx(F::Internal), "internal;");
        assert_eq!(
            line_for_header(Proxy::Nginx, "Remote-User", &addresses()).unwrap(),
            "proxy_set_header Remote-User $doorward_user;"
        );
        assert_eq!(line(Proxy::Caddy, F::DoesNotAsk, &addresses()).unwrap(), "import doorward");
    }

    #[test]
    fn a_proxy_is_recognized_by_its_answers() {
        let said = |name: &'static str, value: &'static str| {
            recognize(&HeaderMap::from_iter([(name.parse().unwrap(), value.parse().unwrap())]))
        };
        assert_eq!(said("server", "nginx/1.22.1"), Some(Proxy::Nginx));
        assert_eq!(said("via", "1.1 Caddy"), Some(Proxy::Caddy));
        assert_eq!(said("server", "openresty"), Some(Proxy::Npm));
        assert_eq!(said("server", "BaseHTTP/0.6"), None);
    }
}
