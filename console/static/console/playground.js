// The playground: calls this gateway's own API with a short-lived token of the signed-in person, so limits and records hold.
import { mainType, showSnippets, SHOWN_TYPES } from "./snippets.js";
import { RUNNERS } from "./playground_calls.js";

const root = document.getElementById("playground");
const $ = (name) => root.querySelector(`[data-${name}]`);
const base = root.dataset.base; // what code uses; this page calls `api`, where it comes from
const api = root.dataset.api;
const FEED_MS = 600; // a new token reaches the workers within a second
const STORE = `gatehouse.playground.${root.dataset.person}`;
const TYPE_NAMES = {
  chat: "Chat",
  responses: "Responses",
  completion: "Completion",
  embedding: "Embeddings",
  image: "Images",
  text_to_speech: "Speech",
  audio_transcription: "Transcription",
  moderation: "Moderation",
  realtime: "Realtime",
};
// Kept over a reload: what was chosen and said. Attachments are not: they may be large.
const state = { model: "", second: "", type: "", settings: {}, turns: [], ...stored() };
let token = null;
let models = [];
let running = null;
let attachments = [];

function stored() {
  try {
    return JSON.parse(localStorage.getItem(STORE) ?? "{}");
  } catch {
    return {};
  }
}

function keep() {
  const turns = state.turns.slice(-40).map((turn) => ({ ...turn, content: turn.text ?? turn.content, media: undefined }));
  try {
    localStorage.setItem(STORE, JSON.stringify({ ...state, turns }));
  } catch {
    localStorage.removeItem(STORE); // full: the page works without
  }
}

function say(text, isError = false) {
  const status = $("status");
  status.textContent = text;
  status.classList.toggle("gh-error", isError);
}

/** Return a token that is good for a while yet. */
export async function freshToken() {
  if (token && token.expires - Date.now() > 60_000) return token.secret;
  const answer = await fetch(root.dataset.tokenUrl, { method: "POST", headers: { "X-CSRFToken": root.dataset.csrf } });
  if (!answer.ok) throw new Error("The session has ended. Reload the page and sign in.");
  const { secret, seconds, fresh } = await answer.json();
  if (fresh) await new Promise((resolve) => setTimeout(resolve, FEED_MS));
  token = { secret, expires: Date.now() + seconds * 1000 };
  return secret;
}

async function loadModels() {
  for (let attempt = 0; ; attempt++) {
    const answer = await fetch(`${api}/models`, { headers: { Authorization: `Bearer ${await freshToken()}` } });
    if (answer.ok) return (await answer.json()).data;
    if (answer.status !== 401 || attempt > 12) throw new Error(`The list of models can't be loaded (${answer.status}).`);
    await new Promise((resolve) => setTimeout(resolve, 250));
  }
}

const find = (id) => models.find((model) => model.id === id);
const typesOf = (model) => Object.keys(TYPE_NAMES).filter((type) => model.model_types.includes(type));

function fillModels() {
  const usable = models.filter((model) => typesOf(model).length);
  for (const [select, chosen, empty] of [[$("model"), state.model, ""], [$("second"), state.second, "No second model"]]) {
    select.replaceChildren(...(empty ? [new Option(empty, "")] : []));
    const groups = new Map();
    for (const model of usable) {
      if (!groups.has(model.owned_by)) {
        const group = document.createElement("optgroup");
        group.label = model.owned_by;
        groups.set(model.owned_by, group);
        select.append(group);
      }
      groups.get(model.owned_by).append(new Option(model.id, model.id, false, model.id === chosen));
    }
  }
  const asked = new URLSearchParams(location.search).get("model");
  if (asked && find(asked)) state.model = asked;
  if (!find(state.model)) state.model = (usable.find((model) => /gpt-4o-mini$/.test(model.id)) ?? usable.find((model) => model.model_types.includes("chat")) ?? usable[0])?.id ?? "";
  if (!find(state.second)) state.second = "";
  $("model").value = state.model;
  $("second").value = state.second;
}

