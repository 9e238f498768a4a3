"""OpenAI chat completions: https://platform.openai.com/docs/api-reference/chat

Thoughts come in `reasoning_content`, as most servers of this wire tell them. Embeddings have three dimensions.
"""

from . import script, sse
from .script import Asked

STREAM = "text/event-stream"
STOPS = {"end": "stop", "length": "length", "tools": "tool_calls", "refusal": "content_filter"}


def read(path, body):
    asked = Asked(body.get("model") or path.split("/")[-3], bool(body.get("stream")))
    asked.thinking = body.get("reasoning_effort") not in (None, "none")
    asked.tools = [tool["function"]["name"] for tool in body.get("tools") or ()]
    choice = body.get("tool_choice")
    if asked.tools and choice not in (None, "auto", "none"):
        asked.forced = asked.tools[0] if isinstance(choice, str) else choice["function"]["name"]
    form = body.get("response_format") or {}
    if form.get("type") == "json_schema":
        asked.schema = form["json_schema"]["schema"]
    asked.usage_wanted = bool((body.get("stream_options") or {}).get("include_usage"))
    messages = body["messages"]
    asked.system = "\n".join(text_of(one["content"]) for one in messages if one["role"] in ("system", "developer"))
    for message in reversed(messages):
        if message["role"] == "tool":
            asked.results.insert(0, text_of(message["content"]))
        elif message["role"] == "user":
            asked.question = text_of(message["content"])
            parts = message["content"] if isinstance(message["content"], list) else []
            asked.pictures = [script.data_url(part["image_url"]["url"]) for part in parts if part["type"] == "image_url"]
            break
    if messages[-1]["role"] != "tool":
        asked.results = []
    return asked


def text_of(content):
    if isinstance(content, list):
        return " ".join(part["text"] for part in content if part["type"] == "text")
    return content or ""


def usage(turn):
    return {"prompt_tokens": script.INPUT, "completion_tokens": script.OUTPUT, "total_tokens": script.INPUT + script.OUTPUT,
            "prompt_tokens_details": {"cached_tokens": script.CACHED, "audio_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": turn.reasoning, "audio_tokens": 0}}


def head(asked, kind):
    return {"id": "chatcmpl-scripted", "object": kind, "created": 1700000000, "model": asked.model}


def tool_call(call, **more):
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.text}, **more}


def whole(asked, turn):
    refused = turn.stop == "refusal"
    message = {"role": "assistant", "content": None if refused else turn.text or None, "refusal": turn.text if refused else None}
    if turn.thought:
        message["reasoning_content"] = turn.thought
    if turn.calls:
        message["tool_calls"] = [tool_call(call) for call in turn.calls]
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": STOPS[turn.stop]}
    return {**head(asked, "chat.completion"), "choices": [choice], "usage": usage(turn)}


def events(asked, turn):
    top = head(asked, "chat.completion.chunk")

    def piece(delta, ending=None):
        return sse.event({**top, "choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": ending}]})

    yield piece({"role": "assistant", "content": None if turn.calls else ""})
    for word in turn.thought.split(" ") if turn.thought else ():
        yield piece({"reasoning_content": word if word == "It" else " " + word})
    for word in turn.words():
        yield piece({"refusal" if turn.stop == "refusal" else "content": word})
    for at, call in enumerate(turn.calls):
        opening = tool_call(call, index=at)
        if asked.model.startswith("mistral"):
            # Mistral tells a call at once, and its client does not read pieces of one.
            yield piece({"tool_calls": [opening]})
            continue
        opening["function"]["arguments"] = ""
        yield piece({"tool_calls": [opening]})
        for part in (call.text[:5], call.text[5:]):
            yield piece({"tool_calls": [{"index": at, "function": {"arguments": part}}]})
    yield piece({}, STOPS[turn.stop])
    if asked.usage_wanted:
        yield sse.event({**top, "choices": [], "usage": usage(turn)})
    yield b"data: [DONE]\n\n"


def failure(message):
    return sse.event({"error": {"message": message, "type": "server_error", "param": None, "code": "scripted_trouble"}})


def error(status, message):
    kinds = {429: "rate_limit_error", 401: "authentication_error", 403: "permission_error", 404: "not_found_error"}
    kind = kinds.get(status, "invalid_request_error" if status < 500 else "server_error")
    return {"error": {"message": message, "type": kind, "param": None, "code": "scripted_trouble"}}, {"Retry-After": "0"}


def embeddings(body):
    texts = body["input"] if isinstance(body["input"], list) else [body["input"]]
    data = [{"object": "embedding", "index": at, "embedding": [1.0, 0.0, float(len(text))]} for at, text in enumerate(texts)]
    return {"object": "list", "model": body.get("model", ""), "data": data, "usage": {"prompt_tokens": 7, "total_tokens": 7}}


ASIDE = {"embeddings": embeddings}
