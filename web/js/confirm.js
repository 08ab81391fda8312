// Asks before a form with data-confirm is sent. Without this script the form is sent at once; whatever cannot be
// undone also asks for a factor on the server.
const words = document.querySelector("script[data-cancel]").dataset;

document.addEventListener("submit", (event) => {
  const form = event.target;
  const question = form.dataset.confirm;
  if (!question || form.dataset.confirmed) return;
  event.preventDefault();
  event.stopImmediatePropagation();
  const dialog = document.createElement("dialog");
  const text = document.createElement("p");
  const row = document.createElement("div");
  const yes = document.createElement("button");
  const no = document.createElement("button");
  text.id = "confirm-text";
  text.textContent = question;
  dialog.setAttribute("aria-labelledby", text.id);
  row.className = "row";
  yes.type = no.type = "button";
  yes.id = "confirm-yes";
  yes.className = "danger";
  yes.textContent = form.dataset.confirmButton || words.continue;
  no.className = "plain";
  no.textContent = words.cancel;
  no.autofocus = true;
  row.append(yes, no);
  dialog.append(text, row);
  document.body.append(dialog);
  no.addEventListener("click", () => dialog.close());
  yes.addEventListener("click", () => {
    form.dataset.confirmed = "yes";
    dialog.close();
    form.requestSubmit(event.submitter);
  });
  dialog.addEventListener("close", () => dialog.remove());
  dialog.showModal();
}, true);
