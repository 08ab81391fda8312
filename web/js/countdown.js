// Counts down beside the sentence the server wrote. Screen readers hear the sentence, not every second.
const words = document.querySelector("script[data-over]").dataset;

for (const note of document.querySelectorAll("[data-countdown]")) {
  const end = Date.now() + Number(note.dataset.countdown) * 1000;
  const clock = document.createElement("strong");
  clock.ariaHidden = "true";
  note.querySelector("p").append(" ", clock);
  const tick = () => {
    const left = Math.max(0, Math.ceil((end - Date.now()) / 1000));
    const parts = [Math.floor(left / 3600), Math.floor(left / 60) % 60, left % 60];
    if (!parts[0]) parts.shift();
    clock.textContent = parts.map((part, at) => (at ? String(part).padStart(2, "0") : part)).join(":");
    if (left) return;
    clearInterval(timer);
    note.querySelector("p").textContent = words.over;
  };
  const timer = setInterval(tick, 500);
  tick();
}
