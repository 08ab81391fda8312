//! The three lists: whatever an administrator can do is possible on a page, in the JSON API and on the command line, by
//! the same rules and with the same audit event. [`table`] and [`more`] hold every action once; a route or a command that changes
//! something and is not in it fails here, and so does an action that lacks one of its three faces without a reason.

mod more;
mod table;
mod world;

use std::collections::BTreeSet;

use doorward::audit::Kind;
use doorward::cli::Cli;
use doorward::routes::{Method2, ROUTES};

use more::REST;
use table::{Action, Api, Command, KINDS_OF_OTHERS, LOOKING_COMMANDS, LOOKING_ROUTES, PEOPLE, Page, Wrong};
use world::{Refusal, Vars, World, filled};

/// The most actions that may lack one of the three faces; each says why.
const MOST_EXCEPTIONS: usize = 4;
/// The most actions that nothing can be wrong with: they take no input and find no state that does not allow them.
const MOST_ALWAYS_POSSIBLE: usize = 5;

/// AUD-01: what the event of an action has to say beside who did it to whom.
const DETAILS: &[(&str, &str, &str)] = &[
    ("add a person", "user.created", "role"),
    ("change name and address", "user.changed", "fields"),
    ("give another role", "user.role_changed", "to"),
    ("set groups", "user.groups_changed", "groups"),
    ("set a claim", "user.changed", "fields"),
    ("put somebody into a group", "user.groups_changed", "groups"),
    ("rename a group", "group.renamed", "from"),
    ("change an app", "app.changed", "fields"),
    ("make a scope", "scope.changed", "claims"),
];

fn actions() -> impl Iterator<Item = &'static Action> {
    PEOPLE.iter().chain(REST)
}

/// A route without the names of what stands in its braces.
fn shape(path: &str) -> String {
    path.split('/').map(|part| if part.starts_with('{') { "{}" } else { part }).collect::<Vec<_>>().join("/")
}

fn name_of(method: Method2) -> &'static str {
    match method {
        Method2::Post => "POST",
        Method2::Put => "PUT",
        Method2::Patch => "PATCH",
        Method2::Delete => "DELETE",
        Method2::Get => "GET",
        Method2::Any | Method2::Options => "",
    }
}

/// Every route by which administrators change something is an action of the table, and the table names no other.
#[test]
fn every_changing_route_is_an_action() {
    let mut named: BTreeSet<(&str, String)> =
        LOOKING_ROUTES.iter().map(|(method, path, _)| (*method, shape(path))).collect();
    for action in actions() {
        match &action.page {
            Page::Form(path, _) | Page::ByDraft(path, _) => _ = named.insert(("POST", shape(path))),
            Page::Download(path) => _ = named.insert(("GET", shape(path))),
            Page::None(_) => {}
        }
        if let Api::Call(method, path, _) = &action.api {
            named.insert((method, shape(path)));
        }
    }
    let known: BTreeSet<(&str, String)> =
        ROUTES.iter().map(|route| (name_of(route.method), shape(route.path))).collect();
    let is_of_administration = |(method, path): &&(&str, String)| {
        matches!(*method, "POST" | "PUT" | "PATCH" | "DELETE")
            && (path.starts_with("/admin") || path.starts_with("/api/v1/admin"))
    };
    let unnamed: Vec<_> = known.difference(&named).filter(is_of_administration).collect();
    assert!(unnamed.is_empty(), "routes that are in no row of the table: {unnamed:?}");
    let unknown: Vec<_> = named.difference(&known).collect();
    assert!(unknown.is_empty(), "rows that name no route: {unknown:?}");
}

/// The names of every command that has none below it, such as `user app-token add`.
fn leaves(command: &clap::Command, path: &str, found: &mut BTreeSet<String>) {
    for below in command.get_subcommands() {
        let path = format!("{path} {}", below.get_name()).trim().to_owned();
        if below.has_subcommands() {
            leaves(below, &path, found);
        } else {
            found.insert(path);
        }
    }
}

