"""Ollama's own wire: https://docs.ollama.com/api/chat, /api/streaming, /api/errors, /api/usage, /api/embed, /api/tags

A stream is lines of JSON, and comes unless it is declined. No tool can be forced and no answer refused in it. A picture is its
base64 alone: its bytes say what it is.
"""

import base64
import json

from . import script
from .script import Asked

STREAM = "application/x-ndjson"
STOPS = {"end": "stop", "length": "length", "tools": "stop", "refusal": "stop"}
WHEN = "2026-11-22T10:00:00.123456Z"
MODELS = ("qwen3:8b", "embeddinggemma:latest")
PICTURES = {b"\x89PNG": "image/png", b"\xff\xd8\xff": "image/jpeg", b"RIFF": "image/webp"}


def read(path, body):
    assert "tool_choice" not in body, "the wire has no word for it"
    asked = Asked(body["model"], body.get("stream", True))
    asked.thinking = body.get("think") not in (None, False)
    asked.tools = [tool["function"]["name"] for tool in body.get("tools") or ()]
    form = body.get("format")
    assert form in (None, "", "json") or isinstance(form, dict), f"a form of no kind: {form!r}"
    asked.schema = form if isinstance(form, dict) else None
    messages = body.get("messages") or []
    asked.loads = not messages
    for message in messages:
        assert message["role"] in ("system", "user", "assistant", "tool"), f"nobody is called {message['role']}"
        assert isinstance(message.get("content", ""), str), "words are one text"
    asked.system = "\n".join(message["content"] for message in messages if message["role"] == "system")
    asked.results = results_of(messages)
    for message in reversed(messages):
        if message["role"] == "user":
            asked.question = message.get("content", "")
            asked.pictures = [(type_of(data), data) for data in message.get("images") or ()]
            break
    return asked


def results_of(messages):
    """The results at the end, each for a call of the turn before them."""
    results = []
    while messages and messages[-1]["role"] == "tool":
        *messages, result = messages
        results.insert(0, result)
    if not results:
        return []
    calls = messages[-1]["tool_calls"]
    assert all(isinstance(call["function"]["arguments"], dict) for call in calls), "arguments are an object"
    names = [sorted(result["tool_name"] for result in results), sorted(call["function"]["name"] for call in calls)]
    assert names[0] == names[1], f"results of other tools: {names}"
    ids = {result["tool_call_id"] for result in results if "tool_call_id" in result}
    assert ids <= {call.get("id") for call in calls}, f"results of other calls: {ids}"
    return [result["content"] for result in results]


def type_of(data):
    """The type of a picture, by how its bytes begin."""
    head = base64.b64decode(data, validate=True)[:4]
    kinds = [kind for magic, kind in PICTURES.items() if head.startswith(magic)]
    assert kinds, f"no picture begins with {head}"
    return kinds[0]


def top(asked):
    return {"model": asked.model, "created_at": WHEN}


def ending(turn):
    times = {"total_duration": 4_883_583_458, "load_duration": 1_334_875,
             "prompt_eval_duration": 342_546_000, "eval_duration": 4_535_599_000}
    counts = {"prompt_eval_count": script.INPUT, "prompt_eval_cached_count": script.CACHED, "eval_count": script.OUTPUT}
    return {"done": True, "done_reason": STOPS[turn.stop], **times, **counts}


def tool_call(at, call):
    return {"id": call.id, "function": {"index": at, "name": call.name, "arguments": call.arguments}}


def whole(asked, turn):
    if asked.loads:
        return loaded(asked)
    message = {"role": "assistant", "content": turn.text}
    if turn.thought:
        message["thinking"] = turn.thought
    if turn.calls:
        message["tool_calls"] = [tool_call(at, call) for at, call in enumerate(turn.calls)]
    return {**top(asked), "message": message, **ending(turn)}


def loaded(asked):
    """What a request without messages is for."""
    return {**top(asked), "message": {"role": "assistant", "content": ""}, "done": True, "done_reason": "load"}


def line(value):
    return json.dumps(value, ensure_ascii=False).encode() + b"\n"


def events(asked, turn):
    if asked.loads:
        yield line(loaded(asked))
        return

    def piece(**message):
        return line({**top(asked), "message": {"role": "assistant", "content": "", **message}, "done": False})

    for word in turn.thought.split(" ") if turn.thought else ():
        yield piece(thinking=word if word == "It" else " " + word)
    for word in turn.words():
        yield piece(content=word)
    # A call comes whole, each in a line of its own.
    for at, call in enumerate(turn.calls):
        yield piece(tool_calls=[tool_call(at, call)])
    yield line({**top(asked), "message": {"role": "assistant", "content": ""}, **ending(turn)})


def failure(message):
    return line({"error": message})


def error(status, message):
    return {"error": message}, {}


def embed(body):
    texts = body["input"] if isinstance(body["input"], list) else [body["input"]]
    return {"model": body["model"], "embeddings": [[1.0, 0.0, float(len(text))] for text in texts],
            "total_duration": 14_143_917, "load_duration": 1_019_500, "prompt_eval_count": 7}


ASIDE = {"embed": embed}


def tags():
    """The list of the models that are there."""
    details = {"parent_model": "", "format": "gguf", "family": "qwen3", "families": ["qwen3"], "parameter_size": "8.2B",
               "quantization_level": "Q4_K_M"}
    return {"models": [{"name": name, "model": name, "modified_at": WHEN, "size": 5_225_388_164, "digest": "5" * 64, "details": details}
                       for name in MODELS]}
