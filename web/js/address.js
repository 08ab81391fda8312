// The browser's clock goes along with the form (the server compares it), and the public address is tried from here.
const clock = document.querySelector("[data-now]");
clock?.form.addEventListener("submit", () => (clock.value = String(Date.now())));

const words = document.querySelector("script[data-trying]")?.dataset;
const link = document.querySelector("[data-probe]");
const result = document.querySelector("#probe [role=status]");
if (link && result) {
  link.addEventListener("click", async (event) => {
    event.preventDefault();
    result.textContent = words.trying;
    try {
      // The answer is opaque here; the server saw whether the request arrived. Check again shows what it saw.
      await fetch(link.dataset.probe, { mode: "no-cors", cache: "no-store", credentials: "omit", referrerPolicy: "no-referrer" });
      result.textContent = words.answered;
    } catch {
      result.textContent = words.unreachable;
    }
  });
}
