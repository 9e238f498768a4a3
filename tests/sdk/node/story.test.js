// The official npm client through askonce: to a real language model, and to a scripted upstream.

import assert from "node:assert/strict";
import { randomInt } from "node:crypto";
import { test } from "node:test";
import OpenAI from "openai";

const { STORY_URL, STORY_KEY, STORY_STRANGER_KEY, STORY_UPSTREAM_URL } = process.env;
const clientOf = (apiKey) => new OpenAI({ baseURL: `${STORY_URL}/v1`, apiKey, maxRetries: 0, timeout: 120_000 });
const client = clientOf(STORY_KEY);

// Each test has a seed of its own, which is part of the scope: no test sees the entries of another.
const llm = () => ({ model: "smollm2", seed: randomInt(2 ** 31), temperature: 0, max_tokens: 80, stop: [".", ",", ":", "\n"] });
const scripted = () => ({ model: "scripted", seed: randomInt(2 ** 31) });
const user = (content) => ({ messages: [{ role: "user", content }] });

async function ask(request, headers, from = client) {
  const { data, response } = await from.chat.completions.create(request, { headers }).withResponse();
  return { answer: data, words: data.choices[0].message.content, headers: response.headers };
}

async function stream(request) {
  const { data, response } = await client.chat.completions.create({ ...request, stream: true }).withResponse();
  const chunks = [];
  for await (const chunk of data) chunks.push(chunk);
  const words = chunks.flatMap((chunk) => chunk.choices).map((choice) => choice.delta.content ?? "").join("");
  return { chunks, words, headers: response.headers };
}

async function calls(question) {
  const reply = await fetch(`${STORY_UPSTREAM_URL}/calls?question=${encodeURIComponent(question)}`);
  return reply.json();
}

const outcome = ({ headers }) => headers.get("x-askonce-cache");
const tier = ({ headers }) => headers.get("x-askonce-tier");

test("chat: the second ask is an exact hit, a paraphrase a semantic one, another number a miss", async () => {
  const settings = llm();
  const first = await ask({ ...settings, ...user("How do I reset my password?") });
  assert.equal(outcome(first), "miss");
  assert.ok(first.words.trim() && first.answer.usage.completion_tokens > 0);
  const second = await ask({ ...settings, ...user("How do I reset my password?") });
  assert.deepEqual([outcome(second), tier(second), second.words], ["hit", "exact", first.words]);
  assert.notEqual(second.answer.id, first.answer.id);
  assert.match(second.headers.get("age"), /^\d+$/);
  const reworded = await ask({ ...settings, ...user("How can I reset my password?") });
  assert.deepEqual([outcome(reworded), tier(reworded), reworded.words], ["hit", "semantic", first.words]);
  assert.equal(outcome(await ask({ ...settings, ...user("How do I reset my 2 passwords?") })), "miss");
});

test("streams: live, replayed, and with usage", async () => {
  const settings = { ...llm(), ...user("How do I boil an egg?") };
  const live = await stream(settings);
  assert.equal(outcome(live), "miss");
  assert.ok(live.chunks.length > 3 && live.words.trim());
  assert.ok(live.chunks.every((chunk) => chunk.choices.length > 0), "no usage without asking");
  const replayed = await stream({ ...settings, stream_options: { include_usage: true } });
  assert.deepEqual([outcome(replayed), replayed.words], ["hit", live.words]);
  assert.ok(replayed.chunks.at(-1).usage.total_tokens > 0);
  const plain = await ask(settings);
  assert.deepEqual([outcome(plain), plain.words], ["hit", live.words]);
});

test("the stream helper puts a message together", async () => {
  const settings = { ...scripted(), ...user("Is this put together from pieces?") };
  const runner = client.chat.completions.stream(settings);
  const deltas = [];
  runner.on("content", (delta) => deltas.push(delta));
  const words = "The scripted upstream heard: Is this put together from pieces?";
  assert.equal(await runner.finalContent(), words);
  assert.equal(deltas.join(""), words);
});

