// Adding a provider account: three steps on one page. The draft stays in this browser, all but the key and the headers.

const root = document.getElementById("wizard");
const $ = (name, within = root) => within.querySelector(`[data-${name}]`);
const $$ = (name, within = root) => [...within.querySelectorAll(`[data-${name}]`)];
const KINDS = JSON.parse(document.getElementById("wizard-kinds").textContent);
const TYPES = JSON.parse(document.getElementById("wizard-types").textContent);
const STORE = "gatehouse.wizard";
const SECRET = ["api_key", "headers", "client_secret", "key_file"];
const PARALLEL = 4;

const fresh = () => ({ step: 1, kind: "", fields: {}, chosen: [], own: [], managers: [], users: [] });
let draft = { ...fresh(), ...kept() };
let catalogue = [];
let secrets = {};

function kept() {
  try {
    return JSON.parse(localStorage.getItem(STORE) ?? "{}");
  } catch {
    return {};
  }
}

const keep = () => localStorage.setItem(STORE, JSON.stringify(draft));
const kindOf = () => KINDS.find((kind) => kind.kind === draft.kind);

function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value === true) made.setAttribute(name, "");
    else if (value !== false && value !== undefined) made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

// --- step 1 ------------------------------------------------------------------------------------------------------------

function showKinds() {
  $("kinds").replaceChildren(
    ...KINDS.map((kind) => {
      const input = element("input", { type: "radio", name: "kind", value: kind.kind, class: "gh-sr", onchange: () => chooseKind(kind.kind) });
      input.checked = kind.kind === draft.kind;
      const note = kind.known ? `${kind.known} known ${kind.known === 1 ? "model" : "models"}` : "models by name";
      return element("label", { class: "gh-tile" }, input, element("strong", {}, kind.label), element("span", { class: "gh-note" }, note));
    }),
  );
}

async function chooseKind(kind) {
  const other = kind !== draft.kind;
  draft.kind = kind;
  if (other) {
    draft.chosen = [];
    draft.fields.region = draft.fields.base_url = "";
  }
  await showAccount();
  keep();
}

async function showAccount() {
  const kind = kindOf();
  $("account").hidden = !kind;
  if (!kind) return;
  const regions = kind.regions;
  $("region").hidden = !regions.length;
  const select = $("region").querySelector("select");
  select.replaceChildren(
    ...regions.map((region) => new Option(region.label, region.url)),
    new Option("Another address …", "other"),
  );
  select.value = draft.fields.region || regions[0]?.url || "other";
  $("key").querySelector("span").textContent = kind.needs_key ? "API key" : "API key (if the server wants one)";
  for (const way of $$("sign-in")) way.hidden = way.dataset.signIn !== kind.auth;
  for (const field of $$("field")) {
    const value = SECRET.includes(field.dataset.field) ? (secrets[field.dataset.field] ?? "") : draft.fields[field.dataset.field];
    if (field === select) continue;
    if (field.type === "checkbox") field.checked = value === true;
    else field.value = value ?? "";
  }
  showAddress();
  const response = await fetch(`${root.dataset.catalogueUrl}?kind=${encodeURIComponent(kind.kind)}`);
  catalogue = response.ok ? (await response.json()).models : [];
  showAddress();
  showModels();
}

function showAddress() {
  const kind = kindOf();
  const chosen = $("region").querySelector("select").value;
  $("address").hidden = kind.regions.length > 0 && chosen !== "other" && Boolean(kind.base_url);
  const field = $("address").querySelector("input");
  field.placeholder = kind.base_url || "https://models.example.com/v1";
  const strict = /\/\/(us|eu|gb|ae)\./.test(chosen);
  $("region-note").textContent = !kind.regions.length
    ? ""
    : strict
      ? "A project with this data residency only answers at this address: it is required."
      : "The default works for every project without data residency. US, Europe, United Kingdom and Emirates are required for projects that live there; the others are nearer, but optional.";
  const name = draft.fields.name || "acme-openai";
  $("preview").textContent = `${name}/${catalogue.find((model) => model.name === "gpt-4o-mini")?.name ?? catalogue.find((model) => !model.retired)?.name ?? "model"}`;
}

function signIn(kind) {
  if (kind?.auth === "google") return { key_file: secrets.key_file ?? "" };
  if (kind?.auth !== "entra") return {};
  const { fields } = draft;
  return { tenant_id: fields.tenant_id ?? "", client_id: fields.client_id ?? "", client_secret: secrets.client_secret ?? "" };
}

const hasSecret = () => Boolean(secrets.api_key || secrets.client_secret || secrets.key_file);

