// Apps for the browser tests: one that signs people in by OpenID Connect, and one behind a proxy that asks Doorward.
import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { createServer, request } from "node:http";

const page = (title) => `<!doctype html><html lang=en><title>${title}</title><h1>${title}</h1></html>`;

async function listen(site) {
  site.listen(0, "127.0.0.1");
  await once(site, "listening");
  return site.address().port;
}

/**
 * Notes: a public client with PKCE that keeps its tokens in `tokens` and wants to be told of the end. `begin` is the
 * address that asks to sign in, `end` the one that asks to sign out, `refresh` returns the status of asking for new tokens.
 */
export async function startNotes(t, server) {
  const app = { tokens: null };
  const verifier = randomBytes(32).toString("base64url");
  const site = createServer(async (asked, answer) => {
    const url = new URL(asked.url, app.origin);
    const code = url.searchParams.get("code");
    if (url.pathname === "/cb" && code) {
      const form = { grant_type: "authorization_code", code, redirect_uri: app.callback, client_id: "notes", code_verifier: verifier };
      app.tokens = (await server.post("/oauth2/token", form)).json;
    }
    answer.setHeader("content-type", "text/html");
    answer.end(page("Notes"));
  });
  app.origin = `http://localhost:${await listen(site)}`;
  t.after(() => site.close());
  app.callback = `${app.origin}/cb`;
  app.begin = (more) => {
    const query = new URLSearchParams({
      client_id: "notes", redirect_uri: app.callback, response_type: "code", scope: "openid profile email offline_access", state: "s",
      code_challenge: createHash("sha256").update(verifier).digest("base64url"), code_challenge_method: "S256", ...more,
    });
    return `${server.origin}/oauth2/authorize?${query}`;
  };
  app.end = () => `${server.origin}/logout?${new URLSearchParams({ client_id: "notes", post_logout_redirect_uri: `${app.origin}/left` })}`;
  app.refresh = async () => {
    const form = { grant_type: "refresh_token", refresh_token: app.tokens.refresh_token, client_id: "notes" };
    const answer = await server.post("/oauth2/token", form);
    if (answer.status === 200) app.tokens = answer.json;
    return answer.status;
  };
  const scope = "openid profile email offline_access";
  const addresses = ["--redirect-uri", app.callback, "--backchannel-uri", `${app.origin}/bye`, "--post-logout-uri", `${app.origin}/left`];
  server.command(["app", "add", "--name", "Notes", "--id", "notes", "--public", "--scope", scope, ...addresses]);
  return app;
}

/** A television that asks to be let in: `shown` is what it shows, `status` what it gets when it asks for its tokens. */
export async function startTelevision(server) {
  const grant = "urn:ietf:params:oauth:grant-type:device_code";
  server.command(["app", "add", "--name", "Television", "--id", "television", "--public", "--redirect-uri", "https://tv.example/cb", "--scope", "openid email"]);
  server.command(["app", "set", "television", `grants=${grant}`]);
  const ask = async () => {
    const { json } = await server.post("/oauth2/device_authorization", { client_id: "television", scope: "openid email" });
    const form = { grant_type: grant, device_code: json.device_code, client_id: "television" };
    return { shown: json.user_code, status: async () => (await server.post("/oauth2/token", form)).status };
  };
  return { ask };
}

/** Photos, behind a proxy that asks Doorward about every request, as Traefik or Caddy would. Returns its address. */
export async function startPhotos(t, server) {
  const proxy = createServer((asked, answer) => {
    const headers = {
      "x-forwarded-method": asked.method,
      "x-forwarded-proto": "http",
      "x-forwarded-host": asked.headers.host,
      "x-forwarded-uri": asked.url,
      accept: asked.headers.accept ?? "",
      cookie: asked.headers.cookie ?? "",
    };
    const question = request({ host: "127.0.0.1", port: server.port, path: "/api/authz/forward-auth", headers, agent: false });
    question.on("response", (judged) => {
      if (judged.statusCode === 200) {
        judged.resume();
        answer.setHeader("content-type", "text/html");
        return answer.end(page(`Photos of ${judged.headers["remote-user"]}`));
      }
      answer.writeHead(judged.statusCode, judged.headers);
      judged.pipe(answer);
    });
    question.on("error", () => answer.writeHead(502).end());
    question.end();
  });
  const port = await listen(proxy);
  t.after(() => proxy.close());
  return `http://photos.home.localhost:${port}/`;
}
