// mod_auth_openidc (Debian) in a real Apache, in front of an app that shows what reaches it.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { freePort } from "../e2e/server.mjs";
import { addClient, assertIsPerson, issuer, person, post, SCOPE, walk, walkTo } from "./helpers.mjs";

const ID = "mod-auth-openidc";
const children = [];
let client;
let directory;
let origin;
let callback;

/** Starts a program that is ended after the tests. */
function run(program, ...words) {
  const child = spawn(program, words, { stdio: "ignore" });
  child.on("error", (error) => {
    throw error;
  });
  children.push(child);
}

async function answers(url) {
  const deadline = Date.now() + 15_000;
  while (!(await fetch(url, { redirect: "manual" }).then(() => true, () => false))) {
    if (Date.now() > deadline) throw new Error(`nobody answers at ${url}:\n${await readFile(join(directory, "error.log"), "utf8").catch(String)}`);
    await new Promise((done) => setTimeout(done, 50));
  }
}

before(async () => {
  directory = await mkdtemp(join(tmpdir(), "doorward-apache-"));
  const [port, behind] = [await freePort(), await freePort()];
  origin = `http://localhost:${port}`;
  callback = `${origin}/oidc/callback`;
  // A client with another algorithm has its key published, which Apache must not mind.
  await addClient({ id: `${ID}-neighbor`, id_token_alg: "EdDSA" });
  client = await addClient({ id: ID, redirect_uris: [callback], post_logout_redirect_uris: [`${origin}/goodbye`], backchannel_logout_uri: `${callback}?logout=backchannel` });
  const modules = ["mpm_event", "authn_core", "authz_core", "authz_user", "proxy", "proxy_http", "auth_openidc"];
  const configuration = `
    ServerRoot ${directory}
    ServerName localhost
    Listen 127.0.0.1:${port}
    PidFile ${directory}/apache.pid
    ErrorLog ${directory}/error.log
    ${modules.map((name) => `LoadModule ${name}_module /usr/lib/apache2/modules/mod_${name}.so`).join("\n    ")}
    User nobody
    Group nogroup
    StartServers 1
    OIDCProviderMetadataURL ${issuer}/.well-known/openid-configuration
    OIDCClientID ${ID}
    OIDCClientSecret ${client.client_secret}
    OIDCRedirectURI ${callback}
    OIDCCryptoPassphrase of-this-test-alone
    OIDCScope "${SCOPE}"
    OIDCPKCEMethod S256
    OIDCRemoteUserClaim preferred_username
    OIDCPassRefreshToken On
    OIDCPassUserInfoAs claims json
    <Location />
      AuthType openid-connect
      Require valid-user
    </Location>
    <Location /goodbye>
      Require all granted
    </Location>
    ProxyPass /oidc/ !
    ProxyPass / http://127.0.0.1:${behind}/
  `;
  await writeFile(join(directory, "apache.conf"), configuration);
  run("python3", fileURLToPath(new URL("../proxies/app.py", import.meta.url)), String(behind));
  run("/usr/sbin/apache2", "-f", join(directory, "apache.conf"), "-D", "FOREGROUND");
  await answers(`http://127.0.0.1:${behind}/`);
  await answers(`${origin}/`);
});

after(async () => {
  for (const child of children) child.kill("SIGTERM");
  await Promise.all(children.map((child) => child.exitCode ?? new Promise((done) => child.once("exit", done))));
  await rm(directory, { recursive: true, force: true });
});

/** Opens a protected page; returns the headers that the app saw, by their names in small letters. */
async function visit(browser, url = `${origin}/private`) {
  const end = await walk(browser, url);
  assert.equal(end.status, 200, `${end.steps.join("\n")}\n${end.text}\n${await readFile(join(directory, "error.log"), "utf8")}`);
  assert.match(end.type, /json/, `${end.steps.join("\n")}\n${end.text}`);
  return Object.fromEntries(JSON.parse(end.text).headers.map(([name, value]) => [name.toLowerCase(), value]));
}

/** Whether a visit is sent to sign in. */
async function isSentAway(browser) {
  const end = await walk(browser, `${origin}/private`, { until: `${issuer}/` });
  return end.url.startsWith(`${issuer}/`);
}

const discovered = async () => (await fetch(`${issuer}/.well-known/openid-configuration`)).json();

test("Apache signs in, refreshes and signs out, and its app knows who is there", async () => {
  const browser = ID;
  assert.equal(await isSentAway(browser), true);
  const seen = await visit(browser);
  assert.equal(seen.oidc_claim_preferred_username, person.username);
  assert.equal(seen.oidc_claim_name, person.name);
  assert.equal(seen.oidc_claim_email, person.email);
  assert.deepEqual(seen.oidc_claim_groups.split(",").sort(), [...person.groups].sort());
  assert.equal(seen.oidc_claim_iss, issuer);
  // It drops what userinfo says of another subject.
  assertIsPerson(JSON.parse(seen.oidc_userinfo_json));
  assert.equal(JSON.parse(seen.oidc_userinfo_json).sub, seen.oidc_claim_sub);

  const back = encodeURIComponent(`${origin}/private`);
  const renewed = await visit(browser, `${callback}?refresh=${back}&access_token=${encodeURIComponent(seen.oidc_access_token)}`);
  assert.notEqual(renewed.oidc_access_token, seen.oidc_access_token);
  assert.equal(renewed.oidc_claim_sub, seen.oidc_claim_sub);

  await walkTo(browser, `${callback}?logout=${encodeURIComponent(`${origin}/goodbye`)}`, `${origin}/goodbye`);
  assert.equal(await isSentAway(browser), true);
  const again = await post((await discovered()).token_endpoint, client, { grant_type: "refresh_token", refresh_token: renewed.oidc_refresh_token });
  assert.deepEqual([again.status, again.body.error], [400, "invalid_grant"]);
});

test("Apache refuses a state that it did not make", async () => {
  const browser = `${ID} tampered`;
  const address = await walkTo(browser, `${origin}/private`, callback);
  address.searchParams.set("state", "another");
  const end = await walk(browser, address);
  assert.doesNotMatch(end.text, /"app": "reached"/);
  assert.notEqual(end.status, 200);
});

test("Apache ends its session when the person signs out at Doorward", async () => {
  const browser = `${ID} back-channel`;
  await visit(browser);
  assert.equal(await isSentAway(browser), false);
  await walk(browser, `${issuer}/signout`, { press: ["here"] });
  // The call comes soon after, not before the answer.
  const deadline = Date.now() + 10_000;
  while (!(await isSentAway(browser))) {
    if (Date.now() > deadline) assert.fail(`Apache still lets the person in:\n${await readFile(join(directory, "error.log"), "utf8")}`);
    await new Promise((done) => setTimeout(done, 100));
  }
});