function entered() {
  const kind = kindOf();
  const { fields } = draft;
  const region = $("region").hidden ? "other" : $("region").querySelector("select").value;
  const own = region === "other" ? fields.base_url : region;
  const headers = {};
  for (const line of (secrets.headers ?? "").split("\n")) {
    const [name, ...rest] = line.split(":");
    if (name.trim()) headers[name.trim()] = rest.join(":").trim();
  }
  return {
    kind: kind?.kind ?? "",
    name: fields.name ?? "",
    base_url: own && own !== kind?.base_url ? own : "",
    api_version: fields.api_version ?? "",
    organization: fields.organization ?? "",
    project: fields.project ?? "",
    any_model: fields.any_model === true,
    api_key: secrets.api_key ?? "",
    ...signIn(kind),
    headers,
  };
}

// --- step 2 ------------------------------------------------------------------------------------------------------------

function showModels() {
  const rows = catalogue.map((model) => {
    const id = `model-${model.name}`;
    const box = element("input", {
      type: "checkbox",
      id,
      onchange: () => {
        draft.chosen = box.checked ? [...draft.chosen, model.name] : draft.chosen.filter((name) => name !== model.name);
        count();
        keep();
      },
    });
    box.checked = draft.chosen.includes(model.name);
    const shutdown = model.shutdown ? element("span", { class: "gh-note" }, ` ${model.retired ? "shut down" : "shuts down"} ${model.shutdown}`) : "";
    const row = element(
      "tr",
      { "data-row": model.name },
      element("td", {}, box),
      element("td", {}, element("label", { for: id }, element("strong", {}, model.name)), shutdown),
      element("td", { class: "gh-can" }, [...model.types, ...model.features].join(", ").replaceAll("_", " ")),
      ...(model.price
        ? [element("td", { class: "gh-number", colspan: 2 }, model.price)]
        : [element("td", { class: "gh-number" }, model.input ?? ""), element("td", { class: "gh-number" }, model.output ?? "")]),
      element("td", { class: "gh-number" }, context(model.context)),
      element("td", { "data-badge": model.name }),
    );
    row.model = model;
    return row;
  });
  $("models").replaceChildren(...rows);
  showOwn();
  filter();
}

const context = (tokens) => (!tokens ? "" : tokens >= 1_000_000 ? `${Number((tokens / 1_000_000).toFixed(1))}M` : `${Math.round(tokens / 1000)}K`);

// A model that the catalogue does not list, as a row of its own.
function showOwn() {
  $("own").replaceChildren(
    ...draft.own.map((model, index) => {
      const change = (field) => (event) => {
        model[field] = event.target.value.trim();
        keep();
      };
      const type = element("select", { class: "gh-input", "aria-label": "Type", onchange: change("type") }, ...TYPES.map((name) => new Option(name.replaceAll("_", " "), name)));
      type.value = model.type;
      const remove = () => {
        draft.own.splice(index, 1);
        showOwn();
        count();
        keep();
      };
      const field = (name, label, hint) => element("input", { class: "gh-input", "aria-label": label, placeholder: hint, value: model[name] ?? "", spellcheck: "false", oninput: change(name) });
      return element(
        "tr",
        { "data-own-row": true },
        element("td", {}, element("button", { type: "button", class: "gh-link", "aria-label": "Remove this model", onclick: remove }, "✕")),
        element("td", {}, field("name", "Model name", "Name, as callers write it"), field("upstream_id", "The provider's own name", "The provider's name, if another")),
        element("td", {}, type),
        element("td", {}, field("input", "Input price per million tokens", "public price")),
        element("td", {}, field("output", "Output price per million tokens", "public price")),
        element("td", {}),
        element("td", { "data-badge": `own-${index}` }),
      );
    }),
  );
}

function ownModels() {
  return draft.own.map((model) => {
    const price = {};
    if (model.input) price.input_mtok = model.input;
    if (model.output) price.output_mtok = model.output;
    return { own: true, name: model.name ?? "", upstream_id: model.upstream_id ?? "", types: [model.type], price };
  });
}

const chosenModels = () => [...draft.chosen.map((name) => ({ name })), ...ownModels()];

function filter() {
  const words = $("filter").value.toLowerCase().split(/\s+/).filter(Boolean);
  const retired = $("retired").checked;
  for (const row of $$("row")) {
    const { name, types, features } = row.model;
    const text = [name, ...types, ...features].join(" ").toLowerCase();
    row.hidden = !words.every((word) => text.includes(word)) || (row.model.retired && !retired && !draft.chosen.includes(name));
  }
  count();
}

