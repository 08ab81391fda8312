//! The types of settings: how each is written, what is allowed, and how it is read.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

use super::domains::ProtectedDomain;
use crate::kernel::secret::SecretText;
use crate::kernel::text::Username;

/// How a value is written in TOML.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// `"text"`.
    Text,
    /// `42`.
    Integer,
    /// `true` or `false`.
    Switch,
    /// `["a", "b"]`; comma-separated in the environment and on the command line.
    List,
    /// `42` or `"auto"`.
    IntegerOrText,
}

/// Reads a text. An error says more than what is allowed, or is empty.
type Read<T> = Box<dyn Fn(&str) -> Result<T, String> + Send + Sync>;

/// Reads one kind of value.
pub(super) struct Reader<T> {
    pub shape: Shape,
    /// What is allowed, as the end of a sentence: “a number from 0 to 60”.
    pub allowed: String,
    pub read: Read<T>,
}

impl<T: 'static> Reader<T> {
    fn new(
        shape: Shape,
        allowed: impl Into<String>,
        read: impl Fn(&str) -> Option<T> + Send + Sync + 'static,
    ) -> Self {
        Reader {
            shape,
            allowed: allowed.into(),
            read: Box::new(move |text| read(text).ok_or_else(String::new)),
        }
    }

    /// Lets an empty text stand for “none”.
    pub(super) fn or_none(self) -> Reader<Option<T>> {
        let read = self.read;
        Reader {
            shape: self.shape,
            allowed: format!("{}, or nothing", self.allowed),
            read: Box::new(move |text| if text.is_empty() { Ok(None) } else { read(text).map(Some) }),
        }
    }

    /// Lets `word` stand for “none”.
    pub(super) fn or_word(self, word: &'static str) -> Reader<Option<T>> {
        let read = self.read;
        let shape = if self.shape == Shape::Integer { Shape::IntegerOrText } else { self.shape };
        Reader {
            shape,
            allowed: format!("{}, or “{word}”", self.allowed),
            read: Box::new(move |text| if text == word { Ok(None) } else { read(text).map(Some) }),
        }
    }
}

/// A path.
pub(super) fn path() -> Reader<PathBuf> {
    Reader::new(Shape::Text, "a path", |text| (!text.is_empty()).then(|| PathBuf::from(text)))
}

/// A whole number in a range, as any unsigned type.
pub(super) fn number<T: TryFrom<u64> + 'static>(least: u64, most: u64) -> Reader<T> {
    Reader::new(Shape::Integer, format!("a number from {least} to {most}"), move |text| {
        let number: u64 = text.parse().ok()?;
        if (least..=most).contains(&number) { T::try_from(number).ok() } else { None }
    })
}

/// A number of units of `unit` seconds.
pub(super) fn span(unit: u64, least: u64, most: u64) -> Reader<Duration> {
    let number = number::<u64>(least, most);
    let read = number.read;
    Reader {
        shape: number.shape,
        allowed: number.allowed,
        read: Box::new(move |text| read(text).map(|count| Duration::from_secs(count * unit))),
    }
}

/// A number of mebibytes, as bytes.
pub(super) fn mebibytes(least: u64, most: u64) -> Reader<u64> {
    let number = number::<u64>(least, most);
    let read = number.read;
    Reader {
        shape: number.shape,
        allowed: number.allowed,
        read: Box::new(move |text| read(text).map(|count| count * 1024 * 1024)),
    }
}

/// `true` or `false`.
pub(super) fn switch() -> Reader<bool> {
    Reader::new(Shape::Switch, "true or false", |text| text.parse().ok())
}

/// `ADDRESS:PORT`; `localhost` stands for 127.0.0.1.
pub(super) fn socket() -> Reader<SocketAddr> {
    Reader::new(Shape::Text, "ADDRESS:PORT, such as 127.0.0.1:8080 or 0.0.0.0:8080", |text| {
        match text.strip_prefix("localhost:") {
            Some(port) => Some(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port.parse().ok()?)),
            None => text.parse().ok(),
        }
    })
}