function showModel() {
  const model = find(state.model);
  if (!model) {
    say("No model is open to you yet. Ask the manager of a provider account for access.", true);
    $("send").disabled = true;
    return;
  }
  const types = typesOf(model);
  if (!types.includes(state.type)) state.type = types.includes("chat") ? "chat" : types[0];
  const modes = $("modes");
  modes.replaceChildren(
    ...types.map((type) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = TYPE_NAMES[type];
      button.setAttribute("aria-pressed", String(type === state.type));
      button.addEventListener("click", () => {
        state.type = type;
        changed();
      });
      return button;
    }),
  );
  root.dataset.type = state.type;
  root.querySelectorAll("[data-for]").forEach((part) => (part.hidden = !part.dataset.for.split(" ").includes(state.type)));
  const input = $("input");
  input.placeholder = { embedding: "Text to embed", image: "What to draw", text_to_speech: "Text to speak", moderation: "Text to check", audio_transcription: "Choose an audio file below; add a hint here if you like" }[state.type] ?? "Write a message. Ctrl+Enter sends it.";
  const facts = [
    model.context_window ? `${Math.round(model.context_window / 1000)}K context` : "",
    price(model, "input"),
    price(model, "output"),
    model.shutdown_date ? `shuts down on ${model.shutdown_date}` : "",
  ];
  $("facts").textContent = facts.filter(Boolean).join(" · ") || "No price is known";
}

function price(model, direction) {
  const amount = model.pricing?.[`${direction}_tokens_per_million`];
  return amount === undefined ? "" : `$${Number(amount)} ${direction} a million tokens`;
}

function readSettings() {
  const settings = {};
  root.querySelectorAll("[data-setting]").forEach((field) => {
    const value = field.type === "checkbox" ? field.checked : field.value.trim();
    if (value !== "" && value !== field.dataset.default) settings[field.dataset.setting] = value;
  });
  state.settings = settings;
}

function writeSettings() {
  root.querySelectorAll("[data-setting]").forEach((field) => {
    const value = state.settings[field.dataset.setting];
    if (value === undefined) return;
    if (field.type === "checkbox") field.checked = value;
    else field.value = value;
  });
}

const number = (text) => (text === undefined || text === "" ? undefined : Number(text));

function parsed(name, label) {
  const text = state.settings[name];
  if (!text) return undefined;
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new Error(`${label} is not valid JSON: ${error.message}`);
  }
}

/** The body of the call as the settings and what was said make it. */
function bodyFor(modelId, text) {
  const { settings, type } = state;
  const model = modelId;
  const clean = (body) => Object.fromEntries(Object.entries(body).filter(([, value]) => value !== undefined && value !== ""));
  const schema = parsed("schema", "The JSON schema");
  const tools = parsed("tools", "Tools");
  const shared = { temperature: number(settings.temperature), top_p: number(settings.top_p) };
  const said = state.turns.filter((turn) => !turn.error && turn.type === type && (!turn.model || turn.model === modelId));
  switch (type) {
    case "chat": {
      const messages = settings.system ? [{ role: "system", content: settings.system }] : [];
      messages.push(...said.map(({ role, content }) => ({ role, content })));
      return clean({
        model,
        messages,
        ...shared,
        max_tokens: number(settings.max_tokens),
        stop: settings.stop ? settings.stop.split("\n") : undefined,
        reasoning_effort: settings.effort,
        tools,
        response_format: schema && { type: "json_schema", json_schema: { name: "answer", strict: true, schema } },
        stream: settings.stream === false ? undefined : true,
      });
    }
    case "responses":
      return clean({
        model,
        instructions: settings.system,
        input: said.map(({ role, content }) => ({ role, content: typeof content === "string" ? content : forResponses(content) })),
        ...shared,
        max_output_tokens: number(settings.max_tokens),
        reasoning: settings.effort ? { effort: settings.effort } : undefined,
        tools: tools?.map((tool) => (tool.function ? { type: "function", ...tool.function } : tool)),
        text: schema && { format: { type: "json_schema", name: "answer", strict: true, schema } },
        stream: settings.stream === false ? undefined : true,
      });
    case "completion":
      return clean({ model, prompt: text, ...shared, max_tokens: number(settings.max_tokens) ?? 100 });
    case "embedding":
    case "moderation":
      return { model, input: text };
    case "image":
      return clean({ model, prompt: text, size: settings.size, quality: settings.quality });
    case "text_to_speech":
      return clean({ model, input: text, voice: settings.voice || "alloy" });
    case "audio_transcription":
      return clean({ model, prompt: text });
    default:
      return { model, input: text };
  }
}

const forResponses = (parts) =>
  parts.map((part) => {
    if (part.type === "text") return { type: "input_text", text: part.text };
    if (part.type === "image_url") return { type: "input_image", image_url: part.image_url.url };
    if (part.type === "file") return { type: "input_file", ...part.file };
    return part;
  });

