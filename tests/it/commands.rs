//! `doorward user` as an administrator types it, beside a running server.

use crate::harness::PASSWORD;
use crate::trouble::program::{Installation, Outcome, Process};

/// Returns the path of the link that a command printed.
fn path_of(outcome: &Outcome) -> String {
    let line =
        outcome.out.lines().find(|line| line.contains("/link/")).unwrap_or_else(|| panic!("{outcome:?}"));
    line[line.find("/link/").unwrap()..].to_owned()
}

#[track_caller]
fn answers(server: &Process, link: &str, status: u16) {
    server.client().get(link).expect(status);
}

/// PWD-09, PWD-11: a new link withdraws the earlier ones, and whatever ends a person's sessions ends their links: the one
/// who can read an old mail or terminal is not let in again.
#[test]
fn what_ends_the_sessions_ends_the_links_too() {
    let mut installation = Installation::new();
    installation.settings.push("server.public_origin=http://localhost".to_owned());
    let server = installation.serve();
    let invitation = path_of(&installation.run(["user", "add", "bob"]).succeed());
    answers(&server, &invitation, 200);
    let link = || path_of(&installation.run(["user", "link", "bob"]).succeed());
    let second = link();
    answers(&server, &invitation, 410);
    answers(&server, &second, 200);
    installation.type_in(["user", "passwd", "bob"], PASSWORD).succeed();
    answers(&server, &second, 410);
    let third = link();
    installation.run(["user", "reset-2fa", "bob"]).succeed();
    answers(&server, &third, 410);
    let fourth = link();
    installation.run(["user", "disable", "bob"]).succeed();
    installation.run(["user", "enable", "bob"]).succeed();
    answers(&server, &fourth, 410);
    server.stop();
}
