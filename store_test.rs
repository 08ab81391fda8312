
/// BAK-03, PK-05: an export and a snapshot hold passkeys whole. Brought into another place they sign in as before, while
/// sessions ended and answers that were given stay used.
#[test]
fn passkeys_come_along_in_exports_and_snapshots() {
    for is_snapshot in [false, true] {
        let server = Server::start();
        let (mut key, mut client, added) = with_passkey(&server, "ada", PRESENT | VERIFIED);
        key.counter = 7;
        let used = json!({"credential": key.get(&sign_in_options(&server))});
        server.client().post("/api/v1/auth/passkey/api", used.clone()).expect(200);
        let file = server.dir.0.join("moved");
        let (store, now) = (server.app().store().clone(), server.clock.now());
        let file = if is_snapshot {
            snapshots::take(&store, &server.dir.0, snapshots::Reason::Asked, now).unwrap()
        } else {
            snapshots::export_file(&store, &file, now).unwrap();
            file
        };
        let place = Arc::new(TempDir::new());
        let mut settings = OpenSettings::new(&place.0);
        settings.free_space_floor = Some(0);
        let sealer = Arc::new(Sealer::new(&MasterKey::from_bytes([42; 32])));
        let clock: SharedClock = server.clock.clone();
        let options = store::ImportOptions { replace: false, leniency: Leniency::default() };
        let report = store::import(&settings, &file, options, &sealer, &Random::os(), &clock).unwrap();
        assert_eq!((report.damaged, report.unknown), (0, 0));
        let clock = server.clock.clone();
        drop((store, server));
        clock.advance(Duration::from_secs(1));
        let moved = Server::start_at(place, clock, |_| {});
        moved.client().post("/api/v1/auth/passkey/api", used).expect(401);
        client.address = moved.address;
        client.get_json(MINE).expect(401);
        // A copy from before the move is told: what was counted came along.
        key.counter = 3;
        sign_in(&moved, &key).expect(200);
        assert_eq!(events(&moved, "passkey.suspicious"), 1);
        key.counter = 8;
        let mut client = bearer(&moved, &sign_in(&moved, &key).expect(200).json());
        let mine = client.get_json(MINE).expect(200).json();
        assert_eq!(mine["passkeys"][0]["id"], added["id"]);
        assert_eq!(mine["passkeys"][0]["name"], "My key");
        // One authenticator holds one passkey for the account: the new place asks it by the same handle.
        let options = client.post(OPTIONS, json!({})).expect(200).json();
        assert_eq!(options["user"]["id"], encode(&key.handle));
        assert_eq!(options["excludeCredentials"][0]["id"], encode(&key.id));
    }
}
