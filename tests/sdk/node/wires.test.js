// The official npm SDKs at every provider: OpenAI's, Anthropic's and Google's own, and the AI SDK with its providers for them.
// The vendors are scripted; ../vendors/script.py says what a question makes of them.

import Anthropic from "@anthropic-ai/sdk";
import { createAnthropic } from "@ai-sdk/anthropic";
import { createGoogleGenerativeAI } from "@ai-sdk/google";
import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { ApiError, GoogleGenAI } from "@google/genai";
import { APICallError, embedMany, generateText, Output, stepCountIs, streamText, tool } from "ai";
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { describe, test } from "node:test";
import OpenAI from "openai";
import { zodResponseFormat } from "openai/helpers/zod";
import { z } from "zod";

const { STORY_WIRES_URL: url, STORY_KEY: key } = process.env;
const PROVIDERS = (process.env.STORY_PROVIDERS ?? "openai,responses,anthropic,gemini,bedrock,cohere").split(",");
globalThis.AI_SDK_LOG_WARNINGS = false;
const TROUBLE = "The scripted vendor is in trouble.";
// A picture of one red pixel.
const DOT = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR4nGP4z8DwHwAFAAH/iZk9HQAAAABJRU5ErkJggg==";
const SEEN = `Seen: image/png of ${Buffer.from(DOT, "base64").length} bytes`;

const city = { type: "object", properties: { city: { type: "string" } }, required: ["city"] };
const person = z.object({ name: z.string(), age: z.number().int() });
const ANNA = { name: "Anna", age: 31 };
// Nobody asked that before.
const fresh = (question) => `${question} (${randomUUID()})`;
// Each SDK has classes of its own for a stream that fails; that it fails is what counts.
const broken = (error) => error instanceof Error;

describe("openai", () => {
  const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: key, maxRetries: 0 });
  const user = (content) => ({ messages: [{ role: "user", content }] });
  for (const provider of PROVIDERS) {
    const model = `any-${provider}`;
    test(`${provider}: chat, stream, structured output, picture`, async () => {
      const question = fresh("How are you?");
      const answer = await client.chat.completions.create({ model, ...user(question) });
      assert.equal(answer.choices[0].message.content, `Heard: ${question}`);
      assert.deepEqual([answer.usage.prompt_tokens, answer.usage.completion_tokens], [1000, 500]);
      const runner = client.chat.completions.stream({ model, ...user(fresh("And you?")), stream_options: { include_usage: true } });
      assert.match(await runner.finalContent(), /^Heard: And you\?/);
      assert.equal((await runner.totalUsage()).completion_tokens, 500);
      const format = zodResponseFormat(person, "person");
      const parsed = await client.chat.completions.parse({ model, ...user(fresh("Anna is 31.")), response_format: format });
      assert.deepEqual(parsed.choices[0].message.parsed, ANNA);
      const picture = { type: "image_url", image_url: { url: `data:image/png;base64,${DOT}` } };
      const seen = await client.chat.completions.create({ model, ...user([{ type: "text", text: fresh("What is it?") }, picture]) });
      assert.equal(seen.choices[0].message.content, SEEN);
    });
    test(`${provider}: tools`, async () => {
      for (const stream of [false, true]) {
        const weather = { name: "weather", description: "The weather.", parameters: city, parse: JSON.parse, function: (at) => `Rain in ${at.city}` };
        const request = { model, ...user(fresh("What is the weather in Oslo?")), stream, tools: [{ type: "function", function: weather }] };
        assert.equal(await client.chat.completions.runTools(request).finalContent(), "Heard: Rain in Oslo");
      }
    });
    test(`${provider}: responses`, async () => {
      const question = fresh("How are you?");
      const answer = await client.responses.create({ model, input: question });
      assert.equal(answer.output_text, `Heard: ${question}`);
      const stream = client.responses.stream({
        model,
        input: fresh("What is the weather in Oslo?"),
        tools: [{ type: "function", name: "weather", parameters: city, strict: false }],
      });
      const [call] = (await stream.finalResponse()).output.filter((item) => item.type === "function_call");
      assert.deepEqual([call.name, JSON.parse(call.arguments)], ["weather", { city: "Oslo" }]);
    });
    test(`${provider}: errors`, async () => {
      const ask = (marker, more) => client.chat.completions.create({ model, ...user(fresh(`Do you work? ${marker}`)), ...more });
      await assert.rejects(ask("#status-400"), (error) => error instanceof OpenAI.BadRequestError && error.message.includes(TROUBLE));
      await assert.rejects(ask("#status-429"), OpenAI.RateLimitError);
      await assert.rejects(ask("#status-503"), OpenAI.InternalServerError);
      for (const marker of ["#fail", "#cut", "#close"]) {
        const stream = await ask(marker, { stream: true });
        await assert.rejects(async () => { for await (const _ of stream); }, broken, marker);
      }
    });
  }
});

