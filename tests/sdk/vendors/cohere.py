"""Cohere v2: https://docs.cohere.com/v2/reference/chat and chat-stream, embed, rerank"""

from . import script, sse
from .script import Asked

STREAM = "text/event-stream"
STOPS = {"end": "COMPLETE", "length": "MAX_TOKENS", "tools": "TOOL_CALL", "refusal": "COMPLETE"}


def read(path, body):
    asked = Asked(body["model"], bool(body.get("stream")))
    asked.thinking = (body.get("thinking") or {}).get("type") == "enabled"
    asked.tools = [tool["function"]["name"] for tool in body.get("tools") or ()]
    asked.forced = asked.tools[0] if body.get("tool_choice") == "REQUIRED" else ""
    form = body.get("response_format") or {}
    if form.get("type") == "json_object":
        asked.schema = form.get("json_schema") or form.get("schema")
    messages = body["messages"]
    asked.system = "\n".join(text_of(one["content"]) for one in messages if one["role"] == "system")
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
        return " ".join(part["text"] if part["type"] == "text" else result_of(part) for part in content if part["type"] != "image_url")
    return content or ""


def result_of(part):
    data = part["document"]["data"] if part["type"] == "document" else ""
    return data if isinstance(data, str) else next(iter(data.values()), "")


def usage():
    return {"billed_units": {"input_tokens": script.INPUT - script.CACHED, "output_tokens": script.OUTPUT},
            "tokens": {"input_tokens": script.INPUT, "output_tokens": script.OUTPUT}, "cached_tokens": script.CACHED}


def tool_call(call):
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.text}}


def whole(asked, turn):
    message = {"role": "assistant"}
    content = [{"type": "thinking", "thinking": turn.thought}] if turn.thought and not turn.calls else []
    if turn.text:
        content.append({"type": "text", "text": turn.text})
    if content:
        message["content"] = content
    if turn.calls:
        message["tool_plan"] = turn.thought or "I will look that up."
        message["tool_calls"] = [tool_call(call) for call in turn.calls]
    return {"id": "c0-scripted", "message": message, "finish_reason": STOPS[turn.stop], "usage": usage()}


def events(asked, turn):
    start = {"message": {"role": "assistant", "content": [], "tool_plan": "", "tool_calls": [], "citations": []}}
    yield sse.typed({"type": "message-start", "id": "c0-scripted", "delta": start})
    if turn.calls:
        yield from call_events(turn)
    else:
        at = 0
        if turn.thought:
            yield from content_events(at, "thinking", [turn.thought])
            at += 1
        yield from content_events(at, "text", turn.words())
    yield sse.typed({"type": "message-end", "delta": {"finish_reason": STOPS[turn.stop], "usage": usage()}})


def content_events(at, kind, pieces):
    yield sse.typed({"type": "content-start", "index": at, "delta": {"message": {"content": {"type": kind, kind: ""}}}})
    for piece in pieces:
        yield sse.typed({"type": "content-delta", "index": at, "delta": {"message": {"content": {kind: piece}}}})
    yield sse.typed({"type": "content-end", "index": at})


def call_events(turn):
    for word in (turn.thought or "I will look that up.").split(" "):
        yield sse.typed({"type": "tool-plan-delta", "delta": {"message": {"tool_plan": word if word in ("I", "It") else " " + word}}})
    for at, call in enumerate(turn.calls):
        opening = tool_call(call)
        opening["function"]["arguments"] = ""
        yield sse.typed({"type": "tool-call-start", "index": at, "delta": {"message": {"tool_calls": opening}}})
        for part in (call.text[:5], call.text[5:]):
            delta = {"message": {"tool_calls": {"function": {"arguments": part}}}}
            yield sse.typed({"type": "tool-call-delta", "index": at, "delta": delta})
        yield sse.typed({"type": "tool-call-end", "index": at})


def failure(message):
    return sse.typed({"type": "message-end", "delta": {"finish_reason": "ERROR", "error": message, "usage": usage()}})


def error(status, message):
    return {"id": "scripted", "message": message}, {}


def embed(body):
    texts = body.get("texts") or [part["text"] for one in body["inputs"] for part in one["content"] if part["type"] == "text"]
    floats = [[1.0, 0.0, float(len(text))] for text in texts]
    return {"id": "scripted", "texts": texts, "embeddings": {"float": floats}, "response_type": "embeddings_by_type",
            "meta": {"api_version": {"version": "2"}, "billed_units": {"input_tokens": 7}}}


def rerank(body):
    scores = sorted(((len(text), at) for at, text in enumerate(body["documents"])), reverse=True)[: body.get("top_n")]
    results = [{"index": at, "relevance_score": size / 1000} for size, at in scores]
    return {"id": "scripted", "results": results, "meta": {"api_version": {"version": "2"}, "billed_units": {"search_units": 1}}}


ASIDE = {"embed": embed, "rerank": rerank}
