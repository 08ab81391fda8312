// Six digits and off it goes. Pasted spaces are dropped; a wrong code is sent only once.
for (const field of document.querySelectorAll("[data-otp]")) {
  let sent = "";
  field.addEventListener("input", () => {
    const digits = field.value.replace(/\D/g, "").slice(0, 6);
    if (field.value !== digits) field.value = digits;
    if (digits.length !== 6 || digits === sent) return;
    sent = digits;
    field.form.requestSubmit(field.form.querySelector("button:not([type=button])"));
  });
}
