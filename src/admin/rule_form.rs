//! The form of an access rule: what it holds, and the rule it makes.

use http::StatusCode;

use super::Admin;
use super::app_pages::is_for_some;
use crate::access::rule_text::{join_tests, parse_tests};
use crate::access::{Policy, Rule, RuleParts};
use crate::http::{Form, Problem, Reply, Request};
use crate::sessions::Principal;
use crate::views::admin as views;
use crate::views::{Choice, FieldErrors};
use crate::words::{Said, Words, said};

/// The request methods that people know.
pub(super) const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

/// A rule as the form holds it.
pub(super) struct Typed {
    domains: String,
    domain_regex: String,
    paths: String,
    resources: String,
    query: String,
    methods: Vec<String>,
    networks: String,
    /// Whom it is for: nothing, if that was not said.
    is_for_some: Option<bool>,
    groups: Vec<String>,
    users: String,
    clients: String,
    subjects: String,
    is_basic_fine: bool,
    policy: String,
    note: String,
}

impl Typed {
    /// Returns what the form of a new rule holds.
    pub(super) fn new_rule() -> Self {
        Typed::of_parts(RuleParts { policy: Policy::OneFactor.as_str().to_owned(), ..RuleParts::default() })
    }

    /// Returns what the form of an existing rule holds.
    pub(super) fn of_rule(rule: &Rule) -> Self {
        let query: Vec<String> = rule.query().iter().map(|list| join_tests(list)).collect();
        Typed {
            is_for_some: Some(rule.names_people()),
            query: query.join("\n"),
            ..Typed::of_parts(rule.parts())
        }
    }

    fn of_parts(parts: RuleParts) -> Self {
        let subjects: Vec<String> = parts.subjects.iter().map(|list| list.join(" ")).collect();
        Typed {
            is_for_some: Some(false),
            domains: parts.domains.join("\n"),
            domain_regex: parts.domain_regex.join("\n"),
            paths: parts.path.unwrap_or_default(),
            resources: parts.resources.join("\n"),
            query: String::new(),
            methods: parts.methods,
            networks: parts.networks.join("\n"),
            groups: parts.groups,
            users: parts.users.join(" "),
            clients: parts.clients.join(" "),
            subjects: subjects.join("\n"),
            is_basic_fine: !parts.programs.is_empty(),
            policy: parts.policy,
            note: parts.note,
        }
    }

    /// Reads a form that came in.
    pub(super) fn of_form(form: &Form) -> Self {
        let list = |name| form.all(name).map(str::to_owned).collect();
        let text = |name| form.text(name).to_owned();
        Typed {
            domains: text("domains"),
            domain_regex: text("domain_regex"),
            paths: text("paths"),
            resources: text("resources"),
            query: text("query"),
            methods: list("method"),
            networks: text("networks"),
            is_for_some: is_for_some(form),
            groups: list("group"),
            users: text("users"),
            clients: text("clients"),
            subjects: text("subjects"),
            is_basic_fine: form.text("programs") == "basic",
            policy: text("policy"),
            note: text("note"),
        }
    }

    /// Returns the rule.
    ///
    /// # Errors
    /// 422 that names the field of the form.
    pub(super) fn build(&self) -> Result<Rule, Problem> {
        let mut parts = RuleParts {
            domains: split(&self.domains),
            domain_regex: lines(&self.domain_regex),
            path: join_paths(&self.paths)?,
            resources: lines(&self.resources),
            methods: self.methods.clone(),
            networks: split(&self.networks),
            programs: if self.is_basic_fine { vec!["basic".to_owned()] } else { Vec::new() },
            policy: self.policy.clone(),
            note: self.note.clone(),
            ..RuleParts::default()
        };
        for line in lines(&self.query) {
            let tests = parse_tests(&line);
            parts.query.push(tests.map_err(|error| refusal("query", error.sentence))?);
        }
        let is_for_some =
            self.is_for_some.ok_or_else(|| refusal("who", Said::of(Words::rules_choose_who)))?;
        if is_for_some {
            parts.groups.clone_from(&self.groups);
            parts.users = split(&self.users);
            parts.clients = split(&self.clients);
            parts.subjects = lines(&self.subjects).iter().map(|line| split(line)).collect();
            if parts.groups.is_empty()
                && parts.users.is_empty()
                && parts.clients.is_empty()
                && parts.subjects.is_empty()
            {
                return Err(refusal("who", Said::of(Words::rules_choose_people)));
            }
        }
        Rule::build(&parts).map_err(|error| {
            let field = match error.field {
                "path" => "paths",
                "methods" => "method",
                "groups" => "group",
                "rule" => "domains",
                other => other,
            };
            refusal(field, error.sentence)
        })
    }
}

fn refusal(field: &'static str, sentence: Said) -> Problem {
    Problem::unprocessable(field, "unsound_rule", sentence)
}

fn split(text: &str) -> Vec<String> {
    let parts = text.split(|c: char| c.is_whitespace() || c == ',').filter(|part| !part.is_empty());
    parts.map(str::to_owned).collect()
}

