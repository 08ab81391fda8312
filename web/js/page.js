// Every page: local times, one submit at a time, focus on the error summary, the switch of colors.
const root = document.documentElement;

// The visitor's own habits of writing dates, if they are of the language of the page.
const locale = navigator.languages.find((tag) => tag.split("-")[0] === root.lang) ?? root.lang;
for (const time of document.querySelectorAll("time[datetime]")) {
  const date = new Date(time.dateTime);
  if (Number.isNaN(date.valueOf())) continue;
  time.title = time.textContent;
  time.textContent = date.toLocaleString(locale, { dateStyle: "medium", timeStyle: "short" });
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

// The colors turn at once; the server keeps the choice in a cookie, so that the next page starts in them.
for (const button of document.querySelectorAll("button[name=theme]")) {
  button.addEventListener("click", async (event) => {
    event.preventDefault();
    root.dataset.theme = button.value;
    const body = new URLSearchParams(new FormData(button.form, button));
    // This button gives way to the other one.
    (button.nextElementSibling ?? button.previousElementSibling).focus();
    await fetch(button.form.action, { method: "POST", body, redirect: "manual" });
  });
}
