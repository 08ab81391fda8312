//! The pages about access rules.
//!
//! People change a draft: the first change opens one, and nothing is in force until the draft is applied as a whole. The
//! address of a rule holds the versions of what was looked at beside its number (`/admin/rules/4.7-3`: draft 4, based on
//! list 7, rule 3): a form that was opened before somebody else changed something is refused and never hits another rule.

use std::collections::HashSet;

use http::StatusCode;

use super::Admin;
use super::rule_form::{METHODS, Typed, form_page};
use crate::access::api::{CheckDto, CheckedDto, check_rules, warnings};
use crate::access::changes::{Change, changes};
use crate::access::rule_words::pieces;
use crate::access::{ChangeError, Draft, Edit, Policy, Rule, RuleList, Seen, Step};
use crate::audit::Kind as EventKind;
use crate::http::{Problem, Reply, Request};
use crate::sessions::{Level, Principal};
use crate::sign_in::api::visit;
use crate::sign_in::step_up_first;
use crate::views::admin as views;
use crate::views::admin::{DraftChange, DraftNote, RuleRow, RuleTest, Verdict};
use crate::views::{Badge, Choice, FieldErrors, Kind};
use crate::words::{Said, Words};

/// `GET /admin/rules?user=…&address=…&method=…&from=…`; `?show=live` shows the rules in force beside a draft.
pub async fn show_rules(room: &Admin, request: &Request, actor: &Principal) -> Result<Reply, Problem> {
    let t = request.words();
    let (list, draft) = (room.access.list(), room.access.draft());
    let shows_live = request.query("show").as_deref() == Some("live");
    let draft_shown = draft.as_deref().filter(|_| !shows_live);
    let rules = draft_shown.map_or_else(|| list.rules(), Draft::rules);
    let (test, answers, errors) = tried(room, request, draft.is_some())?;
    let shown = answers.iter().find(|answer| answer.is_draft == draft_shown.is_some());
    let decided = shown.and_then(|answer| answer.checked.rule);
    let otherwise_decided = shown.is_some_and(|answer| answer.checked.rule.is_none() && answer.was_asked());
    let frame = with_notice(room.frame(request, actor, t.rules_title(), "rules"), request);
    let seen = room.access.draft_state();
    let count = rules.len();
    let in_force = lines(list.rules());
    let rows = (1..).zip(rules).map(|(number, rule)| RuleRow {
        url: rule_url(seen, number),
        position: number,
        sentence: words(rule, t),
        note: rule.note().to_owned(),
        badge: policy_badge(rule.policy(), t),
        is_new: draft_shown.is_some() && !in_force.contains(&rule.to_string()),
        is_first: number == 1,
        is_last: number == count,
        decided: decided == Some(number),
    });
    let page = views::Rules {
        frame,
        rules: rows.collect(),
        is_fixed: draft.is_some() && shows_live,
        draft: draft.as_deref().map(|draft| draft_note(t, draft, &list, shows_live)),
        warnings: warnings(&room.access, rules, t),
        otherwise: t.rules_otherwise().to_owned(),
        otherwise_decided,
        test: RuleTest {
            verdicts: answers.into_iter().map(|answer| answer.into_verdict(t)).collect(),
            ..test
        },
        errors,
    };
    Reply::html(StatusCode::OK, &page)
}

fn with_notice(frame: crate::views::Frame, request: &Request) -> crate::views::Frame {
    let t = request.words();
    match request.query("done").as_deref() {
        Some("drafted") => frame.with_notice(Kind::Info, t.rules_done_drafted()),
        Some("applied") => frame.with_notice(Kind::Ok, t.rules_done_applied()),
        Some("discarded") => frame.with_notice(Kind::Ok, t.rules_done_discarded()),
        Some("stale") => frame.with_notice(Kind::Warn, t.rules_done_stale()),
        _ => frame,
    }
}

/// Returns the rules in a form that is quick to look up.
fn lines(rules: &[Rule]) -> HashSet<String> {
    rules.iter().map(ToString::to_string).collect()
}

/// The most changes of a draft that a page shows.
const MOST_CHANGES: usize = 60;

