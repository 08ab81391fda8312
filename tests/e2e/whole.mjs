// node whole.mjs TAP SENT: looks back at a whole run. Every flow of flows.json was told by stories that passed, and every
// form that needs no passkey was sent from a browser without scripts, and taken. One line for each look, as of a test.
import { readFile, readdir } from "node:fs/promises";
import { join } from "node:path";

const [, , tap, sent] = process.argv;

/** The tests that passed, as "story" and "story > step"; the windows they ran in are left out. */
async function passed() {
  const names = new Set();
  let steps = [];
  for (const line of (await readFile(tap, "utf8")).split("\n")) {
    const [, indent, verdict, name] = /^( *)(ok|not ok) \d+ - ([^#]*)/.exec(line) ?? [];
    if (!verdict) continue;
    if (indent) {
      if (verdict === "ok") steps.push(name.trim());
      continue;
    }
    const story = name.trim().replace(/, \d+ px wide, with(out)? scripts$/, "");
    if (verdict === "ok" && !/# SKIP/.test(line)) for (const one of [story, ...steps.map((step) => `${story} > ${step}`)]) names.add(one);
    steps = [];
  }
  return names;
}

async function untoldFlows() {
  const flows = JSON.parse(await readFile(new URL("flows.json", import.meta.url), "utf8"));
  const names = await passed();
  return Object.entries(flows).flatMap(([flow, stories]) => stories.filter((story) => !names.has(story)).map((story) => `${flow}: ${story}`));
}

/** Passkeys need scripts; the rest is what programs and other sites post, where no form of ours leads. */
const NO_FORM = /^POST (\/(signin\/passkey|setup\/passkey|account\/passkeys|oauth2\/authorize|api\/oidc\/authorization))$/;

/** The forms of the pages: what the table of routes has for people, and the searches of the templates. */
async function forms() {
  const root = new URL("../../", import.meta.url);
  const table = await readFile(new URL("src/routes/table.rs", root), "utf8");
  const posts = [...table.matchAll(/\b(?:page|first_start)\(\s*Post,\s*"([^"]*)"/g)].map(([, path]) => `POST ${path}`);
  const files = (await readdir(new URL("web/templates", root), { recursive: true })).filter((name) => name.endsWith(".html"));
  const texts = await Promise.all(files.map((name) => readFile(new URL(`web/templates/${name}`, root), "utf8")));
  const gets = texts.flatMap((text) => [...text.matchAll(/<form method="get" action="([^"#]*)/g)]).map(([, path]) => `GET ${path.replace("{{ head.url }}", "/admin/apps/{id}")}`);
  if (posts.length < 80 || gets.length < 5) throw new Error(`only ${posts.length} forms and ${gets.length} searches were found`);
  return [...new Set([...posts, ...gets])].filter((form) => !NO_FORM.test(form));
}

async function unsentForms() {
  const lines = await Promise.all((await readdir(sent)).map((name) => readFile(join(sent, name), "utf8")));
  const seen = [...new Set(lines.join("").split("\n").filter(Boolean))];
  const all = (await forms()).map((form) => ({ form, fits: new RegExp(`^${form.replaceAll(/\{[^}]*\}/g, "[^/]+")}$`), open: form.split("{").length }));
  // A path that is spelled out is that one, and no value of another.
  all.sort((one, other) => one.open - other.open);
  const taken = new Set(seen.map((line) => all.find(({ fits }) => fits.test(line))?.form));
  return all.map(({ form }) => form).filter((form) => !taken.has(form));
}

const looks = [["every flow was told by stories that passed", untoldFlows], ["every form was sent without scripts", unsentForms]];
for (const [name, look] of looks) {
  const missing = await look();
  console.log(`${missing.length ? "not ok" : "ok"} - ${name}`);
  for (const line of missing) console.log(`#   missing: ${line}`);
  if (missing.length) process.exitCode = 1;
}
