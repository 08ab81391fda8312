// Every page: local times, one submit at a time, focus on the error summary, the colors button.
const root = document.documentElement;

for (const time of document.querySelectorAll("time[datetime]")) {
  const date = new Date(time.dateTime);
  if (Number.isNaN(date.valueOf())) continue;
  time.title = time.textContent;
  time.textContent = date.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
}

// A second click must not send the form twice. The button stays enabled, so its name and value are still sent.
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (event.defaultPrevented || form.method !== "post" || "download" in form.dataset) return;
  if (form.ariaBusy === "true") return event.preventDefault();
  form.ariaBusy = "true";
});
// Coming back by the back button: the form works again.
addEventListener("pageshow", () => {
  for (const form of document.querySelectorAll("form[aria-busy]")) form.removeAttribute("aria-busy");
});

document.getElementById("errors")?.focus();

const button = document.querySelector("[data-theme-switch]");
if (button) {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : dark.matches);
  const label = () => (button.textContent = isDark() ? "Light colors" : "Dark colors");
  button.addEventListener("click", () => {
    const theme = isDark() ? "light" : "dark";
    root.dataset.theme = theme;
    // Not a secret: the server reads it so that the next page starts in the right colors.
    document.cookie = `dw_theme=${theme}; Path=/; Max-Age=31536000; SameSite=Lax`;
    label();
  });
  dark.addEventListener("change", label);
  label();
  button.hidden = false;
}
