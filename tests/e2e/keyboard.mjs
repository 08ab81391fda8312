// Nothing but keys: to a control by Tab, with the focus in sight at every stop, and once around a whole page.
import assert from "node:assert/strict";
import { withScripts } from "./browser.mjs";

/** What can be seen of where the focus is; runs in the page. */
function stop(wanted) {
  const element = document.activeElement;
  if (!element || element === document.body) return { is: false, stop: "none", faults: [] };
  const box = element.getBoundingClientRect();
  const ring = getComputedStyle(element.closest(".joined:focus-within") ?? element);
  const within = (value, most) => Math.min(Math.max(value, 1), most - 1);
  const top = document.elementFromPoint(within(box.left + box.width / 2, innerWidth), within(box.top + box.height / 2, innerHeight));
  const faults = [];
  if (!(box.width > 0 && box.bottom > 0 && box.top < innerHeight && box.right > 0 && box.left < innerWidth)) faults.push("outside of the window");
  if (!(element.contains(top) || top?.contains(element) || element.labels?.length)) faults.push("covered");
  if (ring.outlineStyle === "none" || Number.parseFloat(ring.outlineWidth) < 2) faults.push("without a ring");
  const part = element.closest("main, header, nav, footer")?.localName;
  const { left, right } = box;
  return {
    is: element.matches(wanted), name: element.outerHTML.slice(0, 80), faults,
    stop: element.dataset.stop, part, left, right, top: box.top + scrollY, bottom: box.bottom + scrollY,
  };
}

/** Presses Tab; returns where that leads, where the focus can be seen. */
async function next(page, wanted = "*") {
  await page.keyboard.press("Tab");
  const here = await page.evaluate(stop, wanted);
  assert.deepEqual(here.faults, [], `the focus cannot be seen at ${here.name}`);
  return here;
}

/** Goes to an element with the Tab key alone; at each stop the focus can be seen, and lies within the window. */
export async function tabTo(page, selector) {
  await page.locator(selector).first().waitFor();
  if ((await page.evaluate(stop, selector)).is) return;
  for (let presses = 0; presses < 120; presses += 1) {
    if ((await next(page, selector)).is) return;
  }
  assert.fail(`Tab does not reach ${selector}`);
}

/** Goes to a field and types in place of what is there. */
export async function type(page, selector, text) {
  await tabTo(page, selector);
  await page.keyboard.press("Control+A");
  await page.keyboard.type(text);
}

/** Presses a key on an element and waits for the page that follows. */
export async function go(page, selector, key = "Enter") {
  await tabTo(page, selector);
  await Promise.all([page.waitForEvent("load"), page.keyboard.press(key)]);
}

/** Numbers what the Tab key has to reach, in the order of the document; returns how many there are. Runs in the page. */
function number() {
  const every = [...document.querySelectorAll("a[href], button, input, select, textarea, summary, [tabindex]")];
  const stops = every.filter((element) => {
    if (element.disabled || element.tabIndex < 0 || element.type === "hidden") return false;
    // The skip link is shown by the focus alone.
    if (!element.checkVisibility({ visibilityProperty: true }) && !element.matches(".skip")) return false;
    if (element.type !== "radio") return true;
    const group = every.filter((other) => other.type === "radio" && other.name === element.name && other.form === element.form);
    return (group.find((other) => other.checked) ?? group[0]) === element;
  });
  stops.forEach((element, at) => (element.dataset.stop = at));
  return stops.length;
}

/**
 * Once around the page by Tab: every control is a stop, in the order of the document and of the eye, and the way leads
 * out again. The first stop is the link that skips to the content. Ends at the beginning of the content.
 */
export async function goAround(page) {
  await withScripts(page, async () => {
    const count = await page.evaluate(number);
    let here = await page.evaluate(stop, "*");
    for (let presses = 0; here.stop !== "0"; presses += 1) {
      assert.ok(presses < count + 10, `the focus is trapped at ${here.name}`);
      here = await next(page);
    }
    assert.match(here.name, /class="skip"/, "the first stop skips to the content");
    const faults = [];
    const reached = [here.stop];
    for (let presses = 0; presses < 2 * count + 20; presses += 1) {
      const before = here;
      here = await next(page);
      if (here.stop === "none" || here.stop === "0") break;
      // Browsers also stop at what scrolls, and at each part of a date.
      if (here.stop === undefined || here.stop === before.stop) continue;
      reached.push(here.stop);
      const isBack = here.part === before.part && here.bottom <= before.top + 1 && here.left < before.right;
      if (isBack && here.part === "main") faults.push(`upwards from ${before.name} to ${here.name}`);
    }
    assert.deepEqual(reached.map(Number), Array.from({ length: count }, (_, at) => at), "Tab reaches everything in order");
    assert.deepEqual(faults, []);
    await tabTo(page, ".skip");
    await page.keyboard.press("Enter");
    const first = await next(page);
    const wanted = await page.evaluate(() => document.querySelector("main [data-stop]")?.dataset.stop);
    if (wanted !== undefined && first.stop !== undefined) assert.equal(first.stop, wanted, `the skip link leads to ${first.name}`);
  });
}