function count() {
  const open = $$("row").filter((row) => !row.hidden);
  $("all").checked = open.length > 0 && open.every((row) => draft.chosen.includes(row.model.name));
  $("count").textContent = `${draft.chosen.length + draft.own.length} chosen`;
}

async function post(url, body) {
  const response = await fetch(url, {
    method: "POST",
    headers: { "Content-Type": "application/json", "X-CSRFToken": root.dataset.csrf },
    body: JSON.stringify(body),
  });
  if (response.ok) return response.json();
  if (response.status === 400) {
    const answer = await response.json().catch(() => null);
    if (answer?.errors) return answer;
  }
  return { errors: { "": response.status === 403 ? "The session has ended. Reload the page and sign in." : `The server answered ${response.status}.` } };
}

async function test() {
  const button = $("test");
  const waiting = [
    ...draft.chosen.map((name) => [name, { name }]),
    ...ownModels().map((model, index) => [`own-${index}`, model]),
  ];
  if (!waiting.length) waiting.push(["", null]);
  let good = 0;
  let bad = 0;
  button.disabled = true;
  clearErrors();
  const total = waiting.length;
  const badge = (key, text, state, detail) => {
    const cell = root.querySelector(`[data-badge="${CSS.escape(key)}"]`);
    cell?.replaceChildren(element("span", { class: `gh-badge gh-badge-${state}` }, text), ...(detail ? [element("span", { class: "gh-note gh-detail" }, detail)] : []));
  };
  for (const [key] of waiting) badge(key, "waiting", "wait");
  const worker = async () => {
    for (let next = waiting.shift(); next; next = waiting.shift()) {
      const [key, model] = next;
      badge(key, "testing …", "wait");
      const result = await post(root.dataset.testUrl, { ...entered(), model });
      if (result.errors) {
        waiting.length = 0;
        showErrors(result.errors);
        badge(key, "not tested", "bad");
        bad += 1;
      } else {
        badge(key, result.label, result.ok ? "good" : "bad", result.ok ? (result.milliseconds === null ? "" : `${result.milliseconds} ms`) : result.detail);
        if (result.ok) good += 1;
        else bad += 1;
        if (!key) $("tested").textContent = `${result.label}: ${result.detail}`;
      }
      if (key) $("tested").textContent = `${good + bad} of ${total} tested: ${good} work${bad ? `, ${bad} do not. You can save anyway.` : "."}`;
    }
  };
  await Promise.all(Array.from({ length: Math.min(PARALLEL, waiting.length) }, worker));
  button.disabled = false;
}

// --- step 3 ------------------------------------------------------------------------------------------------------------

function people(role) {
  const box = root.querySelector(`[data-people=${role}]`);
  const input = box.querySelector("input");
  const options = box.querySelector("ul");
  options.id = `options-${role}`;
  input.setAttribute("aria-controls", options.id);
  let timer;
  const close = () => {
    options.hidden = true;
    input.setAttribute("aria-expanded", "false");
  };
  const add = (subject) => {
    if (!draft[role].some((one) => one.key === subject.key)) draft[role].push(subject);
    input.value = "";
    close();
    showPeople();
    keep();
    input.focus();
  };
  const look = async () => {
    const response = await fetch(`${root.dataset.subjectsUrl}?q=${encodeURIComponent(input.value.trim())}`);
    if (!response.ok) return;
    const { found } = await response.json();
    options.replaceChildren(
      ...(found.length
        ? found.map((subject) =>
            element("li", {}, element("button", { type: "button", onclick: () => add(subject) }, subject.name, element("span", { class: "gh-note" }, ` ${subject.what}`))),
          )
        : [element("li", { class: "gh-note" }, "No person, team or application has this in its name.")]),
    );
    options.hidden = false;
    input.setAttribute("aria-expanded", "true");
  };
  input.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(look, 200);
  });
  input.addEventListener("focus", look);
  input.addEventListener("keydown", (event) => {
    if (event.key === "Enter") {
      event.preventDefault();
      options.querySelector("button")?.click();
    }
    if (event.key === "ArrowDown") options.querySelector("button")?.focus();
    if (event.key === "Escape") close();
  });
  box.addEventListener("focusout", (event) => {
    if (!box.contains(event.relatedTarget)) close();
  });
}

