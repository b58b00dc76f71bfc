// The search over everything: Ctrl-K or ⌘K opens it, arrows choose, Enter opens, Escape closes.
"use strict";

document.addEventListener("DOMContentLoaded", () => {
  const PAUSE = 150;

  const dialog = document.querySelector("dialog[data-find]");
  if (!dialog) return;
  const [field, list, said] = ["input", "ul", "[role=status]"].map((each) => dialog.querySelector(each));
  let current = -1;
  let asked = 0;
  let timer;

  function open() {
    if (dialog.open) return;
    dialog.showModal();
    field.select();
  }

  function choose(index) {
    const options = [...list.children];
    current = options.length ? (index + options.length) % options.length : -1;
    options.forEach((option, at) => option.setAttribute("aria-selected", String(at === current)));
    if (current < 0) field.removeAttribute("aria-activedescendant");
    else {
      field.setAttribute("aria-activedescendant", options[current].id);
      options[current].scrollIntoView({ block: "nearest" });
    }
  }

  function option({ title, kind, link }, index) {
    const row = document.createElement("li");
    row.id = `find-${index}`;
    row.setAttribute("role", "option");
    row.dataset.link = link;
    const name = document.createElement("span");
    name.textContent = title;
    const what = document.createElement("span");
    what.className = "gh-note";
    what.textContent = kind;
    row.append(name, what);
    return row;
  }

  async function search() {
    const term = field.value.trim();
    const mine = ++asked;
    let results = [];
    if (term.length > 1) {
      try {
        const answer = await fetch(`${dialog.dataset.find}?s=${encodeURIComponent(term)}`);
        ({ results } = await answer.json());
      } catch {
        if (mine === asked) said.textContent = "The search failed. Reload the page and try again.";
        return;
      }
    }
    if (mine !== asked) return; // a later one has been asked
    list.replaceChildren(...results.map(option));
    field.setAttribute("aria-expanded", String(results.length > 0));
    choose(0);
    const found = results.length === 1 ? "1 found" : `${results.length} found`;
    said.textContent = term.length < 2 ? "" : results.length ? found : "Nothing found. Request ids are searched whole.";
  }

  document.addEventListener("keydown", (event) => {
    if ((event.ctrlKey || event.metaKey) && !event.altKey && !event.shiftKey && event.key.toLowerCase() === "k") {
      event.preventDefault();
      open();
    }
  });
  document.addEventListener("click", (event) => {
    if (event.target.closest("[data-find-open]")) open();
    if (event.target === dialog) dialog.close(); // a click beside it
  });
  field.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(search, PAUSE);
  });
  field.addEventListener("keydown", (event) => {
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      choose(current + (event.key === "ArrowDown" ? 1 : -1));
    } else if (event.key === "Enter" && current >= 0) {
      event.preventDefault();
      location.assign(list.children[current].dataset.link);
    }
  });
  list.addEventListener("click", (event) => {
    const row = event.target.closest("li");
    if (row) location.assign(row.dataset.link);
  });
});
