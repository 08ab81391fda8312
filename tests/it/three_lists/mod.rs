//! The three lists: whatever an administrator can do is possible on a page, in the JSON API and on the command line, by
//! the same rules and with the same audit event. [`table`] and [`more`] hold every action once; a route or a command that changes
//! something and is not in it fails here, and so does an action that lacks one of its three faces without a reason.

mod more;
mod table;
mod world;

use std::collections::BTreeSet;

use doorward::cli::Cli;
use doorward::routes::{Method2, ROUTES};

use more::REST;
use table::{Action, Api, Command, LOOKING_COMMANDS, LOOKING_ROUTES, PEOPLE, Page, Wrong};
use world::{Refusal, Vars, World, filled};

/// The most actions that may lack one of the three faces; each says why.
const MOST_EXCEPTIONS: usize = 12;

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
            Page::Form(path, _) => _ = named.insert(("POST", shape(path))),
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
    named.extend(actions().filter_map(|action| match &action.command {
        Command::Run(words) | Command::Typed(words, _) => Some(leaf_of(words)),
        Command::None(_) => None,
    }));
    let unnamed: Vec<_> = commands.difference(&named).collect();
    assert!(unnamed.is_empty(), "commands that are in no row of the table: {unnamed:?}");
    let unknown: Vec<_> = named.difference(&commands).collect();
    assert!(unknown.is_empty(), "rows that name no command: {unknown:?}");
}

/// What lacks a face says why, in a sentence; there are few of them.
#[test]
fn exceptions_are_few_and_reasoned() {
    let mut exceptions = 0;
    for action in actions() {
        let reasons = [
            if let Page::None(why) = &action.page { Some(*why) } else { None },
            if let Api::None(why) = &action.api { Some(*why) } else { None },
            if let Command::None(why) = &action.command { Some(*why) } else { None },
        ];
        let reasons: Vec<&str> = reasons.into_iter().flatten().collect();
        assert!(
            reasons.iter().all(|why| why.len() > 20 && why.ends_with('.')),
            "{}: {reasons:?}",
            action.name
        );
        assert!(reasons.len() < 3, "{} is possible nowhere", action.name);
        exceptions += usize::from(!reasons.is_empty());
    }
    assert!(exceptions <= MOST_EXCEPTIONS, "{exceptions} exceptions");
    let mut names = BTreeSet::new();
    assert!(actions().all(|action| names.insert(action.name)), "a name comes twice");
}

/// Each action through its three faces, against the server and the program as people have them: the same events.
#[test]
fn every_action_leaves_the_same_events_on_every_way() {
    let mut world = World::begin();
    let mut failures = Vec::new();
    for action in actions() {
        let mut wanted: Vec<&str> = action.kinds.to_vec();
        wanted.sort_unstable();
        for (way, act) in ways(action) {
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
            let (make, code, sentence) = match &action.wrong {
                Wrong::Input { code, sentence, .. } => (action.make, *code, *sentence),
                Wrong::State { make, code, sentence } => (*make, *code, *sentence),
                Wrong::Gone(make) => (*make, "not_found", ""),
                Wrong::Nothing(_) => continue,
            };
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
        Page::Form(path, fields) => ways.push((
            "page",
            Box::new(move |world, vars, wrong| {
                let fields = match wrong {
                    Some(Wrong::Input { fields, .. }) => fields,
                    _ => fields,
                };
                let filled_in: Vec<(&str, String)> =
                    fields.iter().map(|(name, value)| (*name, filled(value, vars))).collect();
                world.submit(&filled(path, vars), &filled_in)
            }),
        )),
        Page::Download(path) => {
            ways.push(("page", Box::new(move |world, vars, _| world.open(&filled(path, vars)))))
        }
        Page::None(_) => {}
    }
    if let Api::Call(method, path, body) = &action.api {
        ways.push((
            "api",
            Box::new(move |world, vars, wrong| {
                let body = match wrong {
                    Some(Wrong::Input { body, .. }) => body,
                    _ => body,
                };
                world.call(method, &filled(path, vars), &filled(body, vars))
            }),
        ));
    }
    match &action.command {
        Command::Run(words) => ways.push(("command", command(words, ""))),
        Command::Typed(words, line) => ways.push(("command", command(words, line))),
        Command::None(_) => {}
    }
    ways
}

fn command(words: &'static [&'static str], line: &'static str) -> Act<'static> {
    Box::new(move |world, vars, wrong| {
        let words = match wrong {
            Some(Wrong::Input { words, .. }) => words,
            _ => words,
        };
        let words: Vec<String> = words.iter().map(|word| filled(word, vars)).collect();
        world.run(&words, &filled(line, vars))
    })
}