describe("@anthropic-ai/sdk", () => {
  const client = new Anthropic({ baseURL: url, apiKey: key, maxRetries: 0 });
  const request = (model, content) => ({ model, max_tokens: 1000, messages: [{ role: "user", content }] });
  for (const provider of PROVIDERS) {
    const model = `any-${provider}`;
    test(`${provider}: chat, stream, picture`, async () => {
      const question = fresh("How are you?");
      const answer = await client.messages.create(request(model, question));
      assert.deepEqual([answer.content[0].text, answer.stop_reason], [`Heard: ${question}`, "end_turn"]);
      const usage = answer.usage;
      assert.deepEqual([usage.input_tokens + usage.cache_read_input_tokens, usage.output_tokens], [1000, 500]);
      assert.match(await client.messages.stream(request(model, fresh("And you?"))).finalText(), /^Heard: And you\?/);
      const image = { type: "image", source: { type: "base64", media_type: "image/png", data: DOT } };
      const seen = await client.messages.create(request(model, [image, { type: "text", text: fresh("What is it?") }]));
      assert.equal(seen.content[0].text, SEEN);
    });
    test(`${provider}: tools`, async () => {
      const tools = [{ name: "weather", description: "The weather.", input_schema: city }];
      const asked = request(model, fresh("What is the weather in Oslo?"));
      const turn = await client.messages.stream({ ...asked, tools }).finalMessage();
      const call = turn.content.find((block) => block.type === "tool_use");
      assert.deepEqual([turn.stop_reason, call.name, call.input], ["tool_use", "weather", { city: "Oslo" }]);
      const result = { role: "user", content: [{ type: "tool_result", tool_use_id: call.id, content: "Rain" }] };
      const messages = [...asked.messages, { role: "assistant", content: turn.content }, result];
      assert.equal((await client.messages.create({ ...asked, tools, messages })).content[0].text, "Heard: Rain");
    });
    test(`${provider}: thoughts`, async () => {
      const thinking = { type: "enabled", budget_tokens: 1024 };
      const answer = await client.messages.stream({ ...request(model, fresh("Why?")), max_tokens: 4000, thinking }).finalMessage();
      assert.equal(answer.content.find((block) => block.type === "thinking").thinking, "It thought about it.");
    });
    test(`${provider}: errors`, async () => {
      const ask = (marker) => client.messages.create(request(model, fresh(`Do you work? ${marker}`)));
      await assert.rejects(ask("#status-400"), (error) => error instanceof Anthropic.BadRequestError && error.message.includes(TROUBLE));
      await assert.rejects(ask("#status-429"), Anthropic.RateLimitError);
      await assert.rejects(ask("#status-529"), Anthropic.InternalServerError);
      for (const marker of ["#fail", "#cut", "#close"]) {
        await assert.rejects(client.messages.stream(request(model, fresh(marker))).finalMessage(), broken, marker);
      }
    });
  }
});