test("runTools: call, result, answer; the second time from the cache", async () => {
  const asked = [];
  const request = () => ({
    ...settings,
    ...user("What is the weather in Tromsø?"),
    tools: [
      {
        type: "function",
        function: {
          name: "weather",
          description: "Today's weather in a city.",
          parameters: { type: "object", properties: { city: { type: "string" } } },
          parse: JSON.parse,
          function: ({ city }) => {
            asked.push(city);
            return `Snow in ${city}`;
          },
        },
      },
    ],
  });
  const settings = scripted();
  for (const streamed of [false, true, false]) {
    const runner = client.chat.completions.runTools({ ...request(), stream: streamed });
    assert.equal(await runner.finalContent(), "The scripted upstream heard: Snow in Tromsø");
  }
  assert.deepEqual(asked, ["Tromsø", "Tromsø", "Tromsø"]);
  assert.equal((await calls("What is the weather in Tromsø?")).length, 1);
  assert.equal((await calls("Snow in Tromsø")).length, 1);
});

test("structured output is parsed", async () => {
  const schema = {
    type: "object",
    properties: { name: { type: "string" }, age: { type: "integer" } },
    required: ["name", "age"],
    additionalProperties: false,
  };
  const { stop, ...settings } = llm();
  const request = {
    ...settings,
    ...user("Anna is 31 years old. Extract her name and age."),
    response_format: { type: "json_schema", json_schema: { name: "person", strict: true, schema } },
  };
  const person = JSON.parse((await client.chat.completions.parse(request)).choices[0].message.content);
  assert.deepEqual(person, { name: "Anna", age: 31 });
});

test("embeddings from the host", async () => {
  const input = ["How do I reset my password?", "How can I reset my password?", "How do I bake a cake?"];
  const { data, usage } = await client.embeddings.create({ model: "all-MiniLM-L6-v2", input });
  const dot = (a, b) => a.reduce((sum, value, at) => sum + value * b[at], 0);
  const [one, near, far] = data.map((item) => item.embedding);
  assert.equal(one.length, 384);
  assert.ok(Math.abs(dot(one, one) - 1) < 1e-4 && dot(one, near) > 0.92 && dot(one, far) < 0.5);
  assert.ok(usage.prompt_tokens > 0);
  await assert.rejects(client.embeddings.create({ model: "all-MiniLM-L6-v2", input, dimensions: 256 }), {
    constructor: OpenAI.BadRequestError,
    param: "dimensions",
  });
});

test("errors are those of the SDK", async () => {
  const request = { ...scripted(), ...user("Hello") };
  await assert.rejects(ask({ ...request, model: "nobody-has-this" }), (error) => {
    assert.ok(error instanceof OpenAI.NotFoundError && error.code === "model_not_found" && error.requestID);
    return true;
  });
  await assert.rejects(ask({ ...request, messages: "hello" }), { constructor: OpenAI.BadRequestError, param: "messages" });
  await assert.rejects(ask(request, {}, clientOf("sk-not-a-key-of-this-gateway")), { constructor: OpenAI.AuthenticationError });
  await assert.rejects(ask({ ...request, model: "down" }), { status: 502 });
  await assert.rejects(ask({ ...request, model: "picky" }), { status: 400, code: "scripted_refusal" });
  await assert.rejects(ask(request, { "cache-control": "only-if-cached" }), { status: 504, code: "not_cached" });
  await assert.rejects(stream({ ...request, ...user("Will npm's stream break?"), model: "broken" }));
});

test("another tenant never shares", async () => {
  const request = { ...scripted(), ...user("Who else reads this?") };
  assert.equal(outcome(await ask(request)), "miss");
  assert.equal(outcome(await ask(request)), "hit");
  assert.equal(outcome(await ask(request, {}, clientOf(STORY_STRANGER_KEY))), "miss");
});

test("32 at once make one call", async () => {
  const request = { ...scripted(), model: "slow", ...user("How many of us are there?") };
  const heard = await Promise.all(Array.from({ length: 32 }, (_, at) => (at % 2 ? stream(request) : ask(request))));
  assert.equal((await calls("How many of us are there?")).length, 1);
  assert.equal(new Set(heard.map(({ words }) => words)).size, 1);
  assert.equal(heard.filter((one) => outcome(one) === "miss").length, 1);
});

test("models", async () => {
  const names = [];
  for await (const model of client.models.list()) names.push(model.id);
  assert.ok(names.includes("smollm2") && names.includes("scripted"));
});