/// A list of networks that this program may call, none of which is everybody (OA-12).
pub(super) fn networks_to_reach() -> Reader<Vec<IpNet>> {
    let parse =
        |item: &str| parse_narrow_network(item, "is everybody; name the network of your apps instead");
    Reader {
        shape: Shape::List,
        allowed: "a list of addresses or networks, such as [\"192.168.1.0/24\"]".to_owned(),
        read: Box::new(move |text| {
            text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(parse).collect()
        }),
    }
}

/// A list of networks, none of which is everybody (FWD-01).
pub(super) fn networks() -> Reader<Vec<IpNet>> {
    Reader {
        shape: Shape::List,
        allowed: "a list of addresses or networks, such as [\"172.18.0.0/16\"]".to_owned(),
        read: Box::new(|text| {
            text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(parse_network).collect()
        }),
    }
}

/// A user name.
pub(super) fn username() -> Reader<Username> {
    Reader {
        shape: Shape::Text,
        allowed: "a username".to_owned(),
        read: Box::new(|text| Username::parse(text).map_err(|error| error.to_string())),
    }
}

/// A secret that is kept as it stands, but for the line end that editors add.
pub(super) fn secret() -> Reader<SecretText> {
    Reader::new(Shape::Text, "a text", |text| {
        let text = text.trim_end_matches(['\r', '\n']);
        (!text.is_empty()).then(|| SecretText::new(text.to_owned()))
    })
}

/// Where browsers find Doorward: scheme, host and port, nothing else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebOrigin(url::Url);

impl WebOrigin {
    /// Parses `https://auth.example.org[:port][/]`. Errors are ends of sentences.
    pub fn parse(text: &str) -> Result<Self, String> {
        let url = url::Url::parse(text).map_err(|_| String::new())?;
        let is_bare = url.path() == "/"
            && url.query().is_none()
            && url.fragment().is_none()
            && url.username().is_empty()
            && url.password().is_none()
            && !text.contains('@');
        if !matches!(url.scheme(), "http" | "https") || !is_bare || url.host_str().is_none() {
            return Err("only scheme, host and port belong here".to_owned());
        }
        Ok(WebOrigin(url))
    }

    /// Returns `https://auth.example.org`, with the port if it is not the scheme's own, without a slash.
    pub fn to_text(&self) -> String {
        self.0.origin().ascii_serialization()
    }

    /// Returns the host: lower-case, without port.
    pub fn host(&self) -> &str {
        self.0.host_str().unwrap_or_default()
    }

    /// Tells whether the scheme is https.
    pub fn is_https(&self) -> bool {
        self.0.scheme() == "https"
    }

    /// Tells whether the host is this very machine, which browsers treat as secure over plain HTTP.
    pub fn is_loopback(&self) -> bool {
        match self.0.host() {
            Some(url::Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
            Some(url::Host::Ipv4(address)) => address.is_loopback(),
            Some(url::Host::Ipv6(address)) => address.is_loopback(),
            None => false,
        }
    }
}

impl fmt::Display for WebOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_text())
    }
}

/// An origin.
pub(super) fn web_origin() -> Reader<WebOrigin> {
    Reader {
        shape: Shape::Text,
        allowed: "an address such as https://auth.example.org".to_owned(),
        read: Box::new(WebOrigin::parse),
    }
}

/// Checks a domain whose hosts shall share a cookie (forward-auth): lower-case, with a dot, no address, no port, and
/// not a public suffix, where strangers would share it too. Errors are ends of sentences.
pub fn parse_cookie_domain(text: &str) -> Result<String, String> {
    let domain = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
    if domain.starts_with('.') {
        return Err("leave the leading dot out".to_owned());
    }
    let is_label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    };
    if domain.len() > 253 || domain.parse::<IpAddr>().is_ok() || !domain.split('.').all(is_label) {
        return Err(String::new());
    }
    // A last label that is a number makes it an IPv4 address for browsers (WHATWG URL, "ends in a number").
    let last = domain.rsplit('.').next().unwrap_or_default();
    if last.starts_with("0x") || last.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err("an address cannot be shared by several apps".to_owned());
    }
    if psl2::lookup(&domain).and_then(|found| found.registrable_domain()).is_none() {
        return Err("strangers can have names directly below this one; take a domain of your own".to_owned());
    }
    Ok(domain)
}