/// Every command either changes something and is an action of the table, or is known to change nothing here.
#[test]
fn every_command_is_an_action_or_only_looks() {
    let mut commands = BTreeSet::new();
    leaves(&<Cli as clap::CommandFactory>::command(), "", &mut commands);
    let leaf_of = |words: &[&str]| {
        let longest = (1..=words.len()).rev().map(|count| words[..count].join(" "));
        longest
            .into_iter()
            .find(|name| commands.contains(name))
            .unwrap_or_else(|| panic!("no command: {words:?}"))
    };
    let mut named: BTreeSet<String> = LOOKING_COMMANDS.iter().map(|(name, _)| (*name).to_owned()).collect();
    named.extend(actions().map(|action| match &action.command {
        Command::Run(words) | Command::Typed(words, _) => leaf_of(words),
    }));
    let unnamed: Vec<_> = commands.difference(&named).collect();
    assert!(unnamed.is_empty(), "commands that are in no row of the table: {unnamed:?}");
    let unknown: Vec<_> = named.difference(&commands).collect();
    assert!(unknown.is_empty(), "rows that name no command: {unknown:?}");
}

/// Every kind of event is left by an action of the table, or is known not to be of administrators.
#[test]
fn every_event_of_administrators_is_of_an_action() {
    let of_others = |name: &str| {
        KINDS_OF_OTHERS
            .iter()
            .any(|(other, _)| name == *other || other.ends_with('.') && name.starts_with(other))
    };
    let of_actions: BTreeSet<&str> = actions().flat_map(|action| action.kinds).copied().collect();
    for kind in Kind::ALL {
        let name = kind.name();
        assert_ne!(of_others(name), of_actions.contains(name), "{name} is in one of the two lists");
    }
    assert!(of_actions.iter().all(|name| Kind::parse(name).is_some()), "{of_actions:?}");
}

/// Whatever is no action changes nothing: no page, no part of the API and no command that only looks leaves an event.
#[test]
fn what_only_looks_leaves_no_event() {
    let mut world = World::begin();
    let person = world::person(&mut world)[0].1.clone();
    let seen = world.marker();
    let fetched: BTreeSet<String> = actions()
        .flat_map(|action| {
            let page = if let Page::Download(path) = &action.page { Some(shape(path)) } else { None };
            let api = if let Api::Call("GET", path, _) = &action.api { Some(shape(path)) } else { None };
            [page, api]
        })
        .flatten()
        .collect();
    let is_of_administration = |path: &str| path.starts_with("/admin") || path.starts_with("/api/v1/admin");
    let looking = ROUTES.iter().filter(|route| route.method == Method2::Get);
    let mut count = 0;
    for route in looking.filter(|route| is_of_administration(route.path)) {
        if fetched.contains(&shape(route.path)) {
            continue;
        }
        let path = route.path.replace("{id}", &person).replace(['{', '}'], "");
        _ = if path.starts_with("/api/") { world.call("GET", &path, "") } else { world.open(&path) };
        count += 1;
    }
    assert!(count > 40, "{count}");
    for (method, path, _) in LOOKING_ROUTES {
        let path = path.replace(['{', '}'], "");
        _ = if path.starts_with("/api/") { world.call(method, &path, "") } else { world.submit(&path, &[]) };
    }
    for command in
        ["user list", "group list", "rules list", "domain list", "app list", "audit list", "keys list"]
    {
        world.command(&command.split(' ').collect::<Vec<_>>(), "");
    }
    assert_eq!(world.kinds_since(seen), Vec::<String>::new());
    world.end();
}

/// What lacks a face says why, in a sentence; there are few of them.
#[test]
fn exceptions_are_few_and_reasoned() {
    let mut exceptions = 0;
    for action in actions() {
        let reasons = [
            if let Page::None(why) = &action.page { Some(*why) } else { None },
            if let Api::None(why) = &action.api { Some(*why) } else { None },
        ];
        let reasons: Vec<&str> = reasons.into_iter().flatten().collect();
        assert!(
            reasons.iter().all(|why| why.len() > 20 && why.ends_with('.')),
            "{}: {reasons:?}",
            action.name
        );
        exceptions += usize::from(!reasons.is_empty());
    }
    assert!(exceptions <= MOST_EXCEPTIONS, "{exceptions} exceptions");
    let always = actions().filter(|action| action.wrong.refusal("").is_none()).count();
    assert!(always <= MOST_ALWAYS_POSSIBLE, "{always} actions without a refusal");
    let mut names = BTreeSet::new();
    assert!(actions().all(|action| names.insert(action.name)), "a name comes twice");
}

