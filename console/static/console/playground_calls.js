// How the playground makes each kind of call. A runner sends `call.body` and shows what comes through `call.onText` and `call.media`.

async function post(call, path, body, headers = { "Content-Type": "application/json" }) {
  const response = await fetch(`${call.base}/${path}`, {
    method: "POST",
    headers: { ...headers, Authorization: `Bearer ${call.token}` },
    body: body instanceof FormData ? body : JSON.stringify(body),
    signal: call.signal,
  });
  call.onResponse(response);
  if (!response.ok) throw new Error(await reason(response));
  return response;
}

async function reason(response) {
  const text = await response.text();
  try {
    return JSON.parse(text).error.message;
  } catch {
    return `${response.status}: ${text.slice(0, 300)}`;
  }
}

/** Yield the data of each server-sent event, decoded. */
async function* events(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let waiting = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    waiting += value.replaceAll("\r\n", "\n");
    const parts = waiting.split("\n\n");
    waiting = parts.pop();
    for (const part of parts) {
      const data = part
        .split("\n")
        .filter((line) => line.startsWith("data:"))
        .map((line) => line.slice(5).trim())
        .join("\n");
      if (!data || data === "[DONE]") continue;
      const event = JSON.parse(data);
      if (event.error) throw new Error(event.error.message ?? String(event.error));
      yield event;
    }
  }
}

const toolText = (call) => `${call.function?.name ?? call.name}(${call.function?.arguments ?? call.arguments})`;

async function chat(call) {
  const response = await post(call, "chat/completions", call.body);
  if (!call.body.stream) {
    const { message } = (await response.json()).choices[0];
    call.onText([message.content ?? "", ...(message.tool_calls ?? []).map(toolText)].filter(Boolean).join("\n"));
    return;
  }
  for await (const chunk of events(response)) {
    const delta = chunk.choices?.[0]?.delta;
    if (delta?.content) call.onText(delta.content);
    for (const tool of delta?.tool_calls ?? []) {
      if (tool.function?.name) call.onText(`${tool.function.name} `);
      if (tool.function?.arguments) call.onText(tool.function.arguments);
    }
  }
}

async function responses(call) {
  const response = await post(call, "responses", call.body);
  if (!call.body.stream) {
    for (const item of (await response.json()).output) {
      if (item.type === "message") call.onText(item.content.map((part) => part.text ?? "").join(""));
      if (item.type === "function_call") call.onText(toolText(item));
    }
    return;
  }
  for await (const event of events(response)) {
    if (event.type === "response.output_text.delta") call.onText(event.delta);
    if (event.type === "response.output_item.done" && event.item.type === "function_call") call.onText(toolText(event.item));
    if (event.type === "response.failed") throw new Error(event.response.error?.message ?? "The response failed.");
  }
}

async function completion(call) {
  const answer = await (await post(call, "completions", call.body)).json();
  call.onText(answer.choices[0].text);
}

async function embedding(call) {
  const answer = await (await post(call, "embeddings", call.body)).json();
  const vector = answer.data[0].embedding;
  const first = vector.slice(0, 8).map((part) => part.toFixed(4));
  call.onText(`${vector.length} dimensions: [${first.join(", ")}, …]`);
}

async function moderation(call) {
  const [result] = (await (await post(call, "moderations", call.body)).json()).results;
  const found = Object.keys(result.categories).filter((name) => result.categories[name]);
  call.onText(result.flagged ? `Flagged: ${found.join(", ")}` : "Not flagged.");
}

async function image(call) {
  const answer = await (await post(call, "images/generations", call.body)).json();
  for (const entry of answer.data) {
    const picture = document.createElement("img");
    picture.className = "gh-picture";
    picture.alt = call.body.prompt;
    if (entry.b64_json) picture.src = `data:image/png;base64,${entry.b64_json}`;
    else {
      // The address is another host's, which this page may not load from.
      const link = document.createElement("a");
      link.className = "text-link";
      link.href = entry.url;
      link.rel = "noreferrer";
      link.textContent = "Open the image at the provider";
      call.media.append(link);
      continue;
    }
    call.media.append(picture);
  }
  call.onText(`${answer.data.length} image${answer.data.length === 1 ? "" : "s"}.`);
}

async function speech(call) {
  const sound = await (await post(call, "audio/speech", call.body)).blob();
  const player = document.createElement("audio");
  player.controls = true;
  player.src = URL.createObjectURL(sound);
  call.media.append(player);
  call.onText(`${Math.round(sound.size / 1000)} kB of ${sound.type || "audio"}.`);
}

async function transcription(call) {
  const form = new FormData();
  for (const [name, value] of Object.entries(call.body)) form.append(name, value);
  form.append("file", call.files[0].file);
  const answer = await (await post(call, "audio/transcriptions", form, {})).json();
  call.onText(answer.text);
}

// One turn of text in a session of its own, opened with a client secret as browsers do.
async function realtime(call) {
  const session = { type: "realtime", model: call.body.model, output_modalities: ["text"] };
  const secret = await (await post(call, "realtime/client_secrets", { session })).json();
  const address = `${call.base.replace(/^http/, "ws")}/realtime?model=${encodeURIComponent(call.body.model)}`;
  const socket = new WebSocket(address, ["realtime", `openai-insecure-api-key.${secret.value}`]);
  await new Promise((resolve, reject) => {
    call.signal.addEventListener("abort", () => (socket.close(), reject(new DOMException("stopped", "AbortError"))));
    socket.addEventListener("error", () => reject(new Error("The socket could not be opened.")));
    socket.addEventListener("close", () => reject(new Error("The session ended before an answer.")));
    socket.addEventListener("open", () => {
      const content = [{ type: "input_text", text: call.body.input }];
      socket.send(JSON.stringify({ type: "conversation.item.create", item: { type: "message", role: "user", content } }));
      socket.send(JSON.stringify({ type: "response.create", response: { output_modalities: ["text"] } }));
    });
    socket.addEventListener("message", ({ data }) => {
      const event = JSON.parse(data);
      if (["response.output_text.delta", "response.output_audio_transcript.delta"].includes(event.type)) call.onText(event.delta);
      if (event.type === "error") reject(new Error(event.error.message));
      if (event.type === "response.done") resolve();
    });
  });
  socket.close();
}

export const RUNNERS = {
  chat,
  responses,
  completion,
  embedding,
  moderation,
  image,
  text_to_speech: speech,
  audio_transcription: transcription,
  realtime,
};
