//! `doorward import` as an administrator types it.

use std::os::unix::fs::symlink;
use std::path::Path;

use crate::harness::PASSWORD;
use crate::trouble::program::{Installation, Outcome};

fn installation() -> Installation {
    let mut installation = Installation::new();
    installation.settings.push("server.public_origin=http://localhost".to_owned());
    installation
}

fn import(installation: &Installation, folder: &Path, more: &[&str]) -> Outcome {
    let mut arguments = vec!["import", "authelia", folder.to_str().unwrap()];
    arguments.extend(more);
    installation.run(arguments)
}

/// Decision 22: the same beside a running server and without one. AUD-04: no secret is told.
#[test]
fn a_move_is_planned_then_made_with_and_without_a_server() {
    let installation = installation();
    let folder = super::folder();
    let planned = import(&installation, &folder, &[]).succeed();
    assert!(planned.out.contains("Would be carried over"), "{planned:?}");
    assert!(planned.out.ends_with("Run it again with --apply to carry this over.\n"));
    assert!(!installation.run(["user", "list"]).succeed().out.contains("gina"));
    let server = installation.serve();
    let made = import(&installation, &folder, &["--apply", "--json"]).succeed();
    let report: serde_json::Value = serde_json::from_str(&made.out).unwrap();
    assert_eq!(report["is_applied"], true);
    let lines = report["lines"].as_array().unwrap();
    assert!(lines.iter().any(|line| line["name"] == "gina" && line["outcome"] == "carried"));
    // The owner of this installation is called ada too.
    assert!(lines.iter().any(|line| line["name"] == "ada" && line["outcome"] == "already_here"));
    let body = serde_json::json!({"username": "gina", "password": PASSWORD});
    server.client().post("/api/v1/auth/login/api", body).expect(200);
    server.stop();
    let again = import(&installation, &folder, &["--apply"]).succeed();
    assert!(!again.out.contains("Carried over"), "{again:?}");
    for outcome in [&planned, &made, &again] {
        for secret in
            ["$2b$", "$argon2", "$pbkdf2", "insecure", "an-open-secret", "PRIVATE KEY", "not-carried-over"]
        {
            assert!(!outcome.out.contains(secret) && !outcome.err.contains(secret), "{secret}");
        }
    }
}

/// What may lie in a folder from elsewhere neither hangs, grows, nor leads out of it.
#[test]
fn hostile_files_are_told_and_left() {
    let installation = installation();
    let folder = installation.dir.0.join("from");
    std::fs::create_dir(&folder).unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.join(name), text).unwrap();
    let outside = installation.dir.0.join("outside.yml");
    std::fs::write(&outside, "users: {mallory: {displayname: M, password: x}}\n").unwrap();
    symlink(&outside, folder.join("link.yml")).unwrap();
    symlink("/nowhere", folder.join("broken.yml")).unwrap();
    std::fs::create_dir(folder.join("directory.yml")).unwrap();
    let pipe = rustix::fs::CWD;
    rustix::fs::mknodat(pipe, folder.join("pipe.yml"), rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    write("huge.yml", &"a: b # \n".repeat(1_100_000));
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        let list = vec![format!("*a{}", level - 1); 10].join(", ");
        bomb.push_str(&format!("a{level}: &a{level} [{list}]\n"));
    }
    write("bomb.yml", &bomb);
    write("binary.yml", "a: \0\u{1}\n");
    write("broken-yaml.yml", "users: [hunter2\n");
    write(
        "configuration.yml",
        "session: {domain: com}\naccess_control: {rules: [{domain: 'a.home.example', policy: deny, subject: 'group:a,b'}]}\n\
         identity_providers: {oidc: {jwks: [{key: \"-----BEGIN PRIVATE KEY-----\\nAAAA\\n-----END PRIVATE KEY-----\"}, \
         {key: '{{ secret \"../outside.yml\" }}'}, {key: '{{ secret \"/link.yml\" }}'}], clients: [{client_id: 'a b'}, \
         {client_id: x, client_secret: '$2b$31$abc', redirect_uris: ['javascript:alert(1)']}]}}\n",
    );
    let hash = "$2b$31$fWz9Mhl4b72Fc0WUN6DWnuysIFGO.t/nAL.7LkEZcT9dAXNznrNam";
    write(
        "users_database.yml",
        &format!(
            "users:\n  eve\u{202e}: {{displayname: E, password: x}}\n  dear: {{displayname: D, password: '{hash}', groups: ['a,b']}}\n\
             \x20 text: 5\n  Bob: {{displayname: B}}\n  bob: {{displayname: B}}\n"
        ),
    );
    for more in [&[][..], &["--apply"][..]] {
        let outcome = import(&installation, &folder, more).succeed();
        for told in [
            "file link.yml: link.yml is a link that leads out of the folder.",
            "file broken.yml: broken.yml cannot be read",
            "file directory.yml: directory.yml is no file.",
            "file pipe.yml: pipe.yml is no file.",
            "file huge.yml: huge.yml is larger than 8192 KiB.",
            "file bomb.yml: It holds too many values.",
            "file broken-yaml.yml: ",
            "rules rule 1: ",
            "app a b: ",
            "app x: ",
            "domain com: ",
            "user text: ",
            "user bob: ",
            "user Bob: ",
        ] {
            assert!(outcome.out.contains(told), "{told}: {}", outcome.out);
        }
        for hidden in ["hunter2", "mallory", "$2b$31"] {
            assert!(!outcome.out.contains(hidden), "{hidden}");
        }
    }
    let people = installation.run(["user", "list"]).succeed().out;
    assert_eq!(
        people.lines().map(|line| line.split('\t').next().unwrap()).collect::<Vec<_>>(),
        ["ada", "dear"]
    );
    assert!(
        people.lines().any(|line| line.starts_with("dear\tmember\tactive\t-\tD\t") && !line.contains("a,b"))
    );
}

