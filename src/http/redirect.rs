//! Where a person may be sent after signing in or out: our own pages and protected apps, nowhere else (WEB-11).

use url::{Host, Url};

use super::address::is_loopback_name;

/// Longer targets are ignored. Authorization requests with claims are long.
const MAX_LENGTH: usize = 8192;

/// Checks `rd` and returns the URL to send, re-serialised by the parser that judged it.
///
/// Allowed are paths of `own_origin` (`https://auth.example.org`), URLs of that very origin, and `https` URLs whose
/// host `is_protected_host` accepts (given lower-case, without port, IDNA-encoded); `http` ones too if `own_origin`
/// is itself without TLS, as in a lab. Everything that parsers are known
/// to read differently is refused: user info, backslashes, control characters, spaces, `//host`, encoded hosts,
/// schemes without two slashes.
pub fn safe_return_target(
    rd: &str,
    own_origin: &str,
    is_protected_host: impl Fn(&str) -> bool,
) -> Option<Url> {
    if rd.is_empty()
        || rd.len() > MAX_LENGTH
        || !rd.bytes().all(|byte| byte.is_ascii_graphic() || byte >= 0x80)
    {
        return None;
    }
    if rd.contains('\\') || rd.chars().any(|character| character.is_control() || character.is_whitespace()) {
        return None;
    }
    let own = Url::parse(own_origin).ok()?;
    let target = if rd.starts_with('/') {
        if rd.starts_with("//") {
            return None;
        }
        own.join(rd).ok()?
    } else {
        authority_is_plain(rd)?;
        Url::parse(rd).ok()?
    };
    // Escapes may have made it longer than what would be taken again.
    let is_long = target.as_str().len() > MAX_LENGTH;
    if is_long
        || !target.username().is_empty()
        || target.password().is_some()
        || target.path().starts_with("//")
    {
        return None;
    }
    if target.origin() == own.origin() {
        return Some(target);
    }
    // A lab without TLS leads to apps without TLS; an https portal never leads out of https.
    let is_lab = own.scheme() == "http";
    if target.scheme() != "https" && !is_lab {
        return None;
    }
    let host = match target.host()? {
        Host::Domain(name) if is_plain_name(name) && (is_lab || !is_loopback_name(name)) => name,
        _ => return None,
    };
    is_protected_host(host).then_some(target)
}

/// Checks that an absolute URL spells its scheme and host out: `https://host[:port]` in ASCII, as it stands in a `Host`
/// header, then `/`, `?`, `#` or the end.
fn authority_is_plain(rd: &str) -> Option<()> {
    let (scheme, rest) = rd.split_once("://")?;
    if !scheme.eq_ignore_ascii_case("https") && !scheme.eq_ignore_ascii_case("http") {
        return None;
    }
    let authority = rest.split(['/', '?', '#']).next()?;
    (!authority.is_empty() && authority.is_ascii() && !authority.contains(['@', '%'])).then_some(())
}

/// The URL standard lets a host hold `;`, `&` and more. No name of an app does.
fn is_plain_name(name: &str) -> bool {
    !name.ends_with('.')
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_'))
}

