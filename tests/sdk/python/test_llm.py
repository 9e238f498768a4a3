"""The official client through askonce to a real language model."""

import math

from pydantic import BaseModel


class Person(BaseModel):
    name: str
    age: int


def test_chat(llm):
    heard = llm.ask("How do I reset my password?")
    answer = heard.answer
    assert answer.object == "chat.completion" and answer.model == "smollm2" and answer.id
    assert answer.choices[0].message.role == "assistant" and answer.choices[0].finish_reason == "stop"
    assert heard.words.strip()
    assert answer.usage.prompt_tokens > 0 and answer.usage.completion_tokens > 0
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens
    # A field that OpenAI does not know: the provider's own words pass as they are.
    assert answer.timings["predicted_n"] == answer.usage.completion_tokens
    assert heard.outcome == "miss" and heard.headers["x-askonce-provider"] == "llm"
    assert heard.headers["x-request-id"]


def test_the_callers_request_id_comes_back(llm):
    heard = llm.ask("Say hello.", headers={"x-request-id": "story-7"}, max_tokens=2)
    assert heard.headers["x-request-id"] == "story-7" and heard.answer._request_id == "story-7"


def test_stream(llm):
    heard = llm.stream("How do I boil an egg?")
    chunks = heard.answer
    assert heard.headers["content-type"].startswith("text/event-stream")
    assert len(chunks) > 3, "an answer of several words comes in several pieces"
    assert len({chunk.id for chunk in chunks}) == 1
    assert [choice.finish_reason for chunk in chunks for choice in chunk.choices if choice.finish_reason] == ["stop"]
    # The gateway asks for usage for its own books; the caller did not.
    assert all(chunk.usage is None and chunk.choices for chunk in chunks)


def test_stream_with_usage(llm):
    *_, last = llm.stream("How do I boil an egg?", stream_options={"include_usage": True}).answer
    assert last.choices == []
    assert last.usage.prompt_tokens > 0 and last.usage.completion_tokens > 0


def test_parse_into_a_type(llm):
    ask = lambda: llm.client.chat.completions.parse(
        model="smollm2",
        seed=llm.settings["seed"],
        temperature=0,
        max_tokens=100,
        messages=[{"role": "user", "content": "Anna is 31 years old. Extract her name and age."}],
        response_format=Person,
    )
    first, second = ask(), ask()
    assert first.choices[0].message.parsed == Person(name="Anna", age=31)
    assert second.choices[0].message.parsed == first.choices[0].message.parsed
    assert second.id != first.id


def test_json_schema_stream_is_json(llm):
    schema = {"type": "object", "properties": {"ok": {"type": "boolean"}}, "required": ["ok"], "additionalProperties": False}
    form = {"type": "json_schema", "json_schema": {"name": "check", "strict": True, "schema": schema}}
    heard = llm.stream("Is water wet?", response_format=form, stop=None)
    assert heard.words.replace(" ", "").replace("\n", "") in ('{"ok":true}', '{"ok":false}')


def test_json_object(llm):
    heard = llm.ask("Write an empty JSON object.", response_format={"type": "json_object"}, stop=None, max_tokens=40)
    assert heard.words.lstrip().startswith("{")


def test_logprobs(llm):
    question, more = "How do I boil an egg?", {"logprobs": True, "top_logprobs": 2}
    first, second = llm.ask(question, **more), llm.ask(question, **more)
    tokens = first.answer.choices[0].logprobs.content
    assert tokens and all(token.logprob <= 0 and len(token.top_logprobs) == 2 for token in tokens)
    assert math.isclose(max(top.logprob for top in tokens[0].top_logprobs), tokens[0].logprob), "greedy takes the best"
    assert second.outcome == "hit" and second.answer.choices[0].logprobs == first.answer.choices[0].logprobs
    assert llm.ask(question).outcome == "miss", "an answer without logprobs is another answer"


def test_several_choices(llm):
    first, second = llm.ask("How do I boil an egg?", n=2), llm.ask("How do I boil an egg?", n=2)
    assert [choice.index for choice in first.answer.choices] == [0, 1]
    assert second.outcome == "hit" and second.answer.choices == first.answer.choices


def test_completions(llm):
    ask = lambda **more: llm.client.completions.with_raw_response.create(
        model="smollm2", prompt="One, two, three,", temperature=0, max_tokens=40, stop=["five"], seed=llm.settings["seed"], **more
    )
    first, second = ask(), ask()
    assert first.parse().object == "text_completion" and first.parse().choices[0].text.strip()
    assert second.headers["x-askonce-cache"] == "hit" and second.headers["x-askonce-tier"] == "exact"
    assert second.parse().choices == first.parse().choices
    streamed = ask(stream=True)
    pieces = [choice.text for chunk in streamed.parse() for choice in chunk.choices]
    assert streamed.headers["x-askonce-cache"] == "hit" and "".join(pieces) == first.parse().choices[0].text


def test_models(client):
    names = [model.id for model in client.models.list()]
    assert {"smollm2", "scripted", "priced", "falls-back"} <= set(names) and len(names) == len(set(names))
    assert client.models.retrieve("smollm2").id == "smollm2"
