// The last digit and off it goes. Pasted spaces are dropped; a wrong code is sent only once.
for (const field of document.querySelectorAll("[data-otp]")) {
  const length = Number(field.dataset.otp) || 6;
  let sent = "";
  field.addEventListener("input", () => {
    const digits = field.value.replace(/\D/g, "").slice(0, length);
    if (field.value !== digits) field.value = digits;
    if (digits.length !== length || digits === sent) return;
    sent = digits;
    field.form.requestSubmit(field.form.querySelector("button:not([type=button])"));
  });
}