fn draft_note(t: Words, draft: &Draft, list: &RuleList, shows_live: bool) -> DraftNote {
    let (old, new) = (list.rules(), draft.rules());
    let all = changes(old, new);
    let sentence = |rules: &[Rule], number: usize| {
        rules.get(number.wrapping_sub(1)).map(|rule| words(rule, t)).unwrap_or_default()
    };
    let show = |change: &Change| match *change {
        Change::Added(to) => DraftChange {
            badge: Badge::new(Kind::Ok, t.rules_change_new()),
            sentence: sentence(new, to),
            detail: String::new(),
        },
        Change::Removed(from) => DraftChange {
            badge: Badge::new(Kind::Danger, t.rules_change_gone()),
            sentence: sentence(old, from),
            detail: String::new(),
        },
        Change::Moved { from, to } => DraftChange {
            badge: Badge::new(Kind::Info, t.rules_change_moved()),
            sentence: sentence(new, to),
            detail: t.rules_from_to(from, to),
        },
    };
    DraftNote {
        more: all.len().saturating_sub(MOST_CHANGES),
        changes: all.iter().take(MOST_CHANGES).map(show).collect(),
        version: draft.version(),
        is_current: draft.based_on() == list.version(),
        is_shown: !shows_live,
    }
}

/// What one of the lists answers to the test.
struct Answer {
    is_draft: bool,
    is_alone: bool,
    checked: CheckedDto,
}

impl Answer {
    fn was_asked(&self) -> bool {
        !self.checked.trail.is_empty()
    }

    fn into_verdict(self, t: Words) -> Verdict {
        let kind = match self.checked.outcome {
            "allow" => Kind::Ok,
            "sign_in" => Kind::Warn,
            _ => Kind::Danger,
        };
        let title = match (self.is_alone, self.is_draft) {
            (true, _) => "",
            (false, true) => t.rules_by_draft(),
            (false, false) => t.rules_by_live(),
        };
        Verdict { kind, title: title.to_owned(), text: self.checked.sentence, reasons: self.checked.trail }
    }
}

/// Runs the test box, against the draft too if there is one.
fn tried(
    room: &Admin,
    request: &Request,
    has_draft: bool,
) -> Result<(RuleTest, Vec<Answer>, FieldErrors), Problem> {
    let text = |name| request.query(name).unwrap_or_default();
    let method = text("method");
    let methods = METHODS.map(|name| Choice::new(name, name, name == method));
    let test = RuleTest {
        user: text("user"),
        address: text("address"),
        from: text("from"),
        methods: methods.into(),
        verdicts: Vec::new(),
    };
    let (mut answers, mut errors) = (Vec::new(), FieldErrors::none());
    if test.address.trim().is_empty() {
        return Ok((test, answers, errors));
    }
    for is_draft in [true, false] {
        if is_draft && !has_draft {
            continue;
        }
        match try_out(room, &test, &method, is_draft, request.words()) {
            Ok(checked) => answers.push(Answer { is_draft, is_alone: !has_draft, checked }),
            Err(problem) if problem.fields.is_empty() => return Err(problem),
            Err(problem) => {
                for (field, sentence) in &problem.fields {
                    let field = match *field {
                        "username" => "user",
                        "from" => "from",
                        _ => "address",
                    };
                    if errors.of(field).is_empty() {
                        errors.push(field, sentence.in_words(request.words()));
                    }
                }
            }
        }
    }
    Ok((test, answers, errors))
}

fn try_out(
    room: &Admin,
    test: &RuleTest,
    method: &str,
    draft: bool,
    t: Words,
) -> Result<CheckedDto, Problem> {
    let filled = |text: &str| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
    let username = filled(&test.user);
    let user = match &username {
        Some(name) => room.accounts.resolve(name)?,
        None => None,
    };
    let address = match filled(&test.from) {
        None => None,
        Some(text) => Some(
            text.parse()
                .map_err(|_| Problem::unprocessable("from", "invalid_value", Said::of(Words::rules_no_ip)))?,
        ),
    };
    // The person is judged with everything they can prove.
    let level =
        user.as_ref().map(|user| if user.has_second_factor() { Level::TwoFactor } else { Level::OneFactor });
    let (url, method) = (test.address.clone(), filled(method));
    let question = CheckDto { url, method, username, client: None, level, address, draft };
    check_rules(&room.access, &question, user.as_ref(), t)
}

