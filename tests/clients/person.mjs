// A person with a browser that runs no scripts: follows redirects, keeps cookies, fills in the sign-in form, answers the
// question of consent, confirms a sign-out. Everything is found by the ids that the pages promise, each at most once a walk.
import { request } from "node:http";
import { parse } from "node-html-parser";

const MOST_STEPS = 25;

/** Cookies as browsers keep them: by host without its port, path and name; strict ones stay back when another site leads here. */
class Jar {
  #cookies = new Map();

  store(url, lines = []) {
    for (const line of lines) {
      const [pair, ...attributes] = line.split(";").map((part) => part.trim());
      const [name, value] = [pair.slice(0, pair.indexOf("=")), pair.slice(pair.indexOf("=") + 1)];
      const attribute = (wanted) => attributes.find((text) => text.toLowerCase().startsWith(`${wanted}=`))?.slice(wanted.length + 1);
      const path = attribute("path") ?? "/";
      const age = attribute("max-age");
      const isOver = age !== undefined ? Number(age) <= 0 : Date.parse(attribute("expires")) <= Date.now();
      const key = `${url.hostname} ${path} ${name}`;
      if (isOver) this.#cookies.delete(key);
      else this.#cookies.set(key, { host: url.hostname, path, name, value, isStrict: attribute("samesite")?.toLowerCase() === "strict" });
    }
  }

  header(url, site) {
    const within = (path) => url.pathname === path || url.pathname.startsWith(path.endsWith("/") ? path : `${path}/`);
    const may = (cookie) => !(cookie.isStrict && site === "cross-site");
    const sent = [...this.#cookies.values()].filter((cookie) => cookie.host === url.hostname && within(cookie.path) && may(cookie));
    return sent.map((cookie) => `${cookie.name}=${cookie.value}`).join("; ");
  }
}

/** One request, no redirect followed; returns status, headers and text. */
function send(url, { method = "GET", headers = {}, body } = {}) {
  return new Promise((done, fail) => {
    const sent = request(url, { method, headers, agent: false }, async (answer) => {
      const chunks = [];
      for await (const chunk of answer) chunks.push(chunk);
      done({ status: answer.statusCode, headers: answer.headers, text: Buffer.concat(chunks).toString() });
    });
    sent.setTimeout(30_000, () => sent.destroy(new Error(`${method} ${url} did not answer within 30 s`)));
    sent.on("error", fail);
    sent.end(body);
  });
}

/**
 * Runs one `act` after the other. Passwords are proven one at a time, since Doorward turns away who waits too long behind
 * many others, and these are tests of something else.
 */
let last = Promise.resolve();
function inTurn(act) {
  const mine = last.then(act);
  last = mine.catch(() => {});
  return mine;
}

/** What a form sends when `button` is pressed, with these fields filled in. */
function filledIn(form, button, fields) {
  const data = new URLSearchParams();
  for (const input of form.querySelectorAll("input")) {
    const name = input.getAttribute("name");
    const type = input.getAttribute("type");
    if (!name || ((type === "checkbox" || type === "radio") && !input.hasAttribute("checked"))) continue;
    data.append(name, fields[name] ?? input.getAttribute("value") ?? "");
  }
  if (button.getAttribute("name")) data.append(button.getAttribute("name"), button.getAttribute("value") ?? "");
  return data;
}

export class Person {
  #jar = new Jar();

  constructor(username, password) {
    Object.assign(this, { username, password });
  }

  /**
   * Opens `url` as a link of another site does, and does what the pages ask until there is nothing left to do. Stops at
   * a redirect to an address that begins with `until`, without opening it. `press` are ids of further buttons, `fill`
   * values of further fields by their names.
   * Returns the last address, and of a page its status, content type and text; `steps` tells the way there.
   */
  async walk(url, { until, press = [], fill = {}, consent = "allow" } = {}) {
    const buttons = ["sign-in-submit", `consent-${consent}`, "sign-out-confirm", ...press];
    const steps = [];
    let at = new URL(url);
    let site = "cross-site";
    let next = {};
    while (steps.length < MOST_STEPS) {
      const headers = { accept: "text/html,*/*;q=0.8", "sec-fetch-site": site, "sec-fetch-mode": "navigate", "sec-fetch-dest": "document", "sec-fetch-user": "?1", "user-agent": "a browser without scripts", ...next.headers };
      const cookie = this.#jar.header(at, site);
      if (cookie) headers.cookie = cookie;
      const go = () => send(at, { ...next, headers });
      const answer = await (next.isSignIn ? inTurn(go) : go());
      steps.push(`${next.method ?? "GET"} ${at} -> ${answer.status} ${answer.headers.location ?? ""}`.trim());
      this.#jar.store(at, answer.headers["set-cookie"]);
      next = {};
      if (answer.headers.location) {
        // 307 and 308 would send the password on to whoever is next.
        if (![301, 302, 303].includes(answer.status)) throw new Error(`a redirect with ${answer.status}:\n${steps.join("\n")}`);
        at = new URL(answer.headers.location, at);
        if (until && at.href.startsWith(until)) return { url: at.href, steps };
        continue;
      }
      const page = parse(answer.text);
      const button = buttons.map((id) => page.getElementById(id)).find((found) => found);
      if (!button) return { url: at.href, status: answer.status, type: answer.headers["content-type"] ?? "", text: answer.text, steps };
      buttons.splice(buttons.indexOf(button.id), 1);
      const form = button.closest("form");
      if (form?.getAttribute("method")?.toLowerCase() !== "post") throw new Error(`#${button.id} is in no form that posts:\n${answer.text}`);
      if (button.id === "sign-in-submit" && form.id !== "sign-in") throw new Error(`the sign-in form has the id "${form.id}"`);
      const body = filledIn(form, button, { username: this.username, password: this.password, ...fill }).toString();
      next = { method: "POST", body, isSignIn: button.id === "sign-in-submit", headers: { "content-type": "application/x-www-form-urlencoded", "content-length": Buffer.byteLength(body), origin: at.origin } };
      at = new URL(form.getAttribute("action") || at.href, at);
      site = "same-origin";
    }
    throw new Error(`this goes round in circles:\n${steps.join("\n")}`);
  }
}
