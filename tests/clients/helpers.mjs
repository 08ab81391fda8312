// What the drivers in JavaScript share.
import assert from "node:assert/strict";

async function ask(method, path, body) {
  const answer = await fetch(process.env.CLIENTS_STAGE + path, { method, body: body && JSON.stringify(body) });
  const text = await answer.text();
  if (!answer.ok) throw new Error(text);
  return JSON.parse(text);
}

/** The provider's issuer, and who signs in: username, password, name, email, groups. */
export const { issuer, ...person } = await ask("GET", "/");

export const CALLBACK = "https://app.example/callback";
export const SIGNED_OUT = "https://app.example/signed-out";
export const SCOPE = "openid profile email groups offline_access";

/** Adds a client; returns its fields and its secret. */
export async function addClient(fields) {
  const { client, client_secret } = await ask("POST", "/clients", { name: fields.id, redirect_uris: [CALLBACK], post_logout_redirect_uris: [SIGNED_OUT], consent: "once", ...fields });
  return { ...client, client_secret };
}

/** Walks a browser of this name through the pages; see Person.walk. */
export const walk = (browser, url, options) => ask("POST", "/walk", { browser, url: String(url), ...options });

/** Walks to the redirect to `until`, and fails with what was there instead. */
export async function walkTo(browser, url, until = CALLBACK, options = {}) {
  const end = await walk(browser, url, { until, ...options });
  assert.ok(end.url.startsWith(until), `the walk ended at a page, not at ${until}:\n${end.steps.join("\n")}\n${end.text}`);
  return new URL(end.url);
}

/** Fails unless these claims tell who the person is. */
export function assertIsPerson(claims) {
  const { sub, preferred_username, name, email, groups } = claims;
  assert.deepEqual({ preferred_username, name, email, groups: [...(groups ?? [])].sort() }, { preferred_username: person.username, name: person.name, email: person.email, groups: [...person.groups].sort() });
  assert.match(sub, /^[\x21-\x7e]{1,255}$/);
}

/** Sends a form to an endpoint with the client's secret (HTTP Basic); returns status and JSON. */
export async function post(url, client, form) {
  const authorization = `Basic ${btoa(`${encodeURIComponent(client.id)}:${encodeURIComponent(client.client_secret)}`)}`;
  const answer = await fetch(url, { method: "POST", headers: { authorization }, body: new URLSearchParams(form) });
  const text = await answer.text();
  return { status: answer.status, body: text && JSON.parse(text) };
}

/** The Python that has what requirements.txt names. */
export const PYTHON = process.env.CLIENTS_PYTHON;
