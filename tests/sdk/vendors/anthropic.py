"""Anthropic messages: https://docs.anthropic.com/en/api/messages and /en/docs/build-with-claude/streaming"""

from . import script, sse
from .script import Asked

STREAM = "text/event-stream; charset=utf-8"
STOPS = {"end": "end_turn", "length": "max_tokens", "tools": "tool_use", "refusal": "refusal"}
ERRORS = {400: "invalid_request_error", 401: "authentication_error", 403: "permission_error", 404: "not_found_error",
          413: "request_too_large", 429: "rate_limit_error", 504: "timeout_error", 529: "overloaded_error"}


def read(path, body):
    assert body["max_tokens"] > 0, "the wire wants it"
    asked = Asked(body.get("model", ""), bool(body.get("stream")))
    asked.thinking = (body.get("thinking") or {}).get("type") in ("enabled", "adaptive")
    asked.tools = [tool["name"] for tool in body.get("tools") or ()]
    choice = body.get("tool_choice") or {}
    asked.forced = {"tool": choice.get("name", ""), "any": (asked.tools or [""])[0]}.get(choice.get("type"), "")
    form = (body.get("output_config") or {}).get("format") or body.get("output_format") or {}
    asked.schema = form.get("schema")
    # The operator may speak in the middle, too.
    messages = [message for message in body["messages"] if message["role"] != "system"]
    told = [text_of(message["content"]) for message in body["messages"] if message["role"] == "system"]
    asked.system = "\n".join(filter(None, [text_of(body.get("system")), *told]))
    roles = [message["role"] for message in messages]
    assert roles[0] == "user" and all(one != next for one, next in zip(roles, roles[1:])), f"turns do not alternate: {roles}"
    for message in messages:
        for block in message["content"] if isinstance(message["content"], list) else ():
            if block["type"] == "thinking":
                asked.signatures.append(block["signature"])
    last = messages[-1]["content"]
    if isinstance(last, list):
        asked.results = [text_of(block.get("content")) for block in last if block["type"] == "tool_result"]
        asked.pictures = [picture(block["source"]) for block in last if block["type"] == "image"]
    asked.question = text_of(last) or next((text for text in map(said, reversed(messages)) if text), "")
    return asked


def said(message):
    return text_of(message["content"]) if message["role"] == "user" else ""


def text_of(content):
    if isinstance(content, list):
        return " ".join(block["text"] for block in content if block["type"] == "text")
    return content or ""


def picture(source):
    return (source["media_type"], source["data"]) if source["type"] == "base64" else ("", source["url"])


def usage(turn, output=script.OUTPUT):
    return {"input_tokens": script.INPUT - script.CACHED, "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": script.CACHED, "output_tokens": output, "service_tier": "standard"}


def blocks_of(turn):
    if turn.thought:
        yield {"type": "thinking", "thinking": turn.thought, "signature": script.SIGNATURE}
    if turn.text:
        yield {"type": "text", "text": turn.text}
    for call in turn.calls:
        yield {"type": "tool_use", "id": call.id, "name": call.name, "input": call.arguments}


def message(asked, content, stop, used):
    return {"id": "msg_scripted", "type": "message", "role": "assistant", "model": asked.model, "content": content,
            "stop_reason": stop, "stop_sequence": None, "usage": used}


def whole(asked, turn):
    return message(asked, list(blocks_of(turn)), STOPS[turn.stop], usage(turn))


def events(asked, turn):
    yield sse.typed({"type": "message_start", "message": message(asked, [], None, usage(turn, 1))})
    yield sse.typed({"type": "ping"})
    for at, block in enumerate(blocks_of(turn)):
        empty = {"thinking": {"thinking": "", "signature": ""}, "text": {"text": ""}, "tool_use": {"input": {}}}[block["type"]]
        yield sse.typed({"type": "content_block_start", "index": at, "content_block": {**block, **empty}})
        for delta in deltas_of(turn, block):
            yield sse.typed({"type": "content_block_delta", "index": at, "delta": delta})
        yield sse.typed({"type": "content_block_stop", "index": at})
    counted = {key: value for key, value in usage(turn).items() if key.endswith("tokens")}
    ending = {"stop_reason": STOPS[turn.stop], "stop_sequence": None}
    yield sse.typed({"type": "message_delta", "delta": ending, "usage": counted})
    yield sse.typed({"type": "message_stop"})


def deltas_of(turn, block):
    if block["type"] == "thinking":
        yield {"type": "thinking_delta", "thinking": block["thinking"]}
        yield {"type": "signature_delta", "signature": block["signature"]}
    elif block["type"] == "text":
        for word in turn.words():
            yield {"type": "text_delta", "text": word}
    else:
        text = next(call.text for call in turn.calls if call.id == block["id"])
        for part in ("", text[:5], text[5:]):
            yield {"type": "input_json_delta", "partial_json": part}


def failure(message):
    return sse.typed({"type": "error", "error": {"type": "overloaded_error", "message": message}})


def error(status, message):
    kind = ERRORS.get(status, "invalid_request_error" if status < 500 else "api_error")
    return {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_scripted"}, {}


ASIDE = {"count_tokens": lambda body: {"input_tokens": 42}}