/// A parent domain.
pub(super) fn cookie_domain() -> Reader<String> {
    Reader {
        shape: Shape::Text,
        allowed: "a domain of your own, such as example.org".to_owned(),
        read: Box::new(parse_cookie_domain),
    }
}

/// A list of root domains.
pub(super) fn protected_domains() -> Reader<Vec<ProtectedDomain>> {
    Reader {
        shape: Shape::List,
        allowed: "a list of domains of your own, such as [\"home.example\", \"other.example portal=auth.other.example\", \"third.example cookie=host\"]".to_owned(),
        read: Box::new(|text| ProtectedDomain::parse_list(text).map_err(|why| why.english())),
    }
}

/// So many in so much time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// How many; at least 1.
    pub count: u32,
    /// In this time; at least a second.
    pub window: Duration,
}

/// `COUNT/TIME`.
pub(super) fn rate() -> Reader<Rate> {
    Reader::new(Shape::Text, "COUNT/TIME, such as 5/5m or 100/1h", |text| {
        let (count, window) = text.split_once('/')?;
        let count: u32 = count.trim().parse().ok()?;
        let window = parse_time(window.trim())?;
        (count > 0 && count <= 1_000_000).then_some(Rate { count, window })
    })
}

/// A time with its unit.
pub(super) fn time() -> Reader<Duration> {
    Reader::new(Shape::Text, "a time such as 30s, 15m, 12h or 7d", parse_time)
}

fn parse_time(text: &str) -> Option<Duration> {
    let unit = text.chars().last()?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 86_400,
        _ => return None,
    };
    let count: u64 = text.strip_suffix(unit)?.parse().ok()?;
    (count > 0 && count <= 10_000).then(|| Duration::from_secs(count * seconds))
}

macro_rules! choice {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name { $($(#[$variant_doc])* $variant),+ }

        impl $name {
            /// Every choice, as it is written.
            pub const CHOICES: &'static [&'static str] = &[$($text),+];

            /// Reads a choice.
            pub fn parse(text: &str) -> Option<Self> {
                match text { $($text => Some($name::$variant),)+ _ => None }
            }

            /// Returns the choice as it is written.
            pub fn as_str(self) -> &'static str {
                match self { $($name::$variant => $text),+ }
            }

            pub(super) fn reader() -> Reader<Self> {
                Reader::new(Shape::Text, format!("one of {}", Self::CHOICES.join(", ")), Self::parse)
            }
        }
    };
}

choice!(
    /// Who may make an account.
    Registration {
        /// Nobody; admins make accounts.
        Closed = "closed",
        /// People with an invitation.
        Invitation = "invitation",
        /// Everybody.
        Open = "open",
    }
);
choice!(
    /// What decides where an `Authorization` header is not for us.
    UnknownAuthorization {
        /// The cookie.
        Cookie = "cookie",
        /// Nothing: it is refused.
        Refuse = "refuse",
    }
);
choice!(
    /// Who must have a second factor.
    SecondFactor {
        /// Nobody must.
        Optional = "optional",
        /// Admins and the owner.
        Admins = "admins",
        /// Everybody.
        Everyone = "everyone",
    }
);
choice!(
    /// How log lines look.
    LogFormat {
        /// For people.
        Text = "text",
        /// For machines: one JSON object a line.
        Json = "json",
    }
);
choice!(
    /// What is logged.
    LogLevel {
        /// Only what is broken.
        Error = "error",
        /// What needs a look.
        Warn = "warn",
        /// What happens.
        Info = "info",
        /// How it happens.
        Debug = "debug",
        /// Everything.
        Trace = "trace",
    }
);

/// Parses a network (`10.0.0.0/8`) or a single address, and refuses the ones that would trust everybody (FWD-01).
/// Errors are sentences.
pub fn parse_network(text: &str) -> Result<IpNet, String> {
    parse_narrow_network(text, "would trust everybody; name the address of the reverse proxy instead")
}