/// Returns the origin of a URL as a Content-Security-Policy source: `https://host[:port]`.
pub fn origin_of(url: &Url) -> String {
    url.origin().ascii_serialization()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(rd: &str) -> Option<String> {
        safe_return_target(rd, "https://auth.example.org", |host| {
            host == "example.org" || host.ends_with(".example.org")
        })
        .map(String::from)
    }

    /// WEB-11: own pages and protected apps, re-serialised.
    #[test]
    fn own_pages_and_protected_apps_are_allowed() {
        for (rd, sent) in [
            ("/", "https://auth.example.org/"),
            ("/account", "https://auth.example.org/account"),
            ("/account?x=https://evil.example/", "https://auth.example.org/account?x=https://evil.example/"),
            ("/a/../b", "https://auth.example.org/b"),
            ("/@evil.example", "https://auth.example.org/@evil.example"),
            ("https://auth.example.org", "https://auth.example.org/"),
            ("https://auth.example.org:443/x", "https://auth.example.org/x"),
            ("HTTPS://App.Example.ORG/x?y=z#f", "https://app.example.org/x?y=z#f"),
            ("https://app.example.org:8443/", "https://app.example.org:8443/"),
            ("https://example.org/ä?ö", "https://example.org/%C3%A4?%C3%B6"),
            ("https://app.example.org/?next=//evil.example", "https://app.example.org/?next=//evil.example"),
        ] {
            assert_eq!(check(rd).as_deref(), Some(sent), "{rd}");
        }
    }

    /// WEB-11: what leads elsewhere, or might be read so by some browser, is refused.
    #[test]
    fn everything_else_is_refused() {
        let table = r"
            //evil.example
            ///evil.example
            ////evil.example
            //evil.example/%2f..
            //app.example.org
            //app.example.org@evil.example
            /\evil.example
            /\/evil.example
            \/evil.example
            \\evil.example
            /a\b
            \evil.example
            https:evil.example
            https:/evil.example
            https:///evil.example
            https:////evil.example
            https:\\evil.example
            https:/\evil.example
            https:app.example.org
            https:/app.example.org
            https:///app.example.org
            http://evil.example
            http://app.example.org
            http://auth.example.org
            https://evil.example
            https://evil.example/app.example.org
            https://evil.example?app.example.org
            https://evil.example#app.example.org
            https://evil.example?.example.org
            https://evil.example#.example.org
            https://evil.example/.example.org
            https://evil.example\.example.org
            https://evil.example%2f.example.org
            https://evil.example%23.example.org
            https://evil.example%3f.example.org
            https://evil.example%5c.example.org
            https://evil.example%00.example.org
            https://evil.example;.example.org
            https://evil.example&.example.org
            https://app.example.org@evil.example
            https://app.example.org:443@evil.example
            https://user@app.example.org
            https://user:password@app.example.org
            https://@app.example.org
            https://:@app.example.org
            https://evil.example@app.example.org
            https://app.example.org%40evil.example
            https://app.example.org%2eevil.example
            https://%61pp.example.org
            https://app.example.org.
            https://app.example.org.evil.example
            https://app.example.orgevil.example
            https://evilexample.org
            https://example.org.evil.example
            https://app.example.org:443.evil.example
            https://app.example.org:99999
            https://app.example.org:x
            https://app。example。org.evil.example
            https://evil。example
            https://evil.example/https://app.example.org
            https://127.0.0.1
            https://[::1]
            https://2130706433
            https://0x7f.1
            https://017700000001
            https://localhost
            https://app.localhost
            https://
            https:
            https
            http:
            http://
            ://app.example.org
            :app.example.org
            app.example.org
            app.example.org:443
            auth.example.org/x
            ftp://app.example.org
            wss://app.example.org
            file:///etc/passwd
            javascript:alert(1)
            JaVaScRiPt:alert(1)
            javascript://app.example.org/%0aalert(1)
            data:text/html,x
            vbscript:x
            blob:https://app.example.org/x
            about:blank
            mailto:a@app.example.org
            view-source:https://app.example.org
            intent://app.example.org
            https://https://app.example.org
            ?x
            #x
            .
            ..
            ./x
            ../x
            x
            @app.example.org
            /..//evil.example
            /.//evil.example
            /x/..//evil.example
            /%2e//evil.example
            https://auth.example.org//evil.example
            〱evil.example
            ";
        for rd in table.lines().map(str::trim).filter(|line| !line.is_empty()) {
            assert_eq!(check(rd), None, "{rd}");
        }
        for rd in [
            "",
            " ",
            " /",
            "/ ",
            "\t/",
            "/\t/evil.example",
            "/\n/evil.example",
            "/\r\n/evil.example",
            "\u{a0}//evil.example",
            "ht\ttps://evil.example",
            "https://app.example.org\0",
            "https://app.example.org\n.evil.example",
            "/\0",
            "/\u{7f}",
            "https://app.example.org /",
            "https:// app.example.org",
            "java\nscript:alert(1)",
            "\u{1}javascript:alert(1)",
            "\u{2028}//evil.example",
            "/\u{85}x",
            "https://evil.example\u{2215}.example.org",
            &format!("/{}", "a".repeat(8192)),
            &format!("/{}", "ä".repeat(2000)),
        ] {
            assert_eq!(check(rd), None, "{rd:?}");
        }
    }

    /// A long authorization request survives as a target, up to the bound as it is sent.
    #[test]
    fn long_targets_are_allowed_up_to_the_bound() {
        let own = "https://auth.example.org".len();
        assert!(check(&format!("/{}", "a".repeat(8192 - own - 1))).is_some());
        assert!(check(&format!("/{}", "a".repeat(8192 - own))).is_none());
        assert!(check(&format!("/{}", "ä".repeat(1300))).is_some());
    }

    #[test]
    fn a_lab_without_tls_leads_to_apps_without_tls() {
        let check = |rd: &str| {
            safe_return_target(rd, "http://localhost:8080", |host| host == "app.example.org")
                .map(String::from)
        };
        assert_eq!(check("/account").as_deref(), Some("http://localhost:8080/account"));
        assert_eq!(check("http://localhost:8080/x").as_deref(), Some("http://localhost:8080/x"));
        assert_eq!(check("http://app.example.org/").as_deref(), Some("http://app.example.org/"));
        assert_eq!(check("https://app.example.org/").as_deref(), Some("https://app.example.org/"));
        for rd in [
            "http://localhost:9090/x",
            "https://localhost:8080/x",
            "http://evil.example/",
            "ftp://app.example.org/",
        ] {
            assert_eq!(check(rd), None, "{rd}");
        }
    }
}
