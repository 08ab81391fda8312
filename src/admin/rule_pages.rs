//! The pages about access rules.
//!
//! The address of a rule holds the version of the list beside its number (`/admin/rules/7-3`): a form that was opened
//! before somebody else changed the list is refused and never hits another rule.

use http::StatusCode;

use super::Admin;
use crate::access::api::{CheckDto, check_rules};
use crate::access::rule_text::pieces;
use crate::access::{ChangeError, Policy, Rule, RuleParts, Step};
use crate::audit::Kind as EventKind;
use crate::http::{Form, Problem, Reply, Request};
use crate::sessions::{Level, Principal};
use crate::sign_in::api::visit;
use crate::views::admin as views;
use crate::views::admin::{RuleRow, RuleTest, Verdict, Words};
use crate::views::{Badge, Choice, FieldErrors, Kind};

const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

/// `GET /admin/rules?user=…&address=…`.
pub async fn show_rules(room: &Admin, request: &Request, actor: &Principal) -> Result<Reply, Problem> {
    let list = room.access.list();
    let text = |name| request.query(name).unwrap_or_default();
    let mut test = RuleTest { user: text("user"), address: text("address"), verdict: None };
    let mut errors = FieldErrors::none();
    let (mut decided, mut otherwise_decided) = (None, false);
    if !test.address.trim().is_empty() {
        match try_out(room, &test) {
            Ok(checked) => {
                let kind = match checked.outcome {
                    "allow" => Kind::Ok,
                    "sign_in" => Kind::Warn,
                    _ => Kind::Danger,
                };
                decided = checked.rule;
                otherwise_decided = checked.rule.is_none() && !checked.trail.is_empty();
                test.verdict = Some(Verdict { kind, text: checked.sentence });
            }
            Err(problem) => {
                for (field, sentence) in problem.fields {
                    errors.push(if field == "username" { "user" } else { "address" }, sentence);
                }
            }
        }
    }
    let mut frame = room.frame(request, actor, "Access rules", "rules");
    frame = match request.query("done").as_deref() {
        Some("saved") => frame.with_notice(Kind::Ok, "Saved. It is in force now."),
        Some("removed") => frame.with_notice(Kind::Ok, "Removed. The other rules are in force."),
        Some("stale") => frame.with_notice(
            Kind::Warn,
            "Someone else changed the rules meanwhile. Look at them again, then repeat what you wanted.",
        ),
        _ => frame,
    };
    let count = list.rules().len();
    let rules = (1..).zip(list.rules()).map(|(number, rule)| RuleRow {
        url: rule_url(list.version(), number),
        position: number,
        sentence: words(rule),
        badge: policy_badge(rule.policy()),
        is_first: number == 1,
        is_last: number == count,
        decided: decided == Some(number),
    });
    let page = views::Rules {
        frame,
        rules: rules.collect(),
        otherwise: "Everything else is refused.".to_owned(),
        otherwise_decided,
        test,
        errors,
    };
    Reply::html(StatusCode::OK, &page)
}

fn try_out(room: &Admin, test: &RuleTest) -> Result<crate::access::api::CheckedDto, Problem> {
    let name = Some(test.user.trim().to_owned()).filter(|name| !name.is_empty());
    let user = match &name {
        Some(name) => room.accounts.resolve(name)?,
        None => None,
    };
    // The person is judged with everything they can prove.
    let level = user.as_ref().map(|user| if user.has_totp { Level::TwoFactor } else { Level::OneFactor });
    let question = CheckDto { url: test.address.clone(), method: None, username: name, level, address: None };
    check_rules(&room.access, &question, user.as_ref())
}

fn rule_url(version: u64, number: usize) -> String {
    format!("/admin/rules/{version}-{number}")
}

/// Reads the version of the list and the number of the rule from the path.
fn named_rule(request: &Request) -> Result<(u64, usize), Problem> {
    let (version, number) = request.param("id").split_once('-').ok_or_else(Problem::not_found)?;
    match (version.parse(), number.parse()) {
        (Ok(version), Ok(number)) => Ok((version, number)),
        _ => Err(Problem::not_found()),
    }
}

fn stale() -> Reply {
    Reply::see_other("/admin/rules?done=stale")
}

/// Sets a sentence in words and names. The page puts spaces between them, so marks go with the word before.
fn words(rule: &Rule) -> Vec<Words> {
    let mut words: Vec<Words> = Vec::new();
    for piece in pieces(rule) {
        let text = piece.text.trim();
        let rest = text.trim_start_matches([',', '.']);
        let marks = text.strip_suffix(rest).unwrap_or_default();
        if let (Some(last), false) = (words.last_mut(), marks.is_empty()) {
            last.text.push_str(marks);
        }
        let rest = rest.trim();
        if !rest.is_empty() {
            words.push(if piece.is_value { Words::name(rest) } else { Words::plain(rest) });
        }
    }
    words
}