function contentWith(text) {
  if (!attachments.length || !["chat", "responses"].includes(state.type)) return text;
  const parts = attachments.map(({ name, mime, url }) => {
    if (mime.startsWith("image/")) return { type: "image_url", image_url: { url } };
    if (mime.startsWith("audio/"))
      return { type: "input_audio", input_audio: { data: url.split(",")[1], format: mime.includes("wav") ? "wav" : "mp3" } };
    return { type: "file", file: { filename: name, file_data: url } };
  });
  return [{ type: "text", text }, ...parts];
}

// --- what is on the page ---------------------------------------------------------------------------------------------

function bubble(turn) {
  const element = document.createElement("article");
  element.className = `gh-turn gh-turn-${turn.role}${turn.error ? " gh-turn-error" : ""}`;
  const head = document.createElement("h3");
  head.textContent = turn.role === "user" ? "You" : (turn.model ?? "Answer");
  const body = document.createElement("div");
  body.className = "gh-turn-text";
  body.textContent = turn.text ?? (typeof turn.content === "string" ? turn.content : "");
  const media = document.createElement("div");
  const facts = document.createElement("p");
  facts.className = "gh-note gh-turn-facts";
  element.append(head, body, media, facts);
  if (turn.files?.length) media.textContent = `With ${turn.files.join(", ")}`;
  if (turn.facts) showFacts(facts, turn);
  return { element, body, media, facts };
}

function showFacts(element, turn) {
  const { ttft, ms, input, output, cost, requestId, stopped } = turn.facts;
  const parts = [
    stopped ? "stopped" : "",
    ttft === undefined ? "" : `first token ${duration(ttft)}`,
    ms === undefined ? "" : `${duration(ms)} in all`,
    input === undefined ? "" : `${input.toLocaleString("en")} in, ${output.toLocaleString("en")} out`,
    cost === undefined ? "" : cost.short,
  ];
  element.replaceChildren(parts.filter(Boolean).join(" · "));
  if (cost) element.title = `Exact cost: ${cost.exact}`;
  if (requestId) {
    const link = document.createElement("a");
    link.className = "text-link";
    link.href = root.dataset.requestUrl.replace("REQUEST", encodeURIComponent(requestId));
    link.textContent = "Its request";
    element.append(" · ", link);
  }
}