describe("@google/genai", () => {
  const client = new GoogleGenAI({ apiKey: key, httpOptions: { baseUrl: url } });
  for (const provider of PROVIDERS) {
    const model = `any-${provider}`;
    test(`${provider}: chat, stream, structured output, picture`, async () => {
      const question = fresh("How are you?");
      const answer = await client.models.generateContent({ model, contents: question });
      assert.equal(answer.text, `Heard: ${question}`);
      assert.equal(answer.usageMetadata.promptTokenCount, 1000);
      let words = "";
      for await (const piece of await client.models.generateContentStream({ model, contents: fresh("And you?") })) words += piece.text ?? "";
      assert.match(words, /^Heard: And you\?/);
      const config = { responseMimeType: "application/json", responseJsonSchema: z.toJSONSchema(person) };
      const parsed = await client.models.generateContent({ model, contents: fresh("Anna is 31."), config });
      assert.deepEqual(JSON.parse(parsed.text), ANNA);
      const parts = [{ text: fresh("What is it?") }, { inlineData: { mimeType: "image/png", data: DOT } }];
      assert.equal((await client.models.generateContent({ model, contents: [{ role: "user", parts }] })).text, SEEN);
    });
    test(`${provider}: tools`, async () => {
      const config = { tools: [{ functionDeclarations: [{ name: "weather", description: "The weather.", parametersJsonSchema: city }] }] };
      const contents = [{ role: "user", parts: [{ text: fresh("What is the weather in Oslo?") }] }];
      const turn = await client.models.generateContent({ model, contents, config });
      const [call] = turn.functionCalls;
      assert.deepEqual([call.name, call.args], ["weather", { city: "Oslo" }]);
      const result = { functionResponse: { id: call.id, name: call.name, response: { result: "Rain" } } };
      contents.push(turn.candidates[0].content, { role: "user", parts: [result] });
      assert.equal((await client.models.generateContent({ model, contents, config })).text, "Heard: Rain");
    });
    test(`${provider}: errors`, async () => {
      const ask = (marker) => client.models.generateContent({ model, contents: fresh(`Do you work? ${marker}`) });
      for (const status of [400, 404, 429]) {
        await assert.rejects(ask(`#status-${status}`), (error) => error instanceof ApiError && error.status === status);
      }
    });
  }
});

describe("ai", () => {
  const openai = createOpenAI({ baseURL: `${url}/v1`, apiKey: key });
  const kinds = {
    "openai-compatible": createOpenAICompatible({ name: "askonce", baseURL: `${url}/v1`, apiKey: key, supportsStructuredOutputs: true }),
    "openai chat": (model) => openai.chat(model),
    "openai responses": (model) => openai.responses(model),
    anthropic: createAnthropic({ baseURL: `${url}/anthropic/v1`, apiKey: key }),
    google: createGoogleGenerativeAI({ baseURL: `${url}/genai/v1beta`, apiKey: key }),
  };
  for (const [kind, create] of Object.entries(kinds)) {
    for (const provider of PROVIDERS) {
      const model = create(`any-${provider}`);
      const base = { model, maxRetries: 0 };
      test(`${kind} at ${provider}: text, stream, object, picture`, async () => {
        const question = fresh("How are you?");
        const { text, finishReason } = await generateText({ ...base, prompt: question });
        assert.deepEqual([text, finishReason], [`Heard: ${question}`, "stop"]);
        assert.match(await streamText({ ...base, prompt: fresh("And you?") }).text, /^Heard: And you\?/);
        const { output } = await generateText({ ...base, prompt: fresh("Anna is 31."), output: Output.object({ schema: person }) });
        assert.deepEqual(output, ANNA);
        const content = [{ type: "text", text: fresh("What is it?") }, { type: "image", image: Buffer.from(DOT, "base64"), mediaType: "image/png" }];
        assert.equal((await generateText({ ...base, messages: [{ role: "user", content }] })).text, SEEN);
      });
      // Cohere speaks before it calls, and this client then names that text by its id alone.
      if (kind !== "openai responses" || provider !== "cohere") test(`${kind} at ${provider}: tools`, async () => {
        const weather = tool({
          description: "The weather.",
          inputSchema: z.object({ city: z.string() }),
          execute: async ({ city }) => `Rain in ${city}`,
        });
        const request = { ...base, tools: { weather }, stopWhen: stepCountIs(3) };
        const { text } = await generateText({ ...request, prompt: fresh("What is the weather in Oslo?") });
        assert.match(text, /^Heard: .*Rain in Oslo/);
        assert.match(await streamText({ ...request, prompt: fresh("What is the weather in Rome?") }).text, /^Heard: .*Rain in Rome/);
      });
      test(`${kind} at ${provider}: errors`, async () => {
        const ask = generateText({ ...base, prompt: fresh("Do you work? #status-400") });
        await assert.rejects(ask, (error) => APICallError.isInstance(error) && error.statusCode === 400 && error.message.includes(TROUBLE));
      });
    }
  }
  test("embeddings", async () => {
    const embedding = kinds["openai-compatible"].embeddingModel("any-openai-embedding");
    const { embeddings } = await embedMany({ model: embedding, values: ["one", "three"] });
    assert.deepEqual(embeddings, [[1, 0, 3], [1, 0, 5]]);
  });
});