fn policy_badge(policy: Policy) -> Badge {
    match policy {
        Policy::Bypass => Badge::new(Kind::Warn, "Open to all"),
        Policy::OneFactor => Badge::new(Kind::Info, "Password"),
        Policy::TwoFactor => Badge::new(Kind::Ok, "Two factors"),
        Policy::Deny => Badge::new(Kind::Danger, "Refused"),
    }
}

/// `GET /admin/rules/new`.
pub async fn show_new(room: &Admin, request: &Request, actor: &Principal) -> Result<Reply, Problem> {
    let parts = RuleParts { policy: Policy::OneFactor.as_str().to_owned(), ..RuleParts::default() };
    form_page(room, request, actor, "/admin/rules/new", &Typed::of_parts(parts), None)
}

/// `GET /admin/rules/{id}`.
pub async fn show_rule(room: &Admin, request: &Request, actor: &Principal) -> Result<Reply, Problem> {
    let (version, number) = named_rule(request)?;
    let list = room.access.list();
    if list.version() != version {
        return Ok(stale());
    }
    let rule =
        number.checked_sub(1).and_then(|index| list.rules().get(index)).ok_or_else(Problem::not_found)?;
    let url = rule_url(version, number);
    form_page(room, request, actor, &url, &Typed::of_parts(rule.parts()), None)
}

/// A rule as the form holds it.
struct Typed {
    domains: String,
    paths: String,
    methods: Vec<String>,
    is_for_some: bool,
    groups: Vec<String>,
    users: String,
    policy: String,
}

impl Typed {
    fn of_parts(parts: RuleParts) -> Self {
        Typed {
            is_for_some: !(parts.groups.is_empty() && parts.users.is_empty()),
            domains: parts.domains.join("\n"),
            paths: parts.path.unwrap_or_default(),
            methods: parts.methods,
            groups: parts.groups,
            users: parts.users.join(" "),
            policy: parts.policy,
        }
    }

    fn of_form(form: &Form) -> Self {
        let list = |name| form.all(name).map(str::to_owned).collect();
        Typed {
            domains: form.text("domains").to_owned(),
            paths: form.text("paths").to_owned(),
            methods: list("method"),
            is_for_some: form.text("who") == "some",
            groups: list("group"),
            users: form.text("users").to_owned(),
            policy: form.text("policy").to_owned(),
        }
    }

    /// Returns the rule, with the remark of the one it takes the place of.
    fn build(&self, note: &str) -> Result<Rule, Problem> {
        let split = |text: &str| {
            let parts = text.split(|c: char| c.is_whitespace() || c == ',').filter(|part| !part.is_empty());
            parts.map(str::to_owned).collect::<Vec<_>>()
        };
        let (groups, users) = if self.is_for_some {
            (self.groups.clone(), split(&self.users))
        } else {
            (Vec::new(), Vec::new())
        };
        if self.is_for_some && groups.is_empty() && users.is_empty() {
            let sentence = "Choose a group or name a person.";
            return Err(Problem::unprocessable("who", "unsound_rule", sentence));
        }
        let parts = RuleParts {
            domains: split(&self.domains),
            path: join_paths(&self.paths)?,
            methods: self.methods.clone(),
            groups,
            users,
            policy: self.policy.clone(),
            note: note.to_owned(),
            ..RuleParts::default()
        };
        Rule::build(&parts).map_err(|error| {
            let field = match error.field {
                "path" => "paths",
                "methods" => "method",
                "groups" => "group",
                "users" => "users",
                "policy" => "policy",
                _ => "domains",
            };
            Problem::unprocessable(field, "unsound_rule", error.sentence)
        })
    }
}

/// Joins patterns, one a line, into the one pattern of a rule.
fn join_paths(text: &str) -> Result<Option<String>, Problem> {
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    if let Some(bad) = lines.iter().find(|line| !line.starts_with('^')) {
        let sentence = format!("A path pattern begins with ^, as in ^/api/. “{bad}” does not.");
        return Err(Problem::unprocessable("paths", "unsound_rule", sentence));
    }
    match lines.as_slice() {
        [] => Ok(None),
        [one] => Ok(Some((*one).to_owned())),
        several => {
            // Each keeps its own group, so that an alternative inside one stays inside.
            let alternatives: Vec<String> =
                several.iter().map(|line| format!("(?:{})", line.trim_start_matches('^'))).collect();
            Ok(Some(format!("^(?:{})", alternatives.join("|"))))
        }
    }
}

