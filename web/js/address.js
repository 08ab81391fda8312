// The browser's clock goes along with the form (the server compares it), and the public address is tried from here.
const clock = document.querySelector("[data-now]");
clock?.form.addEventListener("submit", () => (clock.value = String(Date.now())));

const link = document.querySelector("[data-probe]");
const result = document.querySelector("#probe [role=status]");
if (link && result) {
  link.addEventListener("click", async (event) => {
    event.preventDefault();
    result.textContent = "Trying…";
    try {
      // The answer is opaque here; the server saw whether the request arrived. Check again shows what it saw.
      await fetch(link.dataset.probe, { mode: "no-cors", cache: "no-store", credentials: "omit", referrerPolicy: "no-referrer" });
      result.textContent = "Something answered there. Use Check again to see whether it was this Doorward.";
    } catch {
      result.textContent = "This browser could not reach it. Check the name, the certificate and the proxy.";
    }
  });
}
