// The npm package `openai`: client.mjs TASK BASE_URL. See clients.py for the tasks.
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const [, , task, baseURL] = process.argv;
const require = createRequire(pathToFileURL(process.cwd() + "/.venv/compat/npm/package.json"));
const { OpenAI } = require("openai");
const client = new OpenAI({ baseURL, apiKey: "sandbox", maxRetries: 0 });
const model = "gemini-3.5-flash";
const integer = { type: "integer" };
const parameters = { type: "object", properties: { a: integer, b: integer }, required: ["a", "b"] };
const tools = [{ type: "function", function: { name: "add", parameters } }];
const schema = {
  type: "object",
  properties: { name: { type: "string" }, age: integer },
  required: ["name", "age"],
};

async function chain() {
  const content = 'add {"a": 1, "b": 2} and add {"a": 3, "b": 4} then add {"a": 5, "b": 6}';
  const messages = [{ role: "user", content }];
  for (;;) {
    const { message } = (await client.chat.completions.create({ model, messages, tools })).choices[0];
    if (!message.tool_calls) return message.content;
    messages.push(message);
    for (const call of message.tool_calls) {
      const { a, b } = JSON.parse(call.function.arguments);
      messages.push({ role: "tool", tool_call_id: call.id, content: String(a + b) });
    }
  }
}

async function stream() {
  let text = "";
  const messages = [{ role: "user", content: "hello" }];
  for await (const chunk of await client.chat.completions.create({ model, messages, stream: true })) {
    text += chunk.choices[0]?.delta.content ?? "";
  }
  return text;
}

async function filled() {
  const messages = [{ role: "user", content: "hello" }];
  const response_format = { type: "json_schema", json_schema: { name: "dog", strict: true, schema } };
  const reply = await client.chat.completions.create({ model, messages, response_format });
  return reply.choices[0].message.content;
}

console.log(await { tools: chain, stream, schema: filled }[task]());
