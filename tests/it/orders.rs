//! What travels over the control socket: the words of a command and what it read, and nothing that makes the server do
//! more than the command.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::PASSWORD;
use crate::trouble::program::{Installation, Outcome};

/// Less than the server would wait for a command.
const SOON: Duration = Duration::from_secs(40);
const ANOTHER_VERSION: &str = "The server runs another version of Doorward";

/// Says a line to the running server; returns whether it was done, and what came back.
#[track_caller]
fn say(installation: &Installation, line: &str) -> (bool, String) {
    let mut stream = UnixStream::connect(installation.data.join("control.sock")).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    stream.write_all(format!("{line}\n").as_bytes()).unwrap();
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer).unwrap();
    let answer: Value = serde_json::from_str(&answer).unwrap_or_else(|error| panic!("{error}: {line}"));
    (answer["is_done"].as_bool().unwrap(), answer["text"].as_str().unwrap().to_owned())
}

/// Returns an order of these words, with nothing read.
fn order(words: &[&str]) -> String {
    json!({"Command": {"words": words, "input": {"text": null, "digests": {}}}}).to_string()
}

/// Whoever writes to the socket gets the commands that travel and nothing else: nothing is served, set up, read, written or
/// waited for.
#[test]
fn an_order_does_no_more_than_a_command_that_travels() {
    let installation = Installation::new();
    let path = |name: &str| installation.dir.0.join(name).to_str().unwrap().to_owned();
    let (there, new) = (path("there"), path("new"));
    let text = "mia:$2a$10$UdLYoJ5lgPsC0RKqYH/jMua7zIn0g9kPqWmhYayJYLaZQ/FTmH2/u\n";
    fs::write(&there, text).unwrap();
    let server = installation.serve();
    let refused: [&[&str]; 27] = [
        &[],
        &[""],
        &["rubbish"],
        &["doorward", "user", "list"],
        &["--help"],
        &["--version"],
        &["user"],
        &["user", "list", "--no-such"],
        &["user", "add", "--help"],
        &["user", "add", "eve", "--help"],
        &["rules", "move", "1", "sideways"],
        &["serve"],
        &["serve", "--listen", "127.0.0.1:0"],
        &["setup", "--non-interactive", "--owner", "eve", "--password-hash-file", &there],
        &["setup-token", "--renew"],
        &["store", "check"],
        &["store", "export", &new],
        &["store", "import", "--replace", &there],
        &["store", "snapshots", "--take"],
        &["import", "tinyauth", &there, "--apply"],
        &["config", "show"],
        &["generate", "man"],
        &["proxy-snippet", "nginx", "--host", "a.home.example", "--app", "http://127.0.0.1:3000"],
        &["doctor"],
        &["health"],
        &["app", "presets"],
        &["app", "preset", "immich"],
    ];
    for words in refused {
        let (is_done, said) = say(&installation, &order(words));
        assert!(!is_done && said.contains(ANOTHER_VERSION), "{words:?}: {said}");
    }
    let (is_done, said) =
        say(&installation, &order(&["user", "list", &format!("--{}", "a".repeat(1 << 20))]));
    assert!(!is_done && said.contains("longer than 16 KiB"), "{said}");
    for line in [
        "",
        "rubbish",
        "{}",
        "{\"Command\":{}}",
        "{\"Command\":{\"words\":[\"user\",\"list\"]}}",
        "{\"Command\":{\"words\":\"user list\",\"input\":{\"text\":null,\"digests\":{}}}}",
        "{\"Command\":{\"words\":[1],\"input\":{\"text\":null,\"digests\":{}}}}",
        "{\"Command\":{\"words\":[\"user\",\"list\"],\"input\":{\"text\":1,\"digests\":{}}}}",
    ] {
        let (is_done, said) = say(&installation, line);
        assert!(!is_done && said.contains(ANOTHER_VERSION), "{line}: {said}");
    }
    let mut many = vec!["rules", "add"];
    many.resize(4097, "x");
    let (is_done, said) = say(&installation, &order(&many));
    assert!(!is_done && said.contains("more than 4096 words"), "{said}");
    // What was to be read before is not read now.
    for words in [
        &["user", "passwd", "ada"][..],
        &["user", "add", "eve", "--password-stdin"],
        &["rules", "apply", &there],
        &["rules", "apply", "-"],
        &["rules", "draft", "put", "-"],
        &["app", "apply", "--prune", &there],
        &["keys", "import", "-"],
    ] {
        let (is_done, said) = say(&installation, &order(words));
        assert!(!is_done && said.contains("standard input or a file"), "{words:?}: {said}");
    }
    let empty = json!({"Command": {"words": ["user", "add", "eve", "--password-stdin"],
        "input": {"text": "", "digests": {}}}});
    assert!(!say(&installation, &empty.to_string()).0, "an empty password is none, and makes no link");
    // Where the answer goes, and how the data is found, is the business of whoever typed it.
    for words in [
        &["rules", "export", &new][..],
        &["audit", "export", &new],
        &["--config", &there, "user", "list"],
        &["--data", &new, "user", "list", "--set", "no.such=setting"],
    ] {
        let (is_done, said) = say(&installation, &order(words));
        assert!(is_done && !said.contains("mia"), "{words:?}: {said}");
    }
    assert_eq!(fs::read_to_string(&there).unwrap(), text);
    assert!(!fs::exists(&new).unwrap());
    let people = installation.run(["user", "list"]).succeed().out;
    assert!(people.starts_with("ada\towner\t") && people.lines().count() == 1, "{people}");
    server.sign_in().expect(200);
    server.stop();
}

