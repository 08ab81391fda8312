// The setup code travels in the URL fragment, which never reaches a server or a log: move it into the field and
// wipe it from the address bar.
const field = document.getElementById("token");

function take() {
  const code = decodeURIComponent(location.hash.slice(1));
  // Element ids such as #main are in use as fragments; a code is longer than any of them.
  if (!field || !/^[0-9A-Za-z -]{20,80}$/.test(code)) return;
  field.value = code;
  history.replaceState(null, "", location.pathname + location.search);
  document.getElementById("claim")?.focus();
}

take();
addEventListener("hashchange", take);
