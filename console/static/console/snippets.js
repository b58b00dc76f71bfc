// Code that runs as pasted, for a model and the parameters at hand. One source for the playground, the models and the tokens.

const indent = (text, by) => text.replaceAll("\n", `\n${" ".repeat(by)}`);
const json = (value, by = 0) => indent(JSON.stringify(value, null, 2), by);

// A value as Python writes it.
function python(value, by = 0) {
  const pad = " ".repeat(by + 4);
  if (value === true) return "True";
  if (value === false) return "False";
  if (value === null) return "None";
  if (Array.isArray(value)) {
    if (!value.length) return "[]";
    return `[\n${value.map((entry) => pad + python(entry, by + 4)).join(",\n")},\n${" ".repeat(by)}]`;
  }
  if (typeof value === "object") {
    const entries = Object.entries(value).map(([key, entry]) => `${pad}${JSON.stringify(key)}: ${python(entry, by + 4)}`);
    return entries.length ? `{\n${entries.join(",\n")},\n${" ".repeat(by)}}` : "{}";
  }
  return JSON.stringify(value);
}

const pythonArguments = (body) =>
  Object.entries(body)
    .map(([key, value]) => `    ${key}=${python(value, 4)},\n`)
    .join("");

// What each kind of call is named in the SDKs, and what a caller does with its answer.
const CALLS = {
  chat: {
    path: "chat/completions",
    method: "chat.completions.create",
    py: "print(answer.choices[0].message.content)",
    js: "console.log(answer.choices[0].message.content);",
  },
  responses: { path: "responses", method: "responses.create", py: "print(answer.output_text)", js: "console.log(answer.output_text);" },
  completion: { path: "completions", method: "completions.create", py: "print(answer.choices[0].text)", js: "console.log(answer.choices[0].text);" },
  embedding: {
    path: "embeddings",
    method: "embeddings.create",
    py: "print(len(answer.data[0].embedding))",
    js: "console.log(answer.data[0].embedding.length);",
  },
  moderation: { path: "moderations", method: "moderations.create", py: "print(answer.results[0].flagged)", js: "console.log(answer.results[0].flagged);" },
  image: {
    path: "images/generations",
    method: "images.generate",
    py: 'print(answer.data[0].url or len(answer.data[0].b64_json))',
    js: "console.log(answer.data[0].url ?? answer.data[0].b64_json.length);",
  },
  text_to_speech: {
    path: "audio/speech",
    method: "audio.speech.create",
    py: 'answer.write_to_file("speech.mp3")',
    js: 'await (await import("node:fs/promises")).writeFile("speech.mp3", Buffer.from(await answer.arrayBuffer()));',
  },
  audio_transcription: { path: "audio/transcriptions", method: "audio.transcriptions.create", py: "print(answer.text)", js: "console.log(answer.text);", file: true },
};

const STREAM = {
  chat: {
    py: 'for chunk in answer:\n    if chunk.choices and chunk.choices[0].delta.content:\n        print(chunk.choices[0].delta.content, end="", flush=True)',
    js: 'for await (const chunk of answer) process.stdout.write(chunk.choices[0]?.delta?.content ?? "");',
  },
  responses: {
    py: 'for event in answer:\n    if event.type == "response.output_text.delta":\n        print(event.delta, end="", flush=True)',
    js: 'for await (const event of answer) if (event.type === "response.output_text.delta") process.stdout.write(event.delta);',
  },
};

export function exampleBody(type, model) {
  switch (type) {
    case "responses":
      return { model, input: "Say hello in one line." };
    case "completion":
      return { model, prompt: "Once upon a time", max_tokens: 40 };
    case "embedding":
      return { model, input: "The quick brown fox" };
    case "moderation":
      return { model, input: "I want to help my community thrive." };
    case "image":
      return { model, prompt: "A lighthouse at dusk, flat colours" };
    case "text_to_speech":
      return { model, voice: "alloy", input: "Hello from Gatehouse." };
    case "audio_transcription":
      return { model };
    default:
      return { model, messages: [{ role: "user", content: "Say hello in one line." }] };
  }
}

