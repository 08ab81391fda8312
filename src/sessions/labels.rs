//! What a browser or program calls itself, in words people know: `Firefox on Linux`. A guess for lists, nothing more.

use crate::words::Words;

/// Returns a short name for a `User-Agent` (RFC 9110 section 10.1.5).
pub fn device_name(label: &str, t: Words) -> String {
    let has = |part: &str| label.contains(part);
    let browser = BROWSERS.iter().find(|(mark, _)| has(mark)).map(|(_, name)| *name);
    let system = SYSTEMS.iter().find(|(mark, _)| has(mark)).map(|(_, name)| *name);
    match (browser, system) {
        (Some(browser), Some(system)) => t.ui_device_on(browser, system),
        (Some(name), None) | (None, Some(name)) => name.to_owned(),
        // A program: `curl/8.5.0`, `my-backup`.
        (None, None) => {
            let first = label.split(['/', ' ', '(']).next().unwrap_or_default().trim();
            let name: String = first.chars().take(40).collect();
            if name.is_empty() || name == "unknown" { t.ui_device_unknown().to_owned() } else { name }
        }
    }
}

/// Marks in the order in which they decide: nearly every browser also claims to be Chrome and Safari.
const BROWSERS: [(&str, &str); 9] = [
    ("Edg/", "Edge"),
    ("EdgA/", "Edge"),
    ("OPR/", "Opera"),
    ("SamsungBrowser/", "Samsung Internet"),
    ("FxiOS/", "Firefox"),
    ("Firefox/", "Firefox"),
    ("CriOS/", "Chrome"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
];

const SYSTEMS: [(&str, &str); 7] = [
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Android", "Android"),
    ("Windows", "Windows"),
    ("Mac OS X", "Mac"),
    ("CrOS", "ChromeOS"),
    ("Linux", "Linux"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_get_names_people_know() {
        for (label, name) in [
            ("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", "Firefox on Linux"),
            (
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36 Edg/140.0",
                "Edge on Windows",
            ),
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 Version/18.0 Mobile/15E148 Safari/604.1",
                "Safari on iPhone",
            ),
            (
                "Mozilla/5.0 (Linux; Android 15) AppleWebKit/537.36 Chrome/140.0 Mobile Safari/537.36",
                "Chrome on Android",
            ),
            ("curl/8.5.0", "curl"),
            ("", "Unknown device"),
            ("unknown", "Unknown device"),
        ] {
            assert_eq!(device_name(label, Words::ENGLISH), name);
        }
    }
}
