//! A browser without scripts, as the conformance suite drives one: it follows redirects, fills in the forms it knows and
//! stops at the app. What real browsers enforce and such a browser does not, it checks: `form-action` of the page that a
//! form came from holds for every redirect that follows, and a POST from another site brings no cookies.

use std::collections::HashMap;

use url::Url;

use super::{ISSUER, PERSON};
use crate::harness::{Answer, Client, PASSWORD};
use crate::oidc::query;

/// Parameters by name.
pub(crate) type Params = HashMap<String, String>;

/// A page that the browser went through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Page {
    SignIn,
    Consent,
    SignOut,
    FormPost,
}

/// Where a visit ended.
#[derive(Debug)]
pub(crate) enum End {
    /// At an address of the app.
    App(Arrival),
    /// On a page of the provider.
    Page(Answer),
}

/// A request that reached the app.
#[derive(Debug)]
pub(crate) struct Arrival {
    pub(crate) method: &'static str,
    /// The address without its query.
    pub(crate) to: String,
    pub(crate) query: Params,
    pub(crate) form: Params,
}

/// A visit of the provider from beginning to end.
#[derive(Debug)]
pub(crate) struct Visit {
    pub(crate) pages: Vec<Page>,
    pub(crate) end: End,
}

impl Visit {
    /// The request that the app got.
    #[track_caller]
    pub(crate) fn at_app(&self) -> &Arrival {
        match &self.end {
            End::App(arrival) => arrival,
            End::Page(answer) => panic!("stuck at a page ({}): {}", answer.status, answer.text()),
        }
    }

    /// The page that was shown instead of going to the app.
    #[track_caller]
    pub(crate) fn at_page(&self) -> &Answer {
        match &self.end {
            End::Page(answer) => answer,
            End::App(arrival) => panic!("went to the app: {arrival:?}"),
        }
    }

    pub(crate) fn showed(&self, page: Page) -> bool {
        self.pages.contains(&page)
    }
}

/// Cookies, and what the person does.
pub(crate) struct Browser {
    pub(crate) client: Client,
    /// Whether the person says yes on the consent page.
    pub(crate) consents: bool,
}

/// What the browser is about to ask for.
struct Step {
    method: &'static str,
    url: String,
    body: Option<Vec<(String, String)>>,
    /// Where the page with the form allows it to lead.
    policy: Option<String>,
    /// Whether the app began it, with redirects that followed.
    is_cross_site: bool,
}

impl Step {
    fn get(url: &str) -> Step {
        Step { method: "GET", url: url.to_owned(), body: None, policy: None, is_cross_site: true }
    }
}

impl Browser {
    /// Goes to a page of the provider by a link or a redirect of the app.
    pub(crate) fn get(&mut self, path: &str) -> Visit {
        self.go(Step::get(path))
    }

    /// Looks at the page that a link leads to and does nothing there.
    pub(crate) fn look(&mut self, path: &str) -> Answer {
        let mut step = Step::get(path);
        loop {
            let url = Url::parse(ISSUER).unwrap().join(&step.url).unwrap();
            assert_eq!(url.origin().ascii_serialization(), ISSUER);
            let answer = self.ask(&url, &step);
            let Some(location) = answer.header("location") else { return answer };
            step = Step::get(location);
        }
    }

    /// Posts a form of the app to the provider.
    pub(crate) fn post(&mut self, path: &str, fields: &[(String, String)]) -> Visit {
        self.go(Step {
            method: "POST",
            url: path.to_owned(),
            body: Some(fields.to_vec()),
            policy: None,
            is_cross_site: true,
        })
    }

    fn go(&mut self, first: Step) -> Visit {
        let mut pages = Vec::new();
        let mut step = first;
        for _ in 0..20 {
            let url = Url::parse(ISSUER).unwrap().join(&step.url).unwrap();
            if let Some(policy) = &step.policy {
                assert!(leads_to(policy, &url), "the page's form may not lead to {url}: {policy}");
            }
            if url.origin().ascii_serialization() != ISSUER {
                return Visit { pages, end: End::App(arrive(&url, &step)) };
            }
            let answer = self.ask(&url, &step);
            if let Some(location) = answer.header("location") {
                assert!(matches!(answer.status, 302 | 303), "{} would repeat a POST", answer.status);
                step = Step { policy: step.policy, is_cross_site: step.is_cross_site, ..Step::get(location) };
                continue;
            }
            let Some((page, next)) = self.act(&answer) else {
                return Visit { pages, end: End::Page(answer) };
            };
            pages.push(page);
            step = next;
        }
        panic!("goes in circles: {pages:?}");
    }

    fn ask(&mut self, url: &Url, step: &Step) -> Answer {
        let path = &url[url::Position::BeforePath..url::Position::AfterQuery];
        let (fetch_site, origin) = if step.is_cross_site {
            ("cross-site", "https://app.example.org")
        } else {
            ("same-origin", ISSUER)
        };
        let mut headers = vec![("Accept", "text/html"), ("Sec-Fetch-Site", fetch_site)];
        let mut body = String::new();
        if let Some(fields) = &step.body {
            headers.push(("Content-Type", "application/x-www-form-urlencoded"));
            headers.push(("Origin", origin));
            body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        }
        if step.method == "GET" || !step.is_cross_site {
            return self.client.send(step.method, path, &headers, body.as_bytes());
        }
        // SameSite=Lax.
        let kept = std::mem::take(&mut self.client.cookies);
        let answer = self.client.send(step.method, path, &headers, body.as_bytes());
        assert!(self.client.cookies.is_empty(), "a POST of another site changed cookies");
        self.client.cookies = kept;
        answer
    }

