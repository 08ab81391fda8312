// A suspension that runs its course, with the twelve hours of every installation: told in both languages, counted down,
// the same for a name that nobody has; and when the time is over, the password opens the door again.
import assert from "node:assert/strict";
import test from "node:test";
import { TWO, stage } from "./person.mjs";
import { findAnotherTime } from "./server.mjs";
import { said } from "./words.mjs";

const skip = findAnotherTime() ? false : "libfaketime is not installed";
const FAILURES = 5;
const HOUR = 3600;
const { owner, sit } = stage();

/** What the page says of the suspension, without the time of day and the countdown. */
async function told({ page }) {
  return (await page.locator("#wait").innerText()).replaceAll(/\d+/g, "0");
}

async function countdown({ page, variant }, pattern) {
  const clock = page.locator("#wait strong");
  if (variant.scripts) assert.match(await clock.textContent(), pattern);
  else assert.equal(await clock.count(), 0);
}

async function failsUntilSuspended(person) {
  const { page } = person;
  await person.goto("/signin");
  for (const name of [person.username, "nobody"]) {
    for (let failure = 0; failure < FAILURES; failure += 1) {
      await person.enterPassword(name, "wrong password here");
      await page.locator("#problem").waitFor();
      assert.equal(await page.locator("#wait").count(), 0, `${name} is suspended after ${failure + 1}`);
    }
  }
}

async function readsHowLong(person) {
  const { page } = person;
  await person.enterPassword("nobody", "wrong password here");
  const stranger = await told(person);
  await person.enterPassword();
  assert.equal(await told(person), stranger, "a name that nobody has reads the same");
  assert.match(await page.locator("#wait").innerText(), said("en", "ui", "paused_here"));
  await countdown(person, /^(12:00:00|11:5\d:\d\d)$/);
  await person.look("/signin suspended");
}

async function readsItInGerman(person) {
  const { page } = person;
  await person.press("Deutsch");
  await person.enterPassword();
  assert.match(await page.locator("#wait").innerText(), said("de", "ui", "paused_here"));
  await countdown(person, /^(12:00:00|11:5\d:\d\d)$/);
  await person.look("/signin suspended de");
}

async function waitsAlmostLongEnough(person) {
  const { page, server } = person;
  await page.clock.install();
  await server.pass(12 * HOUR - 600);
  await person.goto("/signin");
  await person.enterPassword();
  assert.match(await page.locator("#wait").innerText(), said("de", "ui", "paused_here"));
  await countdown(person, /^(10:00|\d:\d\d)$/);
  if (!person.variant.scripts) return;
  await page.clock.fastForward("10:00");
  await page.locator("#wait").getByText(said("de", "ui", "countdown_over")).waitFor();
  assert.equal(await page.locator("#wait strong").count(), 0);
}

async function getsInWhenTheTimeIsOver(person) {
  const { page, server } = person;
  await server.pass(600);
  await person.enterPassword();
  await page.waitForURL(`${server.origin}/`);
  await page.getByRole("heading", { level: 1, name: /Ben/ }).waitFor();
}

/** What was before the suspension is not counted again. */
async function mayMistypeOnceMore(person) {
  const { page, server } = person;
  await page.context().clearCookies();
  await person.goto("/signin");
  await person.enterPassword(person.username, "wrong password here");
  await page.locator("#problem").waitFor();
  await person.enterPassword();
  await page.waitForURL(`${server.origin}/`);
}

const STEPS = [failsUntilSuspended, readsHowLong, readsItInGerman, waitsAlmostLongEnough, getsInWhenTheTimeIsOver, mayMistypeOnceMore];

for (const variant of TWO) {
  test(`a suspension runs its course, ${variant.name}`, { skip, timeout: 120_000 }, async (t) => {
    const { server } = await owner(t, variant, { "accounts.second_factor": "optional" });
    const person = await sit(t, variant, server);
    Object.assign(person, { username: "ben", password: "amber river folds twice" });
    server.command(["user", "add", "ben", "--name", "Ben Okoro", "--password-stdin"], `${person.password}\n`);
    await person.walk(t, STEPS);
  });
}
