// node look.mjs DIRECTORY [NAME…]: serves the pages that render_views wrote under the real policy, runs axe on each
// at 1280 and 360 px in light and dark, writes screenshots to DIRECTORY/shots, and fails on any finding.
import { mkdir, readdir } from "node:fs/promises";
import { join } from "node:path";
import { axe, launch, open, serve, stay } from "./browser.mjs";

const [directory, ...wanted] = process.argv.slice(2);
if (!directory) throw new Error("name the directory that render_views wrote");
const { server, origin } = await serve(directory);

const names = (await readdir(directory)).filter((name) => name.endsWith(".html")).map((name) => name.slice(0, -5));
await mkdir(join(directory, "shots"), { recursive: true });
const browser = await launch();
let findings = 0;
for (const width of [1280, 360]) {
  for (const colorScheme of ["light", "dark"]) {
    const page = await open(browser, { colorScheme, viewport: { width, height: 800 }, reducedMotion: "reduce" });
    await stay(page);
    for (const name of names.filter((name) => !wanted.length || wanted.includes(name))) {
      page.problems.length = 0;
      await page.goto(`${origin}/${name}.html`, { waitUntil: "load" });
      const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      const found = [...(await axe(page)), ...page.problems];
      if (wide > 0) found.push(`the page is ${wide} px too wide`);
      for (const line of found) console.log(`${name} ${width} ${colorScheme}: ${line}`);
      findings += found.length;
      await page.screenshot({ path: join(directory, "shots", `${name}-${width}-${colorScheme}.png`), fullPage: true });
    }
    await page.context().close();
  }
}
await browser.close();
server.close();
console.log(`${names.length} pages, ${findings} findings`);
process.exitCode = findings ? 1 : 0;
