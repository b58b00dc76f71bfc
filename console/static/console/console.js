// The console's own pages: copying a token, and picking models from a long list. The pages work without it.
"use strict";

document.querySelectorAll("[data-select]").forEach((input) => input.addEventListener("focus", () => input.select()));

document.querySelectorAll("[data-copy]").forEach((button) =>
  button.addEventListener("click", async () => {
    const input = document.getElementById(button.dataset.copy);
    const said = document.getElementById("copied");
    input.select();
    try {
      await navigator.clipboard.writeText(input.value);
      said.textContent = "Copied.";
    } catch {
      // Without https the clipboard is closed to scripts; the older way still works in most browsers.
      said.textContent = document.execCommand("copy") ? "Copied." : "Press Ctrl+C or ⌘C to copy the selected token.";
    }
  }),
);

document.querySelectorAll("[data-picker]").forEach((form) => {
  const rows = [...form.querySelectorAll("[data-picker-row]")];
  const filter = form.querySelector("[data-picker-filter]");
  const all = form.querySelector("[data-picker-all]");
  const retired = form.querySelector("[data-picker-retired]");
  const count = form.querySelector("[data-picker-count]");
  if (!filter) return;
  const box = (row) => row.querySelector("input[name=model], input[name=limit]");
  const shown = () => rows.filter((row) => !row.hidden && (retired?.checked || !("retired" in row.dataset)) && box(row));

  const refresh = () => {
    const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const row of rows) {
      row.hidden = !words.every((word) => row.dataset.pickerRow.toLowerCase().includes(word));
    }
    if (retired) form.classList.toggle("gh-retired", retired.checked);
    const open = shown();
    const chosen = rows.filter((row) => box(row)?.checked).length;
    if (all) all.checked = open.length > 0 && open.every((row) => box(row).checked);
    count.textContent = `${chosen} chosen`;
  };

  filter.addEventListener("input", refresh);
  filter.addEventListener("keydown", (event) => {
    if (event.key === "Enter") event.preventDefault();
  });
  retired?.addEventListener("change", refresh);
  all?.addEventListener("change", () => {
    const ticked = all.checked;
    for (const row of shown()) box(row).checked = ticked;
    refresh();
  });
  form.addEventListener("change", refresh);
  refresh();
});

// Browsers drop `autofocus` where the field can't be seen yet when they come to it.
window.addEventListener("load", () => {
  if (document.activeElement === document.body) document.querySelector("[autofocus]")?.focus();
});