fn form_page(
    room: &Admin,
    request: &Request,
    actor: &Principal,
    action_url: &str,
    typed: &Typed,
    refused: Option<Problem>,
) -> Result<Reply, Problem> {
    let title = if action_url.ends_with("/new") { "Add a rule" } else { "Change a rule" };
    let mut groups: Vec<String> =
        room.list_groups()?.into_iter().map(|group| group.name.to_string()).collect();
    groups.extend(typed.groups.iter().cloned());
    groups.sort();
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
        Some(problem) => crate::my_account::pages::field_errors(problem, "domains")?,
        None => FieldErrors::none(),
    };
    let page = views::RuleForm {
        frame: room.frame(request, actor, title, "rules"),
        action_url: action_url.to_owned(),
        domains: typed.domains.clone(),
        paths: typed.paths.clone(),
        methods: boxes(methods, &typed.methods),
        who: vec![
            Choice::new("everyone", "Everyone", !typed.is_for_some),
            Choice::new("some", "Only these groups and people", typed.is_for_some),
        ],
        groups: boxes(groups, &typed.groups),
        users: typed.users.clone(),
        policies: policy_choices(&typed.policy),
        errors,
    };
    Reply::html(status, &page)
}

fn policy_choices(chosen: &str) -> Vec<Choice> {
    [
        (Policy::OneFactor, "Sign in with a password", ""),
        (Policy::TwoFactor, "Sign in with two factors", ""),
        (Policy::Bypass, "Nothing", "Open to everyone on the network, without signing in."),
        (Policy::Deny, "They are refused", ""),
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

/// Ends a change of the list: back to it, or the form with what is wrong.
fn finish(result: Result<u64, ChangeError>, done: &str) -> Result<Reply, Problem> {
    match result {
        Ok(_) => Ok(Reply::see_other(&format!("/admin/rules?done={done}"))),
        Err(ChangeError::Stale | ChangeError::NoSuchRule(_)) => Ok(stale()),
        Err(error) => Err(error.into()),
    }
}

/// `POST /admin/rules/new`: adds the rule at the end.
pub async fn submit_new(room: &Admin, request: &Request, actor: &Principal) -> Result<Reply, Problem> {
    let typed = Typed::of_form(&request.form()?);
    let rule = match typed.build("") {
        Ok(rule) => rule,
        Err(problem) => {
            return form_page(room, request, actor, "/admin/rules/new", &typed, Some(problem));
        }
    };
    let event = room.event(EventKind::RuleChanged, actor, &visit(room, request)?).detail("change", "added");
    finish(room.access.add(rule, None, room.access.list().version(), event).await, "saved")
}

/// `POST /admin/rules/{id}`.
pub async fn submit_rule(room: &Admin, request: &Request, actor: &Principal) -> Result<Reply, Problem> {
    let (version, number) = named_rule(request)?;
    let list = room.access.list();
    let before = number.checked_sub(1).and_then(|index| list.rules().get(index));
    let (true, Some(before)) = (list.version() == version, before) else { return Ok(stale()) };
    let typed = Typed::of_form(&request.form()?);
    let rule = match typed.build(before.note()) {
        Ok(rule) => rule,
        Err(problem) => {
            let url = rule_url(version, number);
            return form_page(room, request, actor, &url, &typed, Some(problem));
        }
    };
    let event = room.event(EventKind::RuleChanged, actor, &visit(room, request)?).detail("change", "edited");
    finish(room.access.change(number, rule, version, event).await, "saved")
}

/// `POST /admin/rules/{id}/move`: `direction` is `up` or `down`.
pub async fn move_rule(room: &Admin, request: &Request, actor: &Principal) -> Result<Reply, Problem> {
    let (version, number) = named_rule(request)?;
    let step = match request.form()?.text("direction") {
        "up" => Step::Up,
        "down" => Step::Down,
        _ => return Err(Problem::unprocessable("direction", "invalid_value", "A rule moves up or down.")),
    };
    let event = room.event(EventKind::RuleChanged, actor, &visit(room, request)?).detail("change", "moved");
    finish(room.access.move_by(number, step, version, event).await, "saved")
}

/// `POST /admin/rules/{id}/remove`.
pub async fn remove_rule(room: &Admin, request: &Request, actor: &Principal) -> Result<Reply, Problem> {
    let (version, number) = named_rule(request)?;
    let event = room.event(EventKind::RuleChanged, actor, &visit(room, request)?).detail("change", "removed");
    finish(room.access.remove(number, version, event).await, "removed")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::rule_text::parse_line;

    #[test]
    fn a_sentence_is_set_in_words_and_names() {
        let rule = parse_line("allow two_factor domain=a.example,b.example group=x user=ada").unwrap();
        let words = words(&rule);
        let text: Vec<&str> = words.iter().map(|word| word.text.as_str()).collect();
        assert_eq!(text.join(" "), "People in x, and ada may open a.example or b.example with two factors.");
        assert!(words.iter().any(|word| word.is_name && word.text == "a.example"));
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