function showPeople() {
  for (const role of ["managers", "users"]) {
    const row = root.querySelector(`[data-people=${role}] .gh-row`);
    row.replaceChildren(
      ...draft[role].map((subject) =>
        element(
          "button",
          {
            type: "button",
            class: "gh-chip",
            "aria-label": `Remove ${subject.name}`,
            onclick: () => {
              draft[role] = draft[role].filter((one) => one.key !== subject.key);
              showPeople();
              keep();
            },
          },
          `${subject.name} ✕`,
        ),
      ),
    );
  }
  const names = (role) => draft[role].map((one) => one.name).join(", ");
  const models = draft.chosen.length + draft.own.length;
  const what = `the ${models} model${models === 1 ? "" : "s"} of ${draft.fields.name || "the account"}`;
  const callers = [...new Set([...draft.users, ...draft.managers].map((one) => one.name))].join(", ");
  $("sentence").textContent = callers
    ? `${callers} will be able to call ${what}` + (draft.managers.length ? `; ${names("managers")} will also be able to change the account, its models and its access.` : ". Only superusers can change the account.")
    : "";
  $("no-callers").hidden = Boolean(callers);
}

// --- the whole ---------------------------------------------------------------------------------------------------------

const STEP_OF = { models: 2, access: 3, managers: 3, users: 3, "": draft.step };

function clearErrors() {
  $("general").textContent = "";
  $$("error").forEach((place) => (place.textContent = ""));
}

function showErrors(errors) {
  clearErrors();
  let step;
  for (const [field, text] of Object.entries(errors)) {
    const place = root.querySelector(`[data-error="${field}"]`);
    (place ?? $("general")).textContent = text;
    if (place) step ??= STEP_OF[field] ?? 1;
    place?.closest("details")?.setAttribute("open", "");
  }
  if (step) go(step);
}

function go(step) {
  draft.step = step;
  $$("page").forEach((section) => (section.hidden = section.dataset.page !== String(step)));
  $$("step").forEach((button) => (button.dataset.step === String(step) ? button.setAttribute("aria-current", "step") : button.removeAttribute("aria-current")));
  if (step === 3) showPeople();
  keep();
}

function next(step) {
  if (step > 1 && !kindOf()) return showErrors({ "": "Choose a provider first." });
  if (step > 1 && !draft.fields.name) return showErrors({ name: "Give the account a name." });
  if (step > 1 && kindOf().needs_key && !hasSecret()) return showErrors({ api_key: "Enter the key: it is not kept when you leave the page." });
  clearErrors();
  go(step);
  root.querySelector(`[data-page="${step}"] h2`).scrollIntoView({ block: "nearest" });
}

async function save() {
  $("save").disabled = true;
  $("saving").textContent = "Saving …";
  const result = await post(root.dataset.saveUrl, {
    ...entered(),
    models: chosenModels(),
    managers: draft.managers.map((one) => one.key),
    users: draft.users.map((one) => one.key),
  });
  $("saving").textContent = "";
  $("save").disabled = false;
  if (result.errors) return showErrors(result.errors);
  localStorage.removeItem(STORE);
  location.assign(result.next);
}

$$("field").forEach((field) =>
  field.addEventListener("input", () => {
    const name = field.dataset.field;
    const value = field.type === "checkbox" ? field.checked : field.value;
    if (SECRET.includes(name)) secrets[name] = value;
    else draft.fields[name] = name === "name" ? value.trim() : value;
    showAddress();
    keep();
  }),
);
$$("next").forEach((button) => button.addEventListener("click", () => next(Number(button.dataset.next))));
$$("step").forEach((button) => button.addEventListener("click", () => next(Number(button.dataset.step))));
$("filter").addEventListener("input", filter);
$("retired").addEventListener("change", filter);
$("all").addEventListener("change", () => {
  const ticked = $("all").checked;
  const open = $$("row").filter((row) => !row.hidden);
  const names = open.map((row) => row.model.name);
  draft.chosen = ticked ? [...new Set([...draft.chosen, ...names])] : draft.chosen.filter((name) => !names.includes(name));
  open.forEach((row) => (row.querySelector("input").checked = ticked));
  count();
  keep();
});
$("add").addEventListener("click", () => {
  draft.own.push({ type: "chat" });
  showOwn();
  count();
  keep();
  $("own").querySelector("tr:last-child input").focus();
});
$("test").addEventListener("click", test);
$("save").addEventListener("click", save);
$("forget").addEventListener("click", () => {
  localStorage.removeItem(STORE);
  location.assign(location.pathname);
});

$("kept").hidden = !draft.kind;
if (!draft.kind && KINDS.some((kind) => kind.kind === root.dataset.chosen)) draft.kind = root.dataset.chosen;
showKinds();
people("managers");
people("users");
go(draft.kind && !kindOf().needs_key ? draft.step : 1);
showPeople();
await showAccount();
root.dataset.ready = "yes";
