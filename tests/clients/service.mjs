// What a driver in any language can ask for, over HTTP: who the provider is, a new client, and a person to walk through the pages.
import { once } from "node:events";
import { createServer } from "node:http";
import { Person } from "./person.mjs";

/**
 * Answers on a free port of this machine and returns the address. `stage` has `about` (what GET / tells: the
 * issuer, and who the person is) and `addClient` (from the fields of the admin API to its answer).
 *
 *     GET /                                             { issuer, username, password, name, email, groups }
 *     POST /clients { id, redirect_uris, ... }          { client, client_secret }
 *     POST /walk { url, browser, until, ... }            see Person.walk; `browser` is any name, and known again by it
 */
export async function serve(stage) {
  const people = new Map();
  const doings = {
    "GET /": () => stage.about,
    "POST /clients": (asked) => stage.addClient(asked),
    "POST /walk": ({ url, browser, ...options }) => {
      if (!people.has(browser)) people.set(browser, new Person(stage.about.username, stage.about.password));
      return people.get(browser).walk(url, options);
    },
  };
  const server = createServer(async (request, response) => {
    try {
      const chunks = [];
      for await (const chunk of request) chunks.push(chunk);
      const asked = chunks.length ? JSON.parse(Buffer.concat(chunks).toString()) : undefined;
      const doing = doings[`${request.method} ${request.url}`];
      if (!doing) throw new Error(`nobody answers ${request.method} ${request.url}`);
      const answer = await doing(asked);
      response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(answer));
    } catch (error) {
      response.writeHead(500, { "content-type": "text/plain" }).end(String(error.message));
    }
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return `http://127.0.0.1:${server.address().port}`;
}
