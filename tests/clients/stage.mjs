// Sets the stage: a real Doorward on an empty data directory, a person who may sign in, and the service for the drivers.
//
//   node stage.mjs FILE     writes the service's address to FILE when all is ready; ends Doorward on SIGTERM
import { renameSync, writeFileSync } from "node:fs";
import { totp } from "../e2e/browser.mjs";
import { build, start } from "../e2e/server.mjs";
import { serve } from "./service.mjs";

const owner = { username: "ada", name: "Ada Lovelace", password: "violet kettle orbit meadow" };
const grace = { username: "grace", name: "Grace Hopper", email: "grace@example.org", groups: ["family", "printers"], password: "quiet harbor lantern seven" };

const often = "100000/1h";
const settings = { "limits.sign_in": often, "limits.api": often, "oidc.advertise_par": true, "outgoing.allowed_networks": "127.0.0.0/8,::1/128" };
const server = await start(build(), { owner, settings });
for (const signal of ["SIGTERM", "SIGINT"]) process.on(signal, () => server.stop().then(() => process.exit(0)));

const groups = grace.groups.flatMap((group) => ["--group", group]);
server.command(["user", "add", grace.username, "--name", grace.name, "--email", grace.email, ...groups, "--password-stdin"], `${grace.password}\n`);

/** Sends JSON to Doorward's own API and returns the answer's; fails unless it has the status. */
async function api(method, path, body, status = 200) {
  const headers = { "content-type": "application/json", ...(api.token && { authorization: `Bearer ${api.token}` }) };
  const answer = await fetch(server.origin + path, { method, headers, body: body && JSON.stringify(body) });
  const text = await answer.text();
  if (answer.status !== status) throw new Error(`${method} ${path} ${JSON.stringify(body)} was answered ${answer.status}: ${text}`);
  return JSON.parse(text);
}

const signedIn = await api("POST", "/api/v1/auth/login/api", { username: owner.username, password: owner.password, otp: totp(server.owner.totp_secret) });
api.token = signedIn.access_token;
const address = await serve({
  about: { issuer: server.origin, ...grace },
  addClient: (fields) => api("POST", "/api/v1/admin/clients", fields, 201),
});
const [, , file] = process.argv;
writeFileSync(`${file}.new`, address);
renameSync(`${file}.new`, file);
