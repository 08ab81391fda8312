// Passkey buttons, where the browser knows passkeys.
const api = window.PublicKeyCredential;
const LIFE = 240_000;
const words = document.querySelector("script[data-waiting]").dataset;

const bytes = (text) =>
  Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (char) => char.charCodeAt(0));
const text = (buffer) =>
  btoa(String.fromCharCode(...new Uint8Array(buffer)))
    .replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");

// For older browsers.
function parse(kind, options) {
  const native = `parse${kind === "create" ? "Creation" : "Request"}OptionsFromJSON`;
  if (api[native]) return api[native](options);
  const read = (one) => one && { ...one, id: bytes(one.id) };
  const { challenge, user, allowCredentials: allow, excludeCredentials: exclude } = options;
  return {
    ...options, challenge: bytes(challenge), user: read(user),
    allowCredentials: allow?.map(read), excludeCredentials: exclude?.map(read),
  };
}
function write({ id, type, response }) {
  const known = {};
  for (const part of ["clientDataJSON", "attestationObject", "authenticatorData", "signature", "userHandle"])
    if (response[part]) known[part] = text(response[part]);
  return { id, rawId: id, type, response: known };
}

function start(button) {
  const { form, dataset } = button;
  const kind = dataset.passkey;
  const status = form.querySelector("[data-passkey-status]");
  let options = JSON.parse(dataset.options);
  let loaded = Date.now();
  let running, busy;

  async function run(more) {
    running?.abort();
    running = new AbortController();
    const { signal } = running;
    // A page outlives its challenge.
    if (Date.now() - loaded > LIFE) {
      if (!dataset.renew) return location.reload();
      const answer = await fetch(dataset.renew, { method: "POST" });
      if (!answer.ok) throw 0;
      options = await answer.json();
      loaded = Date.now();
    }
    const credential =
      await navigator.credentials[kind]({ publicKey: parse(kind, options), signal, ...more });
    form.elements.credential.value = JSON.stringify(credential.toJSON?.() ?? write(credential));
    form.action = dataset.action;
    form.noValidate = true;
    form.requestSubmit();
  }

  button.addEventListener("click", async () => {
    if (kind === "create" && !form.reportValidity()) return;
    status.textContent = words.waiting;
    busy = true;
    await run().catch(({ name }) => {
      status.textContent = name === "InvalidStateError" ? words.exists : words.failed;
    });
    busy = false;
  });
  button.hidden = false;

  // Passkeys among the suggestions for the name.
  async function suggest() {
    if (!(await api.isConditionalMediationAvailable?.())) return;
    setTimeout(suggest, LIFE + 1000);
    if (!busy && !document.hidden) run({ mediation: "conditional" }).catch(() => {});
  }
  if ("suggest" in dataset) suggest();
}

if (api) {
  document.querySelectorAll("button[data-passkey]").forEach(start);
  for (const note of document.querySelectorAll("[data-without-passkey]")) note.hidden = true;
}