/// Each action through its three faces, against the server and the program as people have them: the same events.
#[test]
fn every_action_leaves_the_same_events_on_every_way() {
    let mut world = World::begin();
    let mut failures = Vec::new();
    for action in actions() {
        for (way, act) in ways(action) {
            let mut wanted: Vec<&str> = action.kinds.to_vec();
            if way == "page" && matches!(action.page, Page::ByDraft(..)) {
                wanted.push("rule.drafted");
            }
            wanted.sort_unstable();
            let vars = (action.make)(&mut world);
            let seen = world.marker();
            if let Some(Refusal { status, text, .. }) = act(&mut world, &vars, None) {
                failures.push(format!("{} ({way}): {status} {text}", action.name));
                continue;
            }
            let kinds = world.kinds_since(seen);
            if kinds != wanted {
                failures.push(format!("{} ({way}) left {kinds:?} and not {wanted:?}", action.name));
            }
            for (_, kind, detail) in DETAILS.iter().filter(|(name, ..)| *name == action.name) {
                if !world.has_detail(seen, kind, detail) {
                    failures.push(format!("{} ({way}): {kind} lacks {detail}", action.name));
                }
            }
        }
    }
    world.end();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// The same wrong input, or the same state in which it may not be done, is refused in the same words on every way.
#[test]
fn every_action_is_refused_in_the_same_words() {
    let mut world = World::begin();
    for action in actions() {
        for (way, act) in ways(action) {
            let Some((code, sentence)) = action.wrong.refusal(way) else { continue };
            let make = action.wrong.make().unwrap_or(action.make);
            let vars = make(&mut world);
            let seen = world.marker();
            let Some(Refusal { status, code: said, text }) = act(&mut world, &vars, Some(&action.wrong))
            else {
                panic!("{} ({way}) was not refused", action.name);
            };
            assert!(text.contains(sentence), "{} ({way}): {sentence} is not in {text}", action.name);
            if way == "api" {
                assert_eq!(said, code, "{}: {text}", action.name);
            }
            if way != "command" && matches!(action.wrong, Wrong::Gone(_)) {
                assert_eq!(status, 404, "{} ({way}): {text}", action.name);
            }
            assert_eq!(world.kinds_since(seen), Vec::<String>::new(), "{} ({way}) was refused", action.name);
        }
    }
    world.end();
}

/// Does an action on one of its ways; tells how it was refused.
type Act<'a> = Box<dyn Fn(&mut World, &Vars, Option<&Wrong>) -> Option<Refusal> + 'a>;

fn ways(action: &'static Action) -> Vec<(&'static str, Act<'static>)> {
    let mut ways: Vec<(&'static str, Act<'static>)> = Vec::new();
    match &action.page {
        Page::Form(path, fields) | Page::ByDraft(path, fields) => {
            let is_by_draft = matches!(action.page, Page::ByDraft(..));
            let act = move |world: &mut World, vars: &Vars, wrong: Option<&Wrong>| {
                let fields = wrong.and_then(Wrong::fields).unwrap_or(fields);
                let fields: Vec<(&str, String)> =
                    fields.iter().map(|(name, value)| (*name, filled(value, vars))).collect();
                match is_by_draft {
                    true => world.submit_by_draft(&filled(path, vars), &fields),
                    false => world.submit(&filled(path, vars), &fields),
                }
            };
            ways.push(("page", Box::new(act)));
        }
        Page::Download(path) => ways.push((
            "page",
            Box::new(move |world, vars, wrong| {
                world.open(&(filled(path, vars) + wrong.map_or("", Wrong::query)))
            }),
        )),
        Page::None(_) => {}
    }
    if let Api::Call(method, path, body) = &action.api {
        ways.push((
            "api",
            Box::new(move |world, vars, wrong| {
                let body = wrong.and_then(Wrong::body).unwrap_or(body);
                let path = filled(path, vars) + wrong.map_or("", Wrong::query);
                world.call(method, &path, &filled(body, vars))
            }),
        ));
    }
    match &action.command {
        Command::Run(words) => ways.push(("command", command(words, ""))),
        Command::Typed(words, line) => ways.push(("command", command(words, line))),
    }
    ways
}

fn command(words: table::Line, line: &'static str) -> Act<'static> {
    Box::new(move |world, vars, wrong| {
        let words = wrong.and_then(Wrong::words).unwrap_or(words);
        let line = wrong.and_then(Wrong::line).unwrap_or(line);
        let words: Vec<String> = words.iter().map(|word| filled(word, vars)).collect();
        world.run(&words, &filled(line, vars))
    })
}