// Which kind of call a model is shown with: the most useful of those that it can do.
export const SHOWN_TYPES = Object.keys(CALLS);
export const mainType = (types) => SHOWN_TYPES.find((type) => types.includes(type)) ?? "chat";

/** Return [{label, code}] for a call: base address, key, type of model and body. */
export function snippets({ base, key, type, body }) {
  const call = CALLS[type] ?? CALLS.chat;
  const end = (body.stream && STREAM[type]) || call;
  const shellKey = key.replaceAll('"', "");
  const found = [
    {
      label: "Python",
      code:
        `from openai import OpenAI\n\nclient = OpenAI(base_url="${base}", api_key="${key}")\n` +
        `answer = client.${call.method}(\n${pythonArguments(body)}${call.file ? '    file=open("speech.mp3", "rb"),\n' : ""})\n${end.py}`,
    },
    {
      label: "JavaScript",
      code:
        `import OpenAI from "openai";\n${call.file ? 'import fs from "node:fs";\n' : ""}\nconst client = new OpenAI({ baseURL: "${base}", apiKey: "${key}" });\n` +
        `const answer = await client.${call.method}(${
          call.file ? json({ ...body, file: "FILE" }).replace('"FILE"', 'fs.createReadStream("speech.mp3")') : json(body)
        });\n${end.js}`,
    },
    { label: "cURL", code: curl(base, shellKey, call, body, type) },
  ];
  if (type === "chat") found.push(...frameworks(base, key, body));
  return found;
}

function curl(base, key, call, body, type) {
  const start = `curl ${base}/${call.path} \\\n  -H "Authorization: Bearer ${key}"`;
  if (call.file) return `${start} \\\n  -F model="${body.model}" \\\n  -F file=@speech.mp3`;
  const quoted = JSON.stringify(body, null, 2).replaceAll("'", "'\\''");
  return `${start} \\\n  -H "Content-Type: application/json" \\\n  -d '${quoted}'${type === "text_to_speech" ? " \\\n  -o speech.mp3" : ""}`;
}

function frameworks(base, key, body) {
  const { model, messages, temperature, max_tokens: most } = body;
  const options = [
    ...(temperature === undefined ? [] : [["temperature", temperature]]),
    ...(most === undefined ? [] : [["max_tokens", most]]),
  ];
  const py = options.map(([name, value]) => `, ${name}=${value}`).join("");
  const texts = messages.map(({ role, content }) => ({ role, content: typeof content === "string" ? content : textOf(content) }));
  const camel = { temperature: "temperature", max_tokens: "maxOutputTokens" };
  return [
    {
      label: "Go",
      code:
        `package main\n\nimport (\n\t"context"\n\t"fmt"\n\n\t"github.com/openai/openai-go/v3"\n\t"github.com/openai/openai-go/v3/option"\n)\n\n` +
        `func main() {\n\tclient := openai.NewClient(option.WithBaseURL("${base}/"), option.WithAPIKey("${key}"))\n` +
        `\tanswer, err := client.Chat.Completions.New(context.Background(), openai.ChatCompletionNewParams{\n\t\tModel: "${model}",\n` +
        `${temperature === undefined ? "" : `\t\tTemperature: openai.Float(${temperature}),\n`}` +
        `\t\tMessages: []openai.ChatCompletionMessageParamUnion{\n` +
        texts.map(({ role, content }) => `\t\t\topenai.${GO_ROLES[role] ?? "UserMessage"}(${JSON.stringify(content)}),\n`).join("") +
        `\t\t},\n\t})\n\tif err != nil {\n\t\tpanic(err)\n\t}\n\tfmt.Println(answer.Choices[0].Message.Content)\n}`,
    },
    {
      label: "LangChain",
      code:
        `from langchain_openai import ChatOpenAI\n\nmodel = ChatOpenAI(base_url="${base}", api_key="${key}", model="${model}"${py})\n` +
        `print(model.invoke(${python(texts)}).content)`,
    },
    {
      label: "LlamaIndex",
      code:
        `from llama_index.core.llms import ChatMessage\nfrom llama_index.llms.openai_like import OpenAILike\n\n` +
        `model = OpenAILike(api_base="${base}", api_key="${key}", model="${model}", is_chat_model=True${py})\n` +
        `messages = [ChatMessage(**message) for message in ${python(texts)}]\nprint(model.chat(messages).message.content)`,
    },
    {
      label: "Vercel AI SDK",
      code:
        `import { createOpenAICompatible } from "@ai-sdk/openai-compatible";\nimport { generateText } from "ai";\n\n` +
        `const gatehouse = createOpenAICompatible({ name: "gatehouse", baseURL: "${base}", apiKey: "${key}" });\n` +
        `const { text } = await generateText({\n  model: gatehouse("${model}"),\n  messages: ${json(texts, 2)},\n` +
        options.map(([name, value]) => `  ${camel[name]}: ${value},\n`).join("") +
        `});\nconsole.log(text);`,
    },
  ];
}

