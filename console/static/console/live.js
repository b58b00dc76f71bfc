// The page of live requests: htmx asks for its rows every two seconds; this says when not to, and what is there already.

const button = document.querySelector("[data-pause]");
const state = document.querySelector("[data-live-state]");
const LIVE = "Live: polls every 2 seconds.";
let paused = false;

const rows = () => document.getElementById("live-rows");

function say(text) {
  if (state.textContent !== text) state.textContent = text; // said by screen readers, so only when it changes
}

function toggle() {
  paused = !paused;
  button.setAttribute("aria-pressed", String(paused));
  button.textContent = paused ? "Go on (P)" : "Pause (P)";
  say(paused ? "Paused: press P to go on." : LIVE);
}

button.addEventListener("click", toggle);

document.addEventListener("keydown", (event) => {
  const typing = event.target.closest?.("input, select, textarea, [contenteditable]");
  if (event.key.toLowerCase() === "p" && !event.ctrlKey && !event.metaKey && !event.altKey && !typing) {
    event.preventDefault();
    toggle();
  }
});

document.body.addEventListener("htmx:configRequest", (event) => {
  if (event.target !== rows()) return;
  const reading = document.querySelector("dialog[open]"); // rows stay while one of them is open
  if (paused || document.hidden || reading) return event.preventDefault();
  event.detail.headers["X-Seen"] = rows().dataset.seen;
});

document.body.addEventListener("htmx:beforeSwap", (event) => {
  if (event.target !== rows()) return;
  if (paused) event.detail.shouldSwap = false; // asked for before the pause
  const asked = new URL(event.detail.xhr.responseURL);
  if (asked.pathname.endsWith("/login/")) {
    event.detail.shouldSwap = false;
    location.reload(); // the session is over
  }
});

document.body.addEventListener("htmx:afterRequest", (event) => {
  if (event.target.id !== "live-rows" || paused) return;
  say(event.detail.successful ? LIVE : "Gatehouse does not answer. Trying again every 2 seconds.");
});