fn rule_url(seen: Seen, number: usize) -> String {
    format!("/admin/rules/{}.{}-{number}", seen.version, seen.based_on)
}

/// Reads what was looked at and the number of the rule from the path.
fn named_rule(request: &Request) -> Result<(Seen, usize), Problem> {
    let read = || {
        let (seen, number) = request.param("id").split_once('-')?;
        let (version, based_on) = seen.split_once('.')?;
        let seen = Seen { version: version.parse().ok()?, based_on: based_on.parse().ok()? };
        Some((seen, number.parse().ok()?))
    };
    read().ok_or_else(Problem::not_found)
}

/// Returns the rule that the path names, in the draft or else in the list in force; `None` if that was changed.
fn find_rule(room: &Admin, seen: Seen, number: usize) -> Result<Option<Rule>, Problem> {
    if room.access.draft_state() != seen {
        return Ok(None);
    }
    let (draft, list) = (room.access.draft(), room.access.list());
    let rules = draft.as_ref().map_or_else(|| list.rules(), |draft| draft.rules());
    let rule = number.checked_sub(1).and_then(|index| rules.get(index));
    rule.cloned().map(Some).ok_or_else(Problem::not_found)
}

fn stale() -> Reply {
    Reply::see_other("/admin/rules?done=stale")
}

/// Sets a sentence in words and names. The page puts spaces between them, so marks go with the word before.
fn words(rule: &Rule, t: Words) -> Vec<views::Words> {
    let mut words: Vec<views::Words> = Vec::new();
    for piece in pieces(rule, t) {
        let text = piece.text.trim();
        let rest = text.trim_start_matches([',', '.']);
        let marks = text.strip_suffix(rest).unwrap_or_default();
        if let (Some(last), false) = (words.last_mut(), marks.is_empty()) {
            last.text.push_str(marks);
        }
        let rest = rest.trim();
        if !rest.is_empty() {
            words.push(if piece.is_value { views::Words::name(rest) } else { views::Words::plain(rest) });
        }
    }
    words
}

fn policy_badge(policy: Policy, t: Words) -> Badge {
    match policy {
        Policy::Bypass => Badge::new(Kind::Warn, t.rules_badge_bypass()),
        Policy::OneFactor => Badge::new(Kind::Info, t.rules_badge_one()),
        Policy::TwoFactor => Badge::new(Kind::Ok, t.rules_badge_two()),
        Policy::Deny => Badge::new(Kind::Danger, t.rules_badge_deny()),
    }
}

/// `GET /admin/rules/new`.
pub async fn show_new(room: &Admin, request: &Request, actor: &Principal) -> Result<Reply, Problem> {
    form_page(room, request, actor, "/admin/rules/new", Typed::new_rule(), None)
}

/// `GET /admin/rules/{id}`.
pub async fn show_rule(room: &Admin, request: &Request, actor: &Principal) -> Result<Reply, Problem> {
    let (seen, number) = named_rule(request)?;
    let Some(rule) = find_rule(room, seen, number)? else { return Ok(stale()) };
    form_page(room, request, actor, &rule_url(seen, number), Typed::of_rule(&rule), None)
}