    /// Does what a person would on a page; `None` on one that waits for nothing.
    fn act(&self, answer: &Answer) -> Option<(Page, Step)> {
        let html = answer.text();
        let (page, form) = if let Some(mut form) = Form::find(&html, "sign-in") {
            assert!(html.contains("id=\"sign-in-submit\""));
            form.set("username", PERSON);
            form.set("password", PASSWORD);
            (Page::SignIn, form)
        } else if let Some(mut form) = Form::find(&html, "consent-form") {
            form.press(if self.consents { "consent-allow" } else { "consent-deny" });
            (Page::Consent, form)
        } else if let Some(mut form) = Form::find(&html, "sign-out-form") {
            form.press("sign-out-confirm");
            (Page::SignOut, form)
        } else if let Some(mut form) = Form::find(&html, "form-post") {
            assert!(
                html.contains("<script type=\"module\" src=\"/") && html.contains("form_post"),
                "no script posts the form"
            );
            form.press("form-post-submit");
            (Page::FormPost, form)
        } else {
            return None;
        };
        assert_eq!(answer.status, 200);
        assert_eq!(form.method, "post");
        let policy = answer.header("content-security-policy").expect("a policy").to_owned();
        let step = Step {
            method: "POST",
            url: form.action,
            body: Some(form.fields),
            policy: Some(policy),
            is_cross_site: false,
        };
        Some((page, step))
    }
}

fn arrive(url: &Url, step: &Step) -> Arrival {
    assert_eq!(url.fragment(), None, "answers travel in no fragment");
    let query: Vec<(String, String)> = url.query_pairs().into_owned().collect();
    Arrival {
        method: step.method,
        to: url[..url::Position::AfterPath].to_owned(),
        query: params(query),
        form: params(step.body.clone().unwrap_or_default()),
    }
}

fn params(pairs: Vec<(String, String)>) -> Params {
    let count = pairs.len();
    let params: Params = pairs.into_iter().collect();
    assert_eq!(params.len(), count, "a parameter came twice: {params:?}");
    params
}

/// Tells whether `form-action` of a policy allows `url` (CSP level 3 section 6.6.2.6).
fn leads_to(policy: &str, url: &Url) -> bool {
    let sources = policy.split(';').find_map(|part| part.trim().strip_prefix("form-action "));
    let origin = url.origin().ascii_serialization();
    sources.unwrap_or_default().split(' ').any(|source| match source {
        "'self'" => origin == ISSUER,
        source => source == origin || source.strip_suffix(':') == Some(url.scheme()),
    })
}

/// A form of a page.
pub(crate) struct Form {
    method: String,
    action: String,
    fields: Vec<(String, String)>,
    /// Buttons by id, with name and value.
    buttons: Vec<(String, Option<(String, String)>)>,
}

impl Form {
    /// Finds the form with an id.
    pub(crate) fn find(html: &str, id: &str) -> Option<Form> {
        let forms = html.match_indices("<form").map(|(at, _)| &html[at..]);
        let form = forms.map(|rest| &rest[..rest.find("</form>").expect("the form ends")]);
        let form = form.filter(|form| attribute(tag(form), "id").as_deref() == Some(id)).next()?;
        let named = |tag: &str| {
            attribute(tag, "name").map(|name| (name, attribute(tag, "value").unwrap_or_default()))
        };
        let tags = |kind: &'static str| form.match_indices(kind).map(|(at, _)| tag(&form[at..]));
        let is_ticked =
            |tag: &&str| attribute(tag, "type").as_deref() != Some("checkbox") || tag.contains(" checked");
        Some(Form {
            method: attribute(tag(form), "method").unwrap_or_default(),
            action: attribute(tag(form), "action").unwrap_or_default(),
            fields: tags("<input").filter(is_ticked).filter_map(named).collect(),
            buttons: tags("<button").filter_map(|tag| Some((attribute(tag, "id")?, named(tag)))).collect(),
        })
    }

    fn set(&mut self, name: &str, value: &str) {
        let field = self.fields.iter_mut().find(|(own, _)| own == name);
        value.clone_into(&mut field.unwrap_or_else(|| panic!("no field {name}")).1);
    }

    #[track_caller]
    fn press(&mut self, id: &str) {
        let button = self.buttons.iter().find(|(own, _)| own == id);
        let (_, field) = button.unwrap_or_else(|| panic!("no button {id}"));
        self.fields.extend(field.clone());
    }
}

/// The first tag of a piece of a page.
fn tag(html: &str) -> &str {
    &html[..html.find('>').expect("the tag ends")]
}

fn attribute(tag: &str, name: &str) -> Option<String> {
    let (_, rest) = tag.split_once(&format!(" {name}=\""))?;
    Some(unescape(&rest[..rest.find('"')?]))
}

/// Reads character references, each once.
fn unescape(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('&') {
        let (entity, after) = after.split_once(';').expect("a character reference ends");
        out.push_str(before);
        out.push(match entity {
            "amp" => '&',
            "lt" => '<',
            "gt" => '>',
            "quot" => '"',
            number => char::from_u32(number.strip_prefix('#').unwrap().parse().unwrap()).unwrap(),
        });
        rest = after;
    }
    out + rest
}

/// Writes an address with a query.
pub(crate) fn with_query(path: &str, pairs: &[(String, String)]) -> String {
    let pairs: Vec<(&str, &str)> =
        pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    format!("{path}?{}", query(&pairs))
}