fn lines(text: &str) -> Vec<String> {
    text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

/// Joins patterns, one a line, into the one pattern of a rule.
fn join_paths(text: &str) -> Result<Option<String>, Problem> {
    let lines = lines(text);
    if let Some(bad) = lines.iter().find(|line| !line.starts_with('^')) {
        let line = bad.clone();
        return Err(refusal("paths", said(move |t| t.rules_bad_path(&line))));
    }
    match lines.as_slice() {
        [] => Ok(None),
        [one] => Ok(Some(one.clone())),
        several => {
            // Each keeps its own group, so that an alternative inside one stays inside.
            let alternatives: Vec<String> =
                several.iter().map(|line| format!("(?:{})", line.trim_start_matches('^'))).collect();
            Ok(Some(format!("^(?:{})", alternatives.join("|"))))
        }
    }
}

/// Shows the form, with what was wrong with it if it was refused.
pub(super) fn form_page(
    room: &Admin,
    request: &Request,
    actor: &Principal,
    action_url: &str,
    typed: Typed,
    refused: Option<Problem>,
) -> Result<Reply, Problem> {
    let t = request.words();
    let title = if action_url.ends_with("/new") { t.rules_form_new() } else { t.rules_form_change() };
    let mut groups: Vec<String> =
        room.list_groups()?.into_iter().map(|group| group.name.to_string()).collect();
    groups.extend(typed.groups.iter().cloned());
    groups.sort_unstable();
    groups.dedup();
    let mut methods: Vec<String> = METHODS.into_iter().map(str::to_owned).collect();
    methods.extend(typed.methods.iter().filter(|method| !METHODS.contains(&method.as_str())).cloned());
    let boxes = |names: Vec<String>, ticked: &[String]| -> Vec<Choice> {
        names
            .into_iter()
            .map(|name| Choice::new(name.clone(), name.clone(), ticked.contains(&name)))
            .collect()
    };
    let status = refused.as_ref().map_or(StatusCode::OK, |problem| problem.status);
    let errors = match refused {
        Some(problem) => crate::my_account::pages::field_errors(problem, "domains", request.words())?,
        None => FieldErrors::none(),
    };
    let basic = t.rules_programs_basic();
    let page = views::RuleForm {
        frame: room.frame(request, actor, title, "rules"),
        action_url: action_url.to_owned(),
        methods: boxes(methods, &typed.methods),
        who: vec![
            Choice::new("everyone", t.rules_who_everyone(), typed.is_for_some == Some(false)),
            Choice::new("some", t.rules_who_some(), typed.is_for_some == Some(true)),
        ],
        groups: boxes(groups, &typed.groups),
        policies: policy_choices(t, &typed.policy),
        programs: vec![Choice::new("basic", basic, typed.is_basic_fine)],
        domains: typed.domains,
        domain_regex: typed.domain_regex,
        paths: typed.paths,
        resources: typed.resources,
        query: typed.query,
        networks: typed.networks,
        users: typed.users,
        clients: typed.clients,
        subjects: typed.subjects,
        note: typed.note,
        errors,
    };
    Reply::html(status, &page)
}

fn policy_choices(t: Words, chosen: &str) -> Vec<Choice> {
    [
        (Policy::OneFactor, t.rules_need_one(), t.rules_need_one_hint()),
        (Policy::TwoFactor, t.rules_need_two(), ""),
        (Policy::Bypass, t.rules_need_none(), t.rules_need_none_hint()),
        (Policy::Deny, t.rules_need_deny(), ""),
    ]
    .into_iter()
    .map(|(policy, label, hint)| Choice {
        value: policy.as_str().to_owned(),
        label: label.to_owned(),
        hint: hint.to_owned(),
        selected: policy.as_str() == chosen,
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::rule_text::parse_line;

    /// A rule that is only looked at in the form and saved stays as it is.
    #[test]
    fn the_form_holds_every_part_of_a_rule() {
        for line in [
            "allow one_factor domain={user}.a.example,*.b.example host~=^c{1,2}$ path=^/x resource=\"^/a b\" resource=^/c,d \
             query=\"k==v w\" and=!t and=and query=e~=^\"x\" method=GET,PURGE network=10.0.0.0/8,::1 group=family user=ada,bob \
             client=backup subject=user:ada+group:dev programs=basic # a note",
            "deny domain=a.example",
            "bypass host~=^a$",
        ] {
            let rule = parse_line(line).unwrap();
            assert_eq!(Typed::of_rule(&rule).build().unwrap(), rule, "{line}");
        }
    }

    #[test]
    fn paths_on_lines_become_one_pattern() {
        assert_eq!(join_paths(" \n").unwrap(), None);
        assert_eq!(join_paths("^/api/\n").unwrap().as_deref(), Some("^/api/"));
        let joined = join_paths("^/a|^/x\r\n^/b").unwrap().unwrap();
        let pattern = crate::access::patterns::PathPattern::parse(&joined).unwrap();
        assert!(pattern.matches("/a") && pattern.matches("/x") && pattern.matches("/b"));
        assert!(!pattern.matches("/c/a"));
        assert!(join_paths("/api").is_err());
    }
}
