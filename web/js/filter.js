// Narrows a list while somebody types into a field with data-filter. Without this script the form sends the question to
// the server, which hides what does not fit.
for (const field of document.querySelectorAll("[data-filter]")) {
  const list = document.getElementById(field.dataset.filter);
  const none = document.getElementById(`${list.id}-none`);
  field.addEventListener("input", () => {
    const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
    let found = 0;
    for (const item of list.children) {
      const text = item.textContent.toLowerCase();
      item.hidden = !words.every((word) => text.includes(word));
      if (!item.hidden) found += 1;
    }
    if (none) none.hidden = found > 0;
  });
}
