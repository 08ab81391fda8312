// The test app: sends a made-up name along, as anybody could who is signed in, and says whether an app would see it.
const part = document.querySelector("[data-forge]");

async function forge() {
  const answer = await fetch(part.dataset.forge, { headers: { "Remote-User": part.dataset.name }, cache: "no-store" });
  const { came_through } = await answer.json();
  document.getElementById(came_through ? "forged-yes" : "forged-no").hidden = false;
}

// What the proxy does not let through is no answer.
if (part) forge().catch(() => {});
