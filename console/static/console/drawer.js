// Links with data-drawer open their page's part beside the list; without this script they open the page itself.
import { copyText, exampleBody, mainType, showSnippets } from "./snippets.js";

const pane = document.querySelector("[data-drawer-pane]");

async function open(link) {
  const response = await fetch(link.href, { headers: { "X-Requested-With": "fetch" } });
  if (!response.ok || response.redirected) return location.assign(link.href);
  const close = document.createElement("button");
  close.type = "button";
  close.className = "gh-button gh-close";
  close.textContent = "Close";
  close.addEventListener("click", () => pane.close());
  pane.innerHTML = await response.text();
  pane.prepend(close);
  pane.querySelectorAll("[data-snippets]").forEach((element) => {
    const { base, model, types } = element.dataset;
    const type = mainType(types.split(" "));
    showSnippets(element, { base, key: "YOUR_TOKEN", type, body: exampleBody(type, model) });
  });
  const row = link.closest("tr");
  row?.setAttribute("aria-current", "true"); // the open one, among the rows behind
  pane.addEventListener("close", () => row?.removeAttribute("aria-current"), { once: true });
  pane.showModal();
  pane.scrollTop = 0;
}

document.addEventListener("click", (event) => {
  const link = event.target.closest("a[data-drawer]");
  if (link && !event.ctrlKey && !event.metaKey && !event.shiftKey) {
    event.preventDefault();
    open(link);
  }
  const copy = event.target.closest("[data-copy-text]");
  if (copy) copyText(copy.dataset.copyText, copy);
  if (event.target === pane) pane.close(); // a click beside it
});
