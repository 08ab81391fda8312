// The tools of the other tests find what they look for.
import assert from "node:assert/strict";
import test from "node:test";
import { axe, launch, open, totp } from "./browser.mjs";
import { goAround, tabTo } from "./keyboard.mjs";
import { said } from "./words.mjs";

test("codes match the vectors of RFC 6238 appendix B", () => {
  const secret = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";
  assert.equal(totp(secret, 0, 59_000), "287082");
  assert.equal(totp(secret, 0, 1_111_111_109_000), "081804");
  assert.equal(totp(secret, 0, 20_000_000_000_000), "353130");
});

test("texts are found by their keys, with anything for a value", () => {
  assert.match("You can try again now.", said("en", "ui", "countdown_over"));
  assert.doesNotMatch("Until tomorrow.", said("en", "ui", "paused_here"));
  assert.throws(() => said("en", "ui", "no_such_key"));
});

const SKIP = `<a class="skip" href="#main">Skip</a>`;
const page = (main, style = "") =>
  `<!doctype html><html lang="en"><title>Sample</title><style>${style}</style><body>${SKIP}<main id="main"><h1>Sample</h1>${main}</main><footer><a href="/">Home</a></footer></body></html>`;
const TWO = `<p><a href="/1" id="one">One</a></p><p><a href="/2" id="two">Two</a></p>`;
const RING = ":focus { outline: 3px solid blue }";

test("once around a page, and to a control, keys find what is wrong", { timeout: 60_000 }, async (t) => {
  const browser = await launch();
  t.after(() => browser.close());
  const sample = await open(browser);
  const around = async (html) => {
    await sample.setContent(html);
    await goAround(sample);
  };
  await around(page(TWO, RING));
  const wrong = {
    "no skip link": page(TWO, RING).replace(SKIP, ""),
    "a jump in the order": page(TWO.replace('id="one"', 'id="one" tabindex="2"'), RING),
    "an order for keys that the eye does not see": page(`<div>${TWO}</div>`, `${RING} div { display: flex; flex-direction: column-reverse }`),
    "no ring": page(TWO, "#two:focus { outline: 0 }"),
    "a cover over the focus": page(`${TWO}<div></div>`, `${RING} div { position: fixed; inset: 0; background: white }`),
  };
  for (const [what, html] of Object.entries(wrong)) await assert.rejects(around(html), what);
  await around(page(TWO, RING));
  await sample.evaluate(() => document.querySelector("#one").addEventListener("keydown", (event) => event.preventDefault()));
  await assert.rejects(goAround(sample), "a trap");
  await assert.rejects(tabTo(sample, "#two"), "what is behind a trap");
});

test("axe finds what is wrong, and requests to elsewhere are noted", { timeout: 60_000 }, async (t) => {
  const browser = await launch();
  t.after(() => browser.close());
  const sample = await open(browser);
  await sample.route("**/*", (route) => route.fulfill({ contentType: "text/html", body: page(TWO) }));
  await sample.goto("http://localhost/");
  assert.deepEqual(sample.problems, []);
  await sample.setContent(page(`<p style="color: #ccc">Pale</p><img src="https://elsewhere.example/pixel">`));
  const found = (await axe(sample)).join("\n");
  for (const rule of [/color-contrast/, /image-alt/]) assert.match(found, rule);
  assert.match(sample.problems.join("\n"), /a foreign request: https:\/\/elsewhere\.example\/pixel/);
});
