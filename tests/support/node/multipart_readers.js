// Reads requests from standard input, a JSON object a line: {"reader", "type", "body" (base64)}. Answers each with a line:
// {"parts": [[name, is_file, value in base64]]} or {"error": "..."}.
const { Readable } = require("stream");
const readline = require("readline");
const busboy = require("busboy");

function withBusboy(type, body) {
  return new Promise((resolve, reject) => {
    const parts = [];
    const parser = busboy({ headers: { "content-type": type }, limits: { fieldSize: 1e7 } });
    parser.on("field", (name, value) => parts.push([name, false, Buffer.from(value).toString("base64")]));
    parser.on("file", (name, stream) => {
      const pieces = [];
      stream.on("data", (piece) => pieces.push(piece));
      stream.on("end", () => parts.push([name, true, Buffer.concat(pieces).toString("base64")]));
      stream.on("error", reject);
    });
    parser.on("error", reject);
    parser.on("close", () => resolve(parts));
    Readable.from([body]).pipe(parser);
  });
}

async function answer(line) {
  const asked = JSON.parse(line);
  try {
    return { parts: await withBusboy(asked.type, Buffer.from(asked.body, "base64")) };
  } catch (error) {
    return { error: String(error) };
  }
}

(async () => {
  for await (const line of readline.createInterface({ input: process.stdin })) {
    process.stdout.write(JSON.stringify(await answer(line)) + "\n");
  }
})();
