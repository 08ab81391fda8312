// Synapse (PyPI), the Matrix server: an app whose own API proves that the right person is signed in.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { freePort } from "../e2e/server.mjs";
import { addClient, issuer, person, PYTHON, walk, walkTo } from "./helpers.mjs";

const ELEMENT = "https://element.example/";
let directory;
let synapse;
let origin;
let callback;
let log = "";

before(async () => {
  directory = await mkdtemp(join(tmpdir(), "doorward-synapse-"));
  const port = await freePort();
  origin = `http://localhost:${port}`;
  callback = `${origin}/_synapse/client/oidc/callback`;
  const { client_secret } = await addClient({ id: "synapse", redirect_uris: [callback], post_logout_redirect_uris: [], backchannel_logout_uri: `${origin}/_synapse/client/oidc/backchannel_logout` });
  // YAML understands JSON.
  const configuration = {
    server_name: "home.example",
    public_baseurl: `${origin}/`,
    pid_file: join(directory, "pid"),
    listeners: [{ port, type: "http", bind_addresses: ["127.0.0.1"], resources: [{ names: ["client"] }] }],
    database: { name: "sqlite3", args: { database: join(directory, "homeserver.db") } },
    media_store_path: join(directory, "media"),
    signing_key_path: join(directory, "signing.key"),
    macaroon_secret_key: randomBytes(32).toString("hex"),
    form_secret: randomBytes(32).toString("hex"),
    trusted_key_servers: [],
    report_stats: false,
    password_config: { enabled: false },
    sso: { client_whitelist: [ELEMENT] },
    oidc_providers: [
      {
        idp_id: "doorward",
        idp_name: "Doorward",
        issuer,
        // Verifying means that every address must begin with https.
        skip_verification: true,
        client_id: "synapse",
        client_secret,
        scopes: ["openid", "profile", "email"],
        pkce_method: "always",
        backchannel_logout_enabled: true,
        user_mapping_provider: { config: { localpart_template: "{{ user.preferred_username }}", display_name_template: "{{ user.name }}", email_template: "{{ user.email }}" } },
      },
    ],
  };
  await writeFile(join(directory, "homeserver.yaml"), JSON.stringify(configuration));
  await writeFile(join(directory, "signing.key"), `ed25519 a_test ${randomBytes(32).toString("base64").replace("=", "")}\n`);
  synapse = spawn(PYTHON, ["-W", "ignore", "-m", "synapse.app.homeserver", "-c", join(directory, "homeserver.yaml")], { cwd: directory, stdio: ["ignore", "pipe", "pipe"] });
  for (const stream of [synapse.stdout, synapse.stderr]) stream.setEncoding("utf8").on("data", (text) => (log += text));
  const deadline = Date.now() + 60_000;
  while (!(await fetch(`${origin}/health`).then((answer) => answer.ok, () => false))) {
    if (synapse.exitCode !== null || Date.now() > deadline) throw new Error(`Synapse did not start:\n${log.slice(-4000)}`);
    await new Promise((done) => setTimeout(done, 100));
  }
});

after(async () => {
  if (synapse?.kill("SIGTERM")) await once(synapse, "exit");
  await rm(directory, { recursive: true, force: true });
});

/** Calls the Matrix client API; returns status and JSON. */
async function matrix(method, path, { token, body } = {}) {
  const headers = { "content-type": "application/json", ...(token && { authorization: `Bearer ${token}` }) };
  const answer = await fetch(`${origin}/_matrix/client/v3/${path}`, { method, headers, body: body && JSON.stringify(body) });
  return { status: answer.status, body: await answer.json() };
}

const start = () => `${origin}/_matrix/client/v3/login/sso/redirect/oidc-doorward?redirectUrl=${encodeURIComponent(ELEMENT)}`;

test("Synapse offers Doorward, signs the right person in, and out again when they sign out at Doorward", async () => {
  const browser = "synapse";
  const flows = await matrix("GET", "login");
  const offered = flows.body.flows.find((flow) => flow.type === "m.login.sso").identity_providers;
  assert.deepEqual(offered.map(({ id, name }) => [id, name]), [["oidc-doorward", "Doorward"]]);

  const back = await walkTo(browser, start(), ELEMENT).catch((error) => assert.fail(`${error.message}\n${log.slice(-4000)}`));
  const login = await matrix("POST", "login", { body: { type: "m.login.token", token: back.searchParams.get("loginToken") } });
  assert.equal(login.status, 200, JSON.stringify(login.body));
  const token = login.body.access_token;
  const who = await matrix("GET", "account/whoami", { token });
  assert.deepEqual([who.status, who.body.user_id, who.body.is_guest], [200, `@${person.username}:home.example`, false]);
  const profile = await matrix("GET", `profile/${encodeURIComponent(who.body.user_id)}`, { token });
  assert.equal(profile.body.displayname, person.name);
  const addresses = await matrix("GET", "account/3pid", { token });
  assert.deepEqual(addresses.body.threepids.map(({ medium, address }) => [medium, address]), [["email", person.email]]);

  await walk(browser, `${issuer}/signout`, { press: ["here"] });
  // The call comes soon after, not before the answer.
  const deadline = Date.now() + 10_000;
  while ((await matrix("GET", "account/whoami", { token })).status === 200) {
    if (Date.now() > deadline) assert.fail(`Synapse still takes the token:\n${log.slice(-4000)}`);
    await new Promise((done) => setTimeout(done, 100));
  }
  const dead = await matrix("GET", "account/whoami", { token });
  assert.deepEqual([dead.status, dead.body.errcode], [401, "M_UNKNOWN_TOKEN"]);
});

test("Synapse refuses a state that it did not make", async () => {
  const browser = "synapse tampered";
  const address = await walkTo(browser, start(), callback);
  address.searchParams.set("state", "another");
  const end = await walk(browser, address, { until: ELEMENT });
  assert.notEqual(end.url.startsWith(ELEMENT), true, end.url);
  assert.equal(end.status, 400, end.text);
});
