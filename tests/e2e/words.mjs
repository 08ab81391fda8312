// What people read, out of the files that the pages are made from.
import { readFileSync } from "node:fs";

/** Returns a pattern for the text of a key, with anything where it holds a value: said("de", "ui", "paused_here"). */
export function said(lang, section, key) {
  const file = readFileSync(new URL(`../../web/i18n/${lang}/${section}.toml`, import.meta.url), "utf8");
  const text = new RegExp(`^${key} = ("(?:[^"\\\\]|\\\\.)*")`, "m").exec(file);
  if (!text) throw new Error(`${lang}/${section}.toml has no text ${key}`);
  const plain = JSON.parse(text[1]).replaceAll(/\*\*|`/g, "");
  return new RegExp(plain.replaceAll(/[.*+?^$()|[\]\\]/g, "\\$&").replaceAll(/\{[^}]*\}/g, "[^]+"));
}
