// Show button, strength meter, generator. The server decides what is accepted; the meter only helps to choose.
const words = document.querySelector("script[data-levels]").dataset;
const levels = words.levels.split("|");

for (const button of document.querySelectorAll("button[data-show]")) {
  const field = document.getElementById(button.dataset.show);
  const set = (shown) => {
    field.type = shown ? "text" : "password";
    button.textContent = shown ? words.hide : words.reveal;
    button.ariaPressed = String(shown);
  };
  button.hidden = false;
  button.addEventListener("click", () => set(field.type === "password"));
  // A browser must not remember the password as ordinary text.
  field.form?.addEventListener("submit", () => set(false));
}

/** Rough bits: size of the alphabet times the length that is not repetition or a run such as 1234. */
function score(text) {
  let useful = 0;
  let before = [-9, -9];
  for (const char of text) {
    const code = char.codePointAt(0);
    const step = code - before[1];
    if (step !== 0 && Math.abs(step) !== 1 && code !== before[0]) useful += 1;
    else useful += 0.25;
    before = [before[1], code];
  }
  const kinds = [[/[a-z]/, 26], [/[A-Z]/, 26], [/[0-9]/, 10], [/[^a-zA-Z0-9]/, 24]];
  const size = kinds.reduce((sum, [kind, count]) => sum + (kind.test(text) ? count : 0), 1);
  const variety = Math.min(1, new Set(text).size / 8);
  return useful * Math.log2(size) * variety;
}

for (const field of document.querySelectorAll("[data-strength]")) {
  const box = document.querySelector(`[data-strength-of="${field.id}"]`);
  const meter = box.querySelector("meter");
  const text = box.querySelector("[role=status]");
  const least = Number(field.minLength);
  const show = () => {
    const length = [...field.value].length;
    const bits = score(field.value);
    const level = length < least ? 0 : [36, 52, 68, 90].filter((floor) => bits >= floor).length;
    meter.value = level;
    text.textContent = !length ? "" : length < least ? words.more.replace("#", least - length) : levels[level];
  };
  field.addEventListener("input", show);
  box.hidden = false;
  box.querySelector("[data-generate]").addEventListener("click", () => {
    // 20 letters out of 32: 100 bits, and nothing that looks like something else.
    const letters = "abcdefghijkmnpqrstuvwxyz23456789";
    const random = crypto.getRandomValues(new Uint8Array(20));
    const made = [...random].map((byte) => letters[byte % 32]).join("");
    field.value = made.match(/.{4}/g).join("-");
    const button = document.querySelector(`button[data-show="${field.id}"]`);
    if (field.type === "password") button?.click();
    field.focus();
    show();
  });
}
