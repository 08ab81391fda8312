//! Administration: access rules.

use askama::Template;

use super::frame::{Frame, Kind};
use super::parts::{Badge, Choice, FieldErrors};

/// A piece of a rule's sentence; names are set apart from words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Words {
    /// The text, without spaces around it.
    pub text: String,
    /// Whether it is a name (a group, a host) rather than a word.
    pub is_name: bool,
}

impl Words {
    /// Makes plain words.
    pub fn plain(text: impl Into<String>) -> Self {
        Words { text: text.into(), is_name: false }
    }

    /// Makes a name.
    pub fn name(text: impl Into<String>) -> Self {
        Words { text: text.into(), is_name: true }
    }
}

/// One access rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleRow {
    /// `/admin/rules/{id}`.
    pub url: String,
    /// Place in the order, from 1.
    pub position: usize,
    /// "People in / family / may open / photos.home.example / with / one factor".
    pub sentence: Vec<Words>,
    /// The remark of whoever wrote it; may be empty.
    pub note: String,
    /// `Open to all`, `Password`, `Two factors`, `Refused`.
    pub badge: Badge,
    /// Whether it is in the draft and not in force.
    pub is_new: bool,
    /// Whether it is the first rule.
    pub is_first: bool,
    /// Whether it is the last rule.
    pub is_last: bool,
    /// Whether the test below was decided by this rule.
    pub decided: bool,
}

/// What the test box was asked and what came out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RuleTest {
    /// Username; empty for nobody signed in.
    pub user: String,
    /// Address to open.
    pub address: String,
    /// Where the request comes from; may be empty.
    pub from: String,
    /// Request methods.
    pub methods: Vec<Choice>,
    /// The answers: of the draft, if there is one, and of the rules in force. None before a test.
    pub verdicts: Vec<Verdict>,
}

/// The answer of the test box.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// `Ok` for allowed, `Danger` for refused, `Warn` for "must sign in first".
    pub kind: Kind,
    /// Whose answer it is, where there are two; may be empty.
    pub title: String,
    /// One sentence, naming the rule that decided.
    pub text: String,
    /// One sentence for every rule that was looked at.
    pub reasons: Vec<String>,
}

/// One difference between the draft and the rules in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DraftChange {
    /// `New`, `Gone`, `Moved`.
    pub badge: Badge,
    /// The rule in words.
    pub sentence: Vec<Words>,
    /// Where it moves; may be empty.
    pub detail: String,
}

/// A list that is not in force yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DraftNote {
    /// How it differs from the rules in force; empty if it does not.
    pub changes: Vec<DraftChange>,
    /// How many changes there are beside those.
    pub more: usize,
    /// Sent back with applying and discarding.
    pub version: u64,
    /// Whether the rules in force are still those it began with, so that it can be applied.
    pub is_current: bool,
    /// Whether the page shows the draft, rather than the rules in force.
    pub is_shown: bool,
}

/// `GET /admin/rules`; the test box sends GET `/admin/rules?user=…&address=…&method=…&from=…`.
///
/// Forms, POST below a rule's `url`: `/move` (`csrf`, `direction`: `up` or `down`), `/remove` (`csrf`). Forms, POST below
/// `/admin/rules/draft`: `/apply`, `/discard` (`csrf`, `version`).
#[derive(Debug, Template)]
#[template(path = "admin/rules.html")]
pub struct Rules {
    /// Common parts.
    pub frame: Frame,
    /// Rules in order.
    pub rules: Vec<RuleRow>,
    /// Whether they cannot be changed here, because the draft is what is changed.
    pub is_fixed: bool,
    /// The draft, if there is one.
    pub draft: Option<DraftNote>,
    /// Sentences about rules that never decide, or match more than was meant.
    pub warnings: Vec<String>,
    /// What happens if no rule matches: "Everything else is refused."
    pub otherwise: String,
    /// Whether the test was decided by no rule at all.
    pub otherwise_decided: bool,
    /// The test box.
    pub test: RuleTest,
    /// Errors on `user`, `address`, `from` of the test box.
    pub errors: FieldErrors,
}

/// `GET /admin/rules/new` and `GET /admin/rules/{id}`.
///
/// Form: POST `action_url`, fields `csrf`, `domains` (one per line or separated by spaces), `domain_regex`, `paths`,
/// `resources` (one pattern per line; may be empty), `query` (conditions that hold together on each line), `method`
/// (repeated), `networks`, `who` (radio), `group` (repeated), `users`, `clients`, `subjects` (who is all of a line),
/// `programs` (box), `policy` (radio), `note`.
#[derive(Debug, Template)]
#[template(path = "admin/rule_form.html")]
pub struct RuleForm {
    /// Common parts.
    pub frame: Frame,
    /// Where the form goes.
    pub action_url: String,
    /// Hosts, one per line; `*.home.example` allowed.
    pub domains: String,
    /// Regular expressions for hosts, one per line; may be empty.
    pub domain_regex: String,
    /// Regular expressions on the path, one per line; may be empty.
    pub paths: String,
    /// Regular expressions on path and query, one per line; may be empty.
    pub resources: String,
    /// Conditions on the query, one list per line; may be empty.
    pub query: String,
    /// Request methods; none selected means all.
    pub methods: Vec<Choice>,
    /// Networks, one per line; may be empty.
    pub networks: String,
    /// Who: `everyone`, `some` (groups and people below).
    pub who: Vec<Choice>,
    /// Groups, for `some`.
    pub groups: Vec<Choice>,
    /// Usernames separated by spaces, for `some`.
    pub users: String,
    /// Ids of OAuth clients separated by spaces, for `some`.
    pub clients: String,
    /// Lists of subjects, one per line, for `some`.
    pub subjects: String,
    /// What programs may send: `basic`.
    pub programs: Vec<Choice>,
    /// The remark.
    pub note: String,
    /// What is asked: `bypass`, `one_factor`, `two_factor`, `deny`.
    pub policies: Vec<Choice>,
    /// Errors on the fields.
    pub errors: FieldErrors,
}

impl RuleForm {
    /// Whether the rule is for some pages, methods or networks only.
    fn is_narrow(&self) -> bool {
        let texts = [&self.paths, &self.resources, &self.query, &self.networks];
        let errors = ["paths", "resources", "query", "method", "networks"];
        texts.iter().any(|text| !text.is_empty())
            || self.methods.iter().any(|method| method.selected)
            || errors.iter().any(|field| !self.errors.of(field).is_empty())
    }

    /// Whether the rule has what few rules have.
    fn is_special(&self) -> bool {
        let texts = [&self.domain_regex, &self.clients, &self.subjects, &self.note];
        let errors = ["domain_regex", "clients", "subjects", "programs", "note"];
        texts.iter().any(|text| !text.is_empty())
            || self.programs.iter().any(|program| program.selected)
            || errors.iter().any(|field| !self.errors.of(field).is_empty())
    }
}

pub use super::people::FilterLink;
