//! Languages, and which of them a visitor reads.

/// A language that Doorward speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Lang {
    /// English.
    #[default]
    En,
    /// German.
    De,
}

impl Lang {
    /// Every language, in the order of the switch.
    pub const ALL: [Lang; 2] = [Lang::En, Lang::De];
    /// The name of the cookie in which a visitor's choice is kept. It is readable by scripts and holds no secret.
    pub const COOKIE: &'static str = "dw_lang";

    /// The most languages of a header that are looked at.
    const MOST_WISHES: usize = 16;

    /// Returns the tag of BCP 47.
    pub const fn code(self) -> &'static str {
        match self {
            Lang::En => "en",
            Lang::De => "de",
        }
    }

    /// Returns the name in the language itself.
    pub const fn name(self) -> &'static str {
        match self {
            Lang::En => "English",
            Lang::De => "Deutsch",
        }
    }

    /// Returns the direction of writing, as the attribute `dir` has it.
    pub const fn dir(self) -> &'static str {
        match self {
            Lang::En | Lang::De => "ltr",
        }
    }

    /// Takes a tag such as `de` or `de-AT`; `None` for a language that is not spoken here.
    pub fn from_tag(tag: &str) -> Option<Self> {
        let primary = tag.split('-').next().unwrap_or_default().trim();
        Lang::ALL.into_iter().find(|lang| primary.eq_ignore_ascii_case(lang.code()))
    }

    /// Takes `ui_locales` (OpenID Connect Core 1.0, 3.1.2.1): tags in order of preference, with spaces between.
    pub fn from_locales(locales: &str) -> Option<Self> {
        locales.split(' ').take(Self::MOST_WISHES).find_map(Lang::from_tag)
    }

    /// Takes a header `Accept-Language` (RFC 9110 section 12.5.4): the language of the highest weight, the first of equal
    /// ones.
    pub fn from_header(header: &str) -> Option<Self> {
        let wishes = header.split(',').take(Self::MOST_WISHES).filter_map(|wish| {
            let (tag, parameter) = wish.split_once(';').unwrap_or((wish, ""));
            let weight = match parameter.trim().strip_prefix("q=") {
                Some(weight) => {
                    weight.trim().parse::<f32>().ok().filter(|weight| (0.0..=1.0).contains(weight))?
                }
                None => 1.0,
            };
            Lang::from_tag(tag.trim()).filter(|_| weight > 0.0).map(|lang| (lang, weight))
        });
        wishes.reduce(|best, next| if next.1 > best.1 { next } else { best }).map(|(lang, _)| lang)
    }
}
