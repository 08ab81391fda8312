// Passkey buttons, where the browser knows passkeys. The answer goes into the form as text.
const api = window.PublicKeyCredential;
const LIFE = 240_000;
const words = document.querySelector("script[data-waiting]").dataset;

const bytes = (text) =>
  Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (char) => char.charCodeAt(0));
const text = (buffer) =>
  btoa(String.fromCharCode(...new Uint8Array(buffer)))
    .replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");

// For browsers before 2025.
function parse(kind, options) {
  const native = kind === "create" ? "parseCreationOptionsFromJSON" : "parseRequestOptionsFromJSON";
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
  let running;
  let busy = false;

  async function run(more) {
    running?.abort();
    running = new AbortController();
    const { signal } = running;
    // A page outlives its challenge.
    if (Date.now() - loaded > LIFE) {
      if (!dataset.renew) return location.reload();
      options = await (await fetch(dataset.renew, { method: "POST" })).json();
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

  // Passkeys among the suggestions of the name field.
  async function suggest() {
    if (!(await api.isConditionalMediationAvailable?.())) return;
    setTimeout(suggest, LIFE + 1000);
    if (!busy) run({ mediation: "conditional" }).catch(() => {});
  }
  if ("suggest" in dataset) suggest();
}

if (api) {
  document.querySelectorAll("button[data-passkey]").forEach(start);
  for (const note of document.querySelectorAll("[data-without-passkey]")) note.hidden = true;
}