/// Parses a network or an address, and refuses what holds everybody with the end of a sentence.
fn parse_narrow_network(text: &str, if_everybody: &str) -> Result<IpNet, String> {
    let text = text.trim();
    let network = match text.parse::<IpNet>() {
        Ok(network) => network.trunc(),
        Err(_) => text
            .parse::<IpAddr>()
            .map(|address| IpNet::from(address.to_canonical()))
            .map_err(|_| format!("“{text}” is neither an address nor a network"))?,
    };
    let is_everybody = match network {
        IpNet::V4(_) => network.prefix_len() == 0,
        // ::/0 up to ::ffff:0:0/96 hold every v4-mapped address.
        IpNet::V6(v6) => {
            network.prefix_len() == 0
                || (network.prefix_len() <= 96
                    && v6.contains(&std::net::Ipv4Addr::new(192, 0, 2, 1).to_ipv6_mapped()))
        }
    };
    if is_everybody {
        return Err(format!("{text} {if_everybody}"));
    }
    Ok(network)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// FWD-01: a list that trusts everybody is refused.
    #[test]
    fn networks_that_trust_everybody_are_refused() {
        for bad in
            ["0.0.0.0/0", "10.0.0.1/0", "::/0", "::ffff:0:0/96", "::/64", "", "proxy.local", "10.0.0.0/33"]
        {
            assert!(parse_network(bad).is_err(), "{bad}");
        }
        for (good, network) in [
            ("10.1.2.3/8", "10.0.0.0/8"),
            ("172.18.0.3", "172.18.0.3/32"),
            ("fd00::/8", "fd00::/8"),
            ("::1", "::1/128"),
            (" ::ffff:10.0.0.1 ", "10.0.0.1/32"),
        ] {
            assert_eq!(parse_network(good).unwrap().to_string(), network);
        }
    }

    #[test]
    fn rates_and_times_have_units() {
        let rate = |text: &str| (rate().read)(text).ok().map(|rate| (rate.count, rate.window.as_secs()));
        assert_eq!(rate("5/5m"), Some((5, 300)));
        assert_eq!(rate("100 / 1h"), Some((100, 3600)));
        for bad in
            ["", "5", "5/", "/5m", "0/5m", "5/0m", "5/5", "5/5w", "-5/5m", "5/5m/5", "9999999/1s", "5/ä"]
        {
            assert_eq!(rate(bad), None, "{bad}");
        }
        assert_eq!((time().read)("12h"), Ok(Duration::from_secs(43_200)));
    }

    #[test]
    fn an_origin_is_scheme_host_and_port() {
        let origin = |text: &str| WebOrigin::parse(text).map(|origin| origin.to_text());
        assert_eq!(origin("https://Auth.Example.org/").as_deref(), Ok("https://auth.example.org"));
        assert_eq!(origin("https://auth.example.org:443").as_deref(), Ok("https://auth.example.org"));
        assert_eq!(origin("http://localhost:8080").as_deref(), Ok("http://localhost:8080"));
        for bad in [
            "",
            "auth.example.org",
            "https://",
            "https://a/x",
            "https://a?x",
            "https://a#x",
            "https://u@a",
            "https://@a",
            "ftp://a",
            "javascript:a",
        ] {
            assert!(origin(bad).is_err(), "{bad}");
        }
        assert!(WebOrigin::parse("http://x.localhost").unwrap().is_loopback());
        assert!(!WebOrigin::parse("http://localhost.example.org").unwrap().is_loopback());
    }

    #[test]
    fn a_cookie_domain_is_no_public_suffix() {
        for good in ["example.org", "Home.Lan", "me.duckdns.org", "sub.example.co.uk", "city.kawasaki.jp"] {
            assert_eq!(parse_cookie_domain(good), Ok(good.to_ascii_lowercase()), "{good}");
        }
        assert_eq!(parse_cookie_domain("example.org.").as_deref(), Ok("example.org"));
        for bad in [
            "",
            "org",
            "co.uk",
            "duckdns.org",
            "github.io",
            "any.kawasaki.jp",
            "xn--55qx5d.cn",
            ".example.org",
            "example.org..",
            "192.168.1.5",
            "168.1.5",
            "::1",
            "example.org:443",
            "a b.org",
            "*.example.org",
        ] {
            assert!(parse_cookie_domain(bad).is_err(), "{bad}");
        }
    }
}