const GO_ROLES = { system: "SystemMessage", developer: "DeveloperMessage", assistant: "AssistantMessage", user: "UserMessage" };
const textOf = (parts) => parts.map((part) => part.text ?? "").join("");

/** Show a call's snippets in `element`, a tab each, with a copy button. The chosen tab is kept for the next page. */
export function showSnippets(element, call) {
  const found = snippets(call);
  const kept = localStorage.getItem("gatehouse.snippet") ?? "Python";
  let chosen = found.find((entry) => entry.label === kept) ?? found[0];
  const tabs = document.createElement("div");
  tabs.className = "gh-tabs";
  tabs.setAttribute("role", "group");
  tabs.setAttribute("aria-label", "Language");
  const code = document.createElement("pre");
  code.className = "gh-code";
  code.tabIndex = 0;
  code.setAttribute("aria-label", "Code");
  const copy = document.createElement("button");
  copy.type = "button";
  copy.className = "gh-button";
  copy.textContent = "Copy code";
  copy.addEventListener("click", () => copyText(chosen.code, copy));
  const show = () => {
    code.textContent = chosen.code;
    tabs.querySelectorAll("button").forEach((tab) => tab.setAttribute("aria-pressed", String(tab.textContent === chosen.label)));
  };
  for (const entry of found) {
    const tab = document.createElement("button");
    tab.type = "button";
    tab.textContent = entry.label;
    tab.addEventListener("click", () => {
      chosen = entry;
      localStorage.setItem("gatehouse.snippet", entry.label);
      show();
    });
    tabs.append(tab);
  }
  show();
  element.replaceChildren(tabs, code, copy);
}

/** Copy `text`, and say so on `button`. */
export async function copyText(text, button) {
  const before = button.textContent;
  try {
    await navigator.clipboard.writeText(text);
    button.textContent = "Copied";
  } catch {
    // Without https the clipboard is closed to scripts; the older way still works in most browsers.
    const area = document.createElement("textarea");
    area.value = text;
    document.body.append(area);
    area.select();
    button.textContent = document.execCommand("copy") ? "Copied" : "Press Ctrl+C to copy";
    area.remove();
  }
  setTimeout(() => (button.textContent = before), 2000);
}

// Pages that only show snippets: <div data-snippets data-base data-model data-types>, with data-key-from the field that has the token.
document.querySelectorAll("[data-snippets]").forEach((element) => {
  const { base, model, types, keyFrom } = element.dataset;
  const type = mainType((types ?? "chat").split(" "));
  const key = keyFrom ? document.getElementById(keyFrom).value : "YOUR_TOKEN";
  showSnippets(element, { base, key, type, body: exampleBody(type, model) });
});