#[test]
fn pocket_id_and_tinyauth_are_read_too() {
    let installation = installation();
    let folder = installation.dir.0.join("from");
    std::fs::create_dir(&folder).unwrap();
    let users = folder.join("users");
    // htpasswd -nbB
    std::fs::write(&users, "tina:$$2y$$05$$AWNbyeMgVzI8vnqMNBAb5OUTr/ZJsXsTqIBJ2mEUrQ7uzPF6bwpVS\nbroken\n")
        .unwrap();
    let outcome = installation.run(["import", "tinyauth", users.to_str().unwrap(), "--apply"]).succeed();
    assert!(outcome.out.contains("user tina") && outcome.out.contains("user number 2: "), "{outcome:?}");
    let export = r#"{"provider":"sqlite","version":1,"tables":{"users":[{"id":"f4b89dc2-62fb-46bf-9f5f-c34f4eafe93e",
        "username":"tim","first_name":"Tim","last_name":"C","email":"tim@mail.example","disabled":false,"is_admin":false}],
        "oidc_clients":[{"id":"c1","name":"Cloud","callback_urls":"[\"https://cloud.example/cb\"]","is_public":false,
        "secret":"$2a$10$9dypwot8nGuCjT6wQWWpJOckZfRprhe2EkwpKizxS/fpVHrOLEJHC"}]}}"#;
    std::fs::write(folder.join("database.json"), export).unwrap();
    let outcome = installation.run(["import", "pocket-id", folder.to_str().unwrap(), "--apply"]).succeed();
    assert!(outcome.out.contains("user tim: There is no password: doorward user link tim."), "{outcome:?}");
    let shown = installation.run(["user", "profile", "tim"]).succeed().out;
    assert!(shown.contains("subject=f4b89dc2-62fb-46bf-9f5f-c34f4eafe93e"), "{shown}");
    assert!(installation.run(["app", "list"]).succeed().out.contains("c1"));
    for (name, bytes) in
        [("archive.zip", &b"PK\x03\x04"[..]), ("pocket-id.db", b"SQLite format 3\0"), ("x.json", b"\xff")]
    {
        std::fs::write(folder.join(name), bytes).unwrap();
        let outcome = installation.run(["import", "pocket-id", folder.join(name).to_str().unwrap()]);
        assert_eq!(outcome.code, Some(1), "{outcome:?}");
    }
}

/// Each root domain comes with the portal it had; one that the public address lies below needs none.
#[test]
fn several_root_domains_come_with_their_portals() {
    let mut installation = Installation::new();
    installation.settings.push("server.public_origin=https://auth.home.example".to_owned());
    let folder = installation.dir.0.join("from");
    std::fs::create_dir(&folder).unwrap();
    let text = "session:\n  cookies:\n  - {domain: home.example, authelia_url: 'https://auth.home.example'}\n  \
                - {domain: other.example, authelia_url: 'https://auth.other.example:8443/x'}\n  \
                - {domain: apps.home.example, authelia_url: 'https://auth.apps.home.example'}\n";
    std::fs::write(folder.join("configuration.yml"), text).unwrap();
    let made = import(&installation, &folder, &["--apply"]).succeed().out;
    assert!(
        made.contains(
            "Carried over (2):\n  domain home.example\n  domain other.example: Let auth.other.example:8443 "
        ),
        "{made}"
    );
    assert!(made.contains("domain apps.home.example: It cannot be protected: "), "{made}");
    let again = import(&installation, &folder, &["--apply"]).succeed().out;
    assert!(again.contains("Here already (2):"), "{again}");
    installation.settings.push("protect.domain=home.example".to_owned());
    let fixed = import(&installation, &folder, &[]).succeed().out;
    assert!(fixed.contains("domain other.example: The configuration has the domains"), "{fixed}");
}
