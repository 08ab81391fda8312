// Copy, download and print buttons. Without this script the text is simply there to be selected.
const words = document.querySelector("script[data-copied]").dataset;

function textOf(id) {
  const source = document.getElementById(id);
  const codes = [...source.querySelectorAll("li")].map((item) => item.textContent.trim());
  return codes.length ? `${codes.join("\n")}\n` : source.textContent;
}

async function copy(id) {
  // The clipboard API exists only over HTTPS or on localhost; the older way works everywhere.
  if (navigator.clipboard) return navigator.clipboard.writeText(textOf(id));
  const area = document.createElement("textarea");
  area.value = textOf(id);
  document.body.append(area);
  area.select();
  const done = document.execCommand("copy");
  area.remove();
  if (!done) throw new Error("copy refused");
}

for (const button of document.querySelectorAll("[data-copy]")) {
  button.hidden = false;
  button.addEventListener("click", async () => {
    const label = button.lastChild;
    const before = label.textContent;
    try {
      await copy(button.dataset.copy);
      label.textContent = words.copied;
    } catch {
      getSelection().selectAllChildren(document.getElementById(button.dataset.copy));
      label.textContent = words.keys;
    }
    setTimeout(() => (label.textContent = before), 2500);
    button.focus();
  });
}

for (const button of document.querySelectorAll("[data-download]")) {
  button.addEventListener("click", () => {
    const title = document.getElementById(button.dataset.download).dataset.title;
    const text = `${title}\n${words.once}\n\n${textOf(button.dataset.download)}`;
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], { type: "text/plain" }));
    link.download = "doorward-recovery-codes.txt";
    link.click();
    URL.revokeObjectURL(link.href);
  });
}

for (const button of document.querySelectorAll("[data-print]")) button.addEventListener("click", () => print());
for (const tools of document.querySelectorAll("[data-code-tools]")) tools.hidden = false;