const duration = (ms) => (ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(2)} s`);

function showConversation() {
  const list = $("turns");
  list.replaceChildren(...state.turns.filter((turn) => turn.type === state.type).map((turn) => bubble(turn).element));
  $("empty").hidden = list.childElementCount > 0;
  list.scrollTop = list.scrollHeight;
}

function showCode() {
  const model = find(state.model);
  if (!model) return;
  const type = SHOWN_TYPES.includes(state.type) ? state.type : mainType(model.model_types);
  let body;
  try {
    readSettings();
    const text = $("input").value || "Say hello in one line.";
    body = bodyFor(model.id, text);
    if (type === "chat" || type === "responses") {
      const list = body.messages ?? body.input;
      const draft = $("input").value;
      if (draft || !list.some((entry) => entry.role === "user")) list.push({ role: "user", content: draft || text });
    }
    shorten(body);
  } catch {
    return; // a setting is half typed
  }
  showSnippets($("code"), { base, key: "YOUR_TOKEN", type, body });
}

// Uploads would fill the code panel: their place is kept, their bytes are left out.
function shorten(value) {
  for (const [key, entry] of Object.entries(value)) {
    if (typeof entry === "string" && entry.length > 2000) value[key] = `${entry.slice(0, 60)}…`;
    else if (entry && typeof entry === "object") shorten(entry);
  }
}

function changed() {
  readSettings();
  showModel();
  showConversation();
  showCode();
  keep();
}

// --- running ---------------------------------------------------------------------------------------------------------

async function send() {
  if (running) return;
  const text = $("input").value.trim();
  const needsFile = state.type === "audio_transcription";
  if (!text && !needsFile && !(attachments.length && state.type === "chat")) return $("input").focus();
  if (needsFile && !attachments.length) return say("Choose an audio file first.", true);
  readSettings();
  const turn = { role: "user", type: state.type, content: contentWith(text), text, files: attachments.map((file) => file.name) };
  const second = ["chat", "responses"].includes(state.type) && state.second !== state.model ? find(state.second) : undefined;
  const ids = [state.model, ...(second?.model_types.includes(state.type) ? [second.id] : [])];
  let bodies;
  try {
    state.turns.push(turn);
    bodies = ids.map((id) => bodyFor(id, text));
  } catch (error) {
    state.turns.pop();
    return say(error.message, true);
  }
  const files = attachments;
  $("input").value = "";
  attachments = [];
  showAttachments();
  showConversation();
  running = new AbortController();
  $("send").hidden = true;
  $("stop").hidden = false;
  say("Running…");
  const row = document.createElement("div");
  row.className = ids.length > 1 ? "gh-versus" : "";
  $("turns").append(row);
  await Promise.all(ids.map((id, index) => answer(id, bodies[index], files, row)));
  running = null;
  $("send").hidden = false;
  $("stop").hidden = true;
  say("");
  $("input").focus();
  keep();
}

async function answer(id, body, files, row) {
  const turn = { role: "assistant", type: state.type, model: id, content: "", facts: {} };
  state.turns.push(turn);
  const shown = bubble(turn);
  row.append(shown.element);
  const started = performance.now();
  const list = $("turns");
  const onText = (part) => {
    turn.facts.ttft ??= performance.now() - started;
    turn.content += part;
    shown.body.textContent = turn.content;
    list.scrollTop = list.scrollHeight;
  };
  try {
    const call = { base: api, token: await freshToken(), body, files, signal: running.signal, onText, media: shown.media };
    call.onResponse = (response) => (turn.facts.requestId = response.headers.get("x-request-id"));
    await RUNNERS[state.type](call);
  } catch (error) {
    if (error.name === "AbortError") turn.facts.stopped = true;
    else {
      turn.error = true;
      shown.element.classList.add("gh-turn-error");
      turn.content = error.message;
      shown.body.textContent = error.message;
    }
  }
  turn.facts.ms = performance.now() - started;
  if (!body.stream) delete turn.facts.ttft;
  showFacts(shown.facts, turn);
  await costOf(turn);
  showFacts(shown.facts, turn);
}

// What the call came to is in its record, which is written within a second of the answer.
async function costOf(turn) {
  if (!turn.facts.requestId) return;
  for (let attempt = 0; attempt < 8; attempt++) {
    const response = await fetch(`${root.dataset.recordUrl}?request=${encodeURIComponent(turn.facts.requestId)}`).catch(() => null);
    if (!response?.ok) return;
    const record = await response.json();
    if (record.found) {
      Object.assign(turn.facts, { input: record.input_tokens, output: record.output_tokens, cost: record.cost });
      return;
    }
    await new Promise((resolve) => setTimeout(resolve, 400));
  }
}

function showAttachments() {
  $("files").replaceChildren(
    ...attachments.map((file, index) => {
      const chip = document.createElement("button");
      chip.type = "button";
      chip.className = "gh-chip";
      chip.textContent = `${file.name} ✕`;
      chip.setAttribute("aria-label", `Remove ${file.name}`);
      chip.addEventListener("click", () => {
        attachments.splice(index, 1);
        showAttachments();
      });
      return chip;
    }),
  );
}

async function attach(event) {
  for (const file of event.target.files) {
    if (file.size > 15 * 2 ** 20) {
      say(`${file.name} is larger than 15 MB.`, true);
      continue;
    }
    const url = await new Promise((resolve, reject) => {
      const reader = new FileReader();
      reader.addEventListener("load", () => resolve(reader.result));
      reader.addEventListener("error", () => reject(reader.error));
      reader.readAsDataURL(file);
    });
    attachments.push({ name: file.name, mime: file.type || "application/octet-stream", url, file });
  }
  event.target.value = "";
  showAttachments();
}

$("model").addEventListener("change", (event) => {
  state.model = event.target.value;
  changed();
});
$("second").addEventListener("change", (event) => {
  state.second = event.target.value;
  changed();
});
root.querySelectorAll("[data-setting]").forEach((field) => field.addEventListener("input", () => (showCode(), keep())));
$("input").addEventListener("input", showCode);
$("input").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
    event.preventDefault();
    send();
  }
});
$("send").addEventListener("click", send);
$("stop").addEventListener("click", () => running?.abort());
$("clear").addEventListener("click", () => {
  state.turns = state.turns.filter((turn) => turn.type !== state.type);
  changed();
});
$("attach").addEventListener("change", attach);

try {
  models = await loadModels();
  fillModels();
  writeSettings();
  changed();
  say("");
  root.dataset.ready = "yes";
} catch (error) {
  say(error.message, true);
}
