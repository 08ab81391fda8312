// An owner looks after the installation itself in a real browser: overview, audit and its export, keys, backups, settings.
// In a wide window with scripts and a narrow one without; every page on the way is looked at (person.mjs).
import assert from "node:assert/strict";
import test from "node:test";
import { TWO, stage } from "./person.mjs";

const { owner } = stage();

async function signsIn(person) {
  const { page } = person;
  await person.goto("/admin");
  await page.waitForURL("**/signin?rd=*");
  await person.enterPassword("ana", "not the password of ana");
  await page.locator("#problem").waitFor();
  await person.signInTo("/admin");
  await person.at("/admin", "Overview");
}

async function looksAtTheOverview(person) {
  const { page } = person;
  const tile = (name) => page.locator("#numbers li", { hasText: name }).locator("p").textContent();
  // Events of refusals are written within a second or two.
  while ((await tile("Refused in 24 hours")) === "0") await page.reload();
  assert.equal(await tile("People"), "1");
  assert.equal(await tile("Sign-ins in 24 hours"), "1");
  assert.equal(await tile("Refused in 24 hours"), "1");
  assert.equal(await tile("Paused now"), "0");
  await page.locator("figure.chart summary").click();
  await person.look("/admin table");
  await page.locator("#step-second-admin").waitFor();
  await person.press("Hide this list");
  await person.at("/admin", "Overview", "/admin hidden");
  assert.equal(await page.locator("#checklist").count(), 0);
}

async function filtersAndExportsTheAudit(person) {
  const { page } = person;
  await page.getByRole("link", { name: "Refused in 24 hours" }).click();
  await person.at("/admin/audit?kind=sign_in.&outcome=refused", "Audit", "/admin/audit refused");
  const rows = page.locator("#events tbody tr");
  assert.equal(await rows.count(), 1);
  const csv = await person.download(page.locator("#export-csv"));
  assert.equal(csv.name, "doorward-audit.csv");
  assert.equal(csv.text.trim().split("\r\n").length, 2, csv.text);
  assert.match(csv.text, /^at,sequence,kind,[^]*"sign_in\.failed"/);
  await page.locator("nav.filters").getByRole("link", { name: "Everything" }).click();
  await person.at("/admin/audit", "Audit");
  assert.ok((await rows.count()) > 3);
  await page.selectOption("#kind", "audit.");
  await page.fill("#from", "2020-01-01");
  await person.press("Show");
  await page.waitForURL("**from=2020-01-01*");
  assert.match((await rows.allInnerTexts()).join(" "), /The audit log was exported/);
  const lines = await person.download(page.locator("#export-jsonl"));
  assert.equal(JSON.parse(lines.text.split("\n")[0]).kind, "audit.exported");
  await rows.first().locator("summary").click();
  await person.look("/admin/audit details");
}

async function looksAfterTheSystem(person) {
  const { page } = person;
  await page.getByRole("link", { name: "System", exact: true }).click();
  await person.at("/admin/system", "System");
  await person.press("Make one now");
  await person.at("/admin/system?done=taken", "System", "/admin/system taken");
  const file = await person.download(page.locator("#snapshots").getByRole("link").first());
  assert.match(file.name, /^doorward-\d{8}T\d{6}Z-asked\.doorward-export$/);
  assert.ok(file.text.length > 1000);
  // A file does not take the page away: the button works again.
  await person.goto("/admin/backup");
  for (let times = 0; times < 2; times += 1) {
    const copy = await person.download(page.locator("#take-backup"));
    assert.ok(copy.text.length > 1000);
  }
  await person.goto("/admin/system");
  await page.fill("#instance_name", "   ");
  await person.press("Save");
  await page.locator("#instance_name-error").waitFor();
  await person.look("/admin/system refused");
  await page.fill("#instance_name", "Linden Street");
  await person.press("Save");
  await person.at("/admin/system?done=saved", "System", "/admin/system saved");
  assert.match(await page.locator(".brand").textContent(), /Linden Street/);
  const kid = () => page.locator("#keys-tokens tbody th").first().textContent();
  const before = await kid();
  await person.confirm(page.locator("#replace-tokens"), { name: "/admin/system asks" });
  await person.at("/admin/system?done=replaced", "System", "/admin/system replaced");
  assert.notEqual(await kid(), before);
}

async function readsTheRest(person) {
  const { page, server } = person;
  await page.getByRole("link", { name: "All settings and where they come from" }).click();
  await person.at("/admin/system/settings", "Settings");
  await page.locator("[id='server.listen']").getByText("flag --listen").waitFor();
  await person.goto("/admin/system/support");
  await person.at("/admin/system/support", "Text for support");
  const text = await page.locator("#support").textContent();
  assert.match(text, /^doorward [^]*people: 1/);
  for (const secret of ["ana", "Linden", "localhost", "127.0.0.1", String(server.port)]) assert.ok(!text.includes(secret), `${secret}: ${text}`);
  await person.goto("/whoami");
  await person.at("/whoami", "What Doorward sees of you");
  const seen = await page.locator("#headers").innerText();
  assert.match(seen, /cookie\s+hidden, \d+ characters/);
  for (const cookie of await page.context().cookies()) {
    if (cookie.value.length > 12) assert.ok(!seen.includes(cookie.value), cookie.name);
  }
}

async function readsItInGerman(person) {
  const { page, server } = person;
  await page.context().addCookies([{ name: "dw_lang", value: "de", url: server.origin }]);
  for (const [path, heading] of [["/admin", "Übersicht"], ["/admin/audit", "Prüfprotokoll"], ["/admin/system", "System"], ["/admin/system/settings", "Einstellungen"], ["/admin/domains", "Domains"], ["/admin/doctor", "Diagnose"], ["/whoami", "Was Doorward von Ihnen sieht"]]) {
    await person.goto(path);
    await page.getByRole("heading", { level: 1, name: heading }).waitFor();
  }
}

const STEPS = [signsIn, looksAtTheOverview, filtersAndExportsTheAudit, looksAfterTheSystem, readsTheRest, readsItInGerman];

for (const variant of TWO) {
  test(`an owner looks after the installation, ${variant.name}`, { timeout: 180_000 }, async (t) => {
    const person = await owner(t, variant, { "protect.domain": "home.localhost" });
    await person.walk(t, STEPS);
  });
}
