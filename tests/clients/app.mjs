// A small app with a real OpenID Connect client (openid-client), for the browser tests: whoever opens it signs in.
import { once } from "node:events";
import { createServer } from "node:http";
import * as oidc from "openid-client";

/**
 * Starts an app at `http://localhost:PORT`, on a free port unless one is named. `configure` gives it what an admin
 * pastes: issuer, client_id, client_secret, redirect_uri, scope. Its page says who signed in, or what went wrong.
 */
export async function startApp(port = 0) {
  const waiting = new Map();
  let settings;
  const config = () =>
    oidc.discovery(new URL(settings.issuer), settings.client_id, settings.client_secret, undefined, {
      execute: [oidc.allowInsecureRequests, oidc.enableNonRepudiationChecks],
    });
  const begin = async (answer) => {
    const pkceCodeVerifier = oidc.randomPKCECodeVerifier();
    const checks = { pkceCodeVerifier, expectedState: oidc.randomState(), expectedNonce: oidc.randomNonce(), idTokenExpected: true };
    waiting.set(checks.expectedState, checks);
    const url = oidc.buildAuthorizationUrl(await config(), {
      redirect_uri: settings.redirect_uri,
      scope: settings.scope,
      state: checks.expectedState,
      nonce: checks.expectedNonce,
      code_challenge: await oidc.calculatePKCECodeChallenge(pkceCodeVerifier),
      code_challenge_method: "S256",
    });
    answer.writeHead(303, { location: url.href }).end();
  };
  const end = async (url) => {
    const checks = waiting.get(url.searchParams.get("state"));
    waiting.delete(url.searchParams.get("state"));
    const used = await config();
    const tokens = await oidc.authorizationCodeGrant(used, url, checks);
    const person = await oidc.fetchUserInfo(used, tokens.access_token, tokens.claims().sub);
    return `Hello, ${person.name} (${person.preferred_username})`;
  };
  const server = createServer(async (request, answer) => {
    const url = new URL(request.url, `http://${request.headers.host}`);
    if (url.pathname === "/favicon.ico") return answer.writeHead(204).end();
    const show = (status, text) => answer.writeHead(status, { "content-type": "text/html; charset=utf-8" }).end(`<!doctype html><html lang=en><title>App</title><h1>${text.replace(/[<&]/g, " ")}</h1></html>`);
    try {
      if (!url.searchParams.has("state")) return await begin(answer);
      show(200, await end(url));
    } catch (error) {
      show(500, `No: ${error.error ?? error.code ?? error.message}`);
    }
  });
  server.listen(port, "127.0.0.1");
  await once(server, "listening");
  const origin = `http://localhost:${server.address().port}`;
  return { origin, configure: (pasted) => (settings = { ...settings, ...pasted }), stop: () => server.close() };
}
