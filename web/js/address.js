// The browser's clock goes along with the form (the server compares it), and the public address is tried from here.
const clock = document.querySelector("[data-now]");
clock?.form.addEventListener("submit", () => (clock.value = String(Date.now())));

const words = document.querySelector("script[data-trying]")?.dataset;
const link = document.querySelector("[data-probe]");
const result = document.querySelector("#probe [role=status]");

/** Asks the server until it has seen the request that this browser sent to the public address. */
async function wasSeen(tries) {
  const { seen } = await (await fetch(link.dataset.seen, { cache: "no-store" })).json();
  if (seen || !tries) return seen;
  await new Promise((done) => setTimeout(done, 500));
  return wasSeen(tries - 1);
}

async function attempt() {
  result.textContent = words.trying;
  try {
    // The answer is opaque here; the server saw whether the request arrived.
    await fetch(link.dataset.probe, { mode: "no-cors", cache: "no-store", credentials: "omit", referrerPolicy: "no-referrer" });
    result.textContent = words.answered;
    if (await wasSeen(4)) document.getElementById("check").click();
  } catch {
    result.textContent = words.unreachable;
  }
}

if (link && result) {
  link.addEventListener("click", (event) => {
    event.preventDefault();
    attempt();
  });
  // Nothing came by this address yet.
  if ("auto" in link.dataset) attempt();
}