/// Changes the draft and goes back to the list.
async fn change_draft(
    room: &Admin,
    request: &Request,
    actor: &Principal,
    (edit, name): (Edit, &'static str),
    seen: Seen,
) -> Result<Reply, Problem> {
    let event = room.event(EventKind::RuleDrafted, actor, &visit(room, request)?).detail("change", name);
    finish(room.access.edit_draft(edit, seen, event).await.map(|_| ()), "drafted")
}

/// Ends a change: back to the list, with what happened.
fn finish(result: Result<(), ChangeError>, done: &str) -> Result<Reply, Problem> {
    match result {
        Ok(()) => Ok(Reply::see_other(&format!("/admin/rules?done={done}"))),
        Err(ChangeError::Stale | ChangeError::NoSuchRule(_) | ChangeError::NoDraft) => Ok(stale()),
        Err(error) => Err(error.into()),
    }
}

/// `POST /admin/rules/new`: adds the rule at the end of the draft.
pub async fn submit_new(room: &Admin, request: &Request, actor: &Principal) -> Result<Reply, Problem> {
    let typed = Typed::of_form(&request.form()?);
    match typed.build() {
        Ok(rule) => {
            let edit = (Edit::Add(rule, None), "added");
            change_draft(room, request, actor, edit, room.access.draft_state()).await
        }
        Err(problem) => form_page(room, request, actor, "/admin/rules/new", typed, Some(problem)),
    }
}

/// `POST /admin/rules/{id}`.
pub async fn submit_rule(room: &Admin, request: &Request, actor: &Principal) -> Result<Reply, Problem> {
    let (seen, number) = named_rule(request)?;
    if find_rule(room, seen, number)?.is_none() {
        return Ok(stale());
    }
    let typed = Typed::of_form(&request.form()?);
    match typed.build() {
        Ok(rule) => change_draft(room, request, actor, (Edit::Change(number, rule), "edited"), seen).await,
        Err(problem) => form_page(room, request, actor, &rule_url(seen, number), typed, Some(problem)),
    }
}

/// `POST /admin/rules/{id}/move`: `direction` is `up` or `down`.
pub async fn move_rule(room: &Admin, request: &Request, actor: &Principal) -> Result<Reply, Problem> {
    let (seen, number) = named_rule(request)?;
    let step = match request.form()?.text("direction") {
        "up" => Step::Up,
        "down" => Step::Down,
        _ => {
            return Err(Problem::unprocessable(
                "direction",
                "invalid_value",
                Said::of(Words::rules_bad_direction),
            ));
        }
    };
    change_draft(room, request, actor, (Edit::Move(number, step), "moved"), seen).await
}

/// `POST /admin/rules/{id}/remove`.
pub async fn remove_rule(room: &Admin, request: &Request, actor: &Principal) -> Result<Reply, Problem> {
    let (seen, number) = named_rule(request)?;
    change_draft(room, request, actor, (Edit::Remove(number), "removed"), seen).await
}

/// Reads the version of the draft that a form was made for.
fn draft_version(request: &Request) -> Result<u64, Problem> {
    request
        .form()?
        .text("version")
        .parse()
        .map_err(|_| Problem::unprocessable("version", "invalid_value", Said::of(Words::rules_bad_version)))
}

/// `POST /admin/rules/draft/apply`: puts the draft that has `version` in force. Needs a fresh proof.
pub async fn apply_draft(room: &Admin, request: &Request, actor: &Principal) -> Result<Reply, Problem> {
    if room.require_fresh(actor).is_err() {
        return Ok(step_up_first("/admin/rules"));
    }
    let version = draft_version(request)?;
    let event = room.event(EventKind::RuleChanged, actor, &visit(room, request)?).detail("change", "applied");
    finish(room.access.apply_draft(version, event).await.map(|_| ()), "applied")
}

/// `POST /admin/rules/draft/discard`: drops the draft that has `version`.
pub async fn discard_draft(room: &Admin, request: &Request, actor: &Principal) -> Result<Reply, Problem> {
    let version = draft_version(request)?;
    let event =
        room.event(EventKind::RuleDrafted, actor, &visit(room, request)?).detail("change", "discarded");
    finish(room.access.discard_draft(version, event).await, "discarded")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::rule_text::parse_line;

    #[test]
    fn a_sentence_is_set_in_words_and_names() {
        let rule = parse_line("allow two_factor domain=a.example,b.example group=x user=ada").unwrap();
        let words = words(&rule, Words::ENGLISH);
        let text: Vec<&str> = words.iter().map(|word| word.text.as_str()).collect();
        assert_eq!(text.join(" "), "People in x, and ada may open a.example or b.example with two factors.");
        assert!(words.iter().any(|word| word.is_name && word.text == "a.example"));
    }
}