/// Options that every command has may stand before it and after it, beside a running server as without one.
#[test]
fn options_of_all_commands_stand_anywhere() {
    let installation = Installation::new();
    let file = installation.dir.0.join("doorward.toml");
    fs::write(&file, "[log]\nlevel = \"warn\"\n").unwrap();
    let (data, file) = (installation.data.to_str().unwrap(), file.to_str().unwrap());
    let shapes = [
        format!("doorward --data {data} user list a"),
        format!("doorward user --data {data} list a"),
        format!("doorward user list a --data={data}"),
        format!("doorward --config {file} user list --data {data} --set log.level=error a"),
        format!(
            "doorward --set log.level=error --data {data} user --config {file} list --set log.format=text -- a"
        ),
        // A name that is no text is the business of whoever typed it alone.
        format!(
            "cp {file} \"$(printf '{file}\\377')\"; doorward --config \"$(printf '{file}\\377')\" --data {data} user list a"
        ),
        format!(
            "cd {data}/..; printf '' > \"$(printf 'r\\377')\"; doorward --data {data} rules apply \"$(printf 'r\\377')\" >&2; doorward --data {data} user list a"
        ),
    ];
    let here = installation.run(["user", "list", "a"]).succeed().out;
    assert!(here.starts_with("ada\t"), "{here}");
    let all_say_so = || {
        for line in &shapes {
            let outcome = installation.run_line(line).succeed();
            assert_eq!(outcome.out, here, "{line}");
            assert!(
                outcome.err.replace("\tEverything else is refused.\n", "").is_empty(),
                "{line}: {outcome:?}"
            );
        }
    };
    all_say_so();
    let server = installation.serve();
    all_say_so();
    // What must travel is text.
    let outcome = installation.run_line(&format!("doorward --data {data} user list \"$(printf '\\377')\""));
    assert!(outcome.code == Some(64) && outcome.err.contains("UTF-8"), "{outcome:?}");
    server.stop();
}

/// Passwords and files are read where the command is typed, and have the same effect beside a running server as without.
#[test]
fn what_is_read_has_the_same_effect_beside_a_server() {
    const OTHER: &str = "an entirely different passphrase";
    const RULES: &str =
        "allow one_factor domain=wiki.home.example\ndeny domain=photos.home.example # not yet\n";
    const APPS: &str = "[[app]]\nid = \"wiki\"\nname = \"Wiki\"\nredirect_uris = [\"https://wiki.home.example/cb\"]\n\
                        secret_file = \"wiki.secret\"\n";
    let secret = "0123456789abcdef".repeat(4);
    let key = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/oidc/rsa-key.pem");
    let pem = fs::read_to_string(key).unwrap();
    let run_all = |beside_server: bool| -> Vec<Outcome> {
        let mut installation = Installation::new();
        installation.settings.push("server.public_origin=http://localhost".to_owned());
        installation.settings.push("accounts.second_factor=optional".to_owned());
        let file = |name: &str, text: &str| {
            let path = installation.dir.0.join(name);
            fs::write(&path, text).unwrap();
            path.to_str().unwrap().to_owned()
        };
        file("wiki.secret", &format!("{secret}\n"));
        let (rules, apps) = (file("rules.txt", RULES), file("apps.toml", APPS));
        let exported = installation.dir.0.join("exported.txt");
        let server = beside_server.then(|| installation.serve());
        let mut outcomes = vec![
            installation.type_in(["user", "add", "bob", "--password-stdin"], PASSWORD),
            installation.type_in(["user", "passwd", "ada"], OTHER),
            installation.type_in(["user", "passwd", "ada"], "short"),
            installation.type_in(["user", "passwd", "ada"], ""),
            installation.run(["rules", "apply", &rules]),
            installation.run(["rules", "apply", "none"]),
            installation.run(["rules", "export", exported.to_str().unwrap()]),
            installation.type_in(["rules", "draft", "put", "-"], "deny domain=wiki.home.example"),
            installation.type_in(["rules", "apply", "-"], "let everybody in"),
            installation.run(["app", "apply", &apps]),
            installation.run(["app", "apply", &apps]),
            installation.run(["keys", "import", key]),
            installation.type_in(["keys", "import", "-"], &pem),
            installation.type_in(["keys", "import", "-"], "no key"),
        ];
        let read = fs::read_to_string(exported).unwrap();
        outcomes.push(Outcome { code: None, out: read, err: String::new() });
        let server = server.unwrap_or_else(|| installation.serve());
        server.sign_in().expect(401);
        for (name, password) in [("ada", OTHER), ("bob", PASSWORD)] {
            let body = json!({"username": name, "password": password});
            server.client().post("/api/v1/auth/login/api", body).expect(200);
        }
        server.stop();
        outcomes
    };
    let (here, there) = (run_all(false), run_all(true));
    for (number, (here, there)) in here.iter().zip(&there).enumerate() {
        assert_eq!((here.code, &here.out, &here.err), (there.code, &there.out, &there.err), "{number}");
    }
    let codes: Vec<_> = here.iter().map(|outcome| outcome.code).collect();
    let (good, bad, wrong) = (Some(0), Some(1), Some(64));
    assert_eq!(
        codes,
        [good, good, bad, wrong, good, bad, good, good, bad, good, good, good, good, bad, None]
    );
    assert_eq!(here[9].out, "wiki: added\n");
    assert_eq!(here[10].out, "wiki: unchanged\n");
    assert!(here[14].out.ends_with(RULES), "{}", here[14].out);
}
