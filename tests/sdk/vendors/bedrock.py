"""AWS Bedrock: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html, and its event stream,
https://docs.aws.amazon.com/AmazonS3/latest/API/RESTSelectObjectAppendix.html#RESTSelectObjectAppendix-Protocol"""

import json
import struct
import urllib.parse
import zlib

from . import script
from .script import Asked

STREAM = "application/vnd.amazon.eventstream"
STOPS = {"end": "end_turn", "length": "max_tokens", "tools": "tool_use", "refusal": "content_filtered"}
ERRORS = {400: "ValidationException", 401: "UnrecognizedClientException", 403: "AccessDeniedException",
          404: "ResourceNotFoundException", 408: "ModelTimeoutException", 424: "ModelErrorException",
          429: "ThrottlingException", 500: "InternalServerException", 503: "ServiceUnavailableException"}


def read(path, body):
    _, _, rest = path.partition("/model/")
    model, _, method = rest.rpartition("/")
    asked = Asked(urllib.parse.unquote(model), method == "converse-stream")
    assert method in ("converse", "converse-stream"), method
    more = body.get("additionalModelRequestFields") or {}
    asked.thinking = (more.get("thinking") or {}).get("type") in ("enabled", "adaptive")
    tools = body.get("toolConfig") or {}
    asked.tools = [tool["toolSpec"]["name"] for tool in tools.get("tools") or () if "toolSpec" in tool]
    choice = tools.get("toolChoice") or {}
    asked.forced = choice["tool"]["name"] if "tool" in choice else asked.tools[0] if "any" in choice else ""
    form = (body.get("outputConfig") or {}).get("textFormat") or {}
    if form:
        asked.schema = script.schema_of(form["structure"]["jsonSchema"]["schema"])
    asked.system = text_of(body.get("system") or ())
    roles = [message["role"] for message in body["messages"]]
    assert roles[0] == "user" and all(one != next for one, next in zip(roles, roles[1:])), f"turns do not alternate: {roles}"
    blocks = [block for message in body["messages"] for block in message["content"]]
    thoughts = [block["reasoningContent"]["reasoningText"] for block in blocks if "reasoningText" in block.get("reasoningContent", ())]
    asked.signatures = [thought["signature"] for thought in thoughts if "signature" in thought]
    last = body["messages"][-1]["content"]
    asked.results = [result_of(block["toolResult"]) for block in last if "toolResult" in block]
    asked.pictures = [("image/" + block["image"]["format"], block["image"]["source"]["bytes"]) for block in last if "image" in block]
    asked.question = text_of(last) or next((text for text in map(said, reversed(body["messages"])) if text), "")
    return asked


def said(message):
    return text_of(message["content"]) if message["role"] == "user" else ""


def text_of(blocks):
    return " ".join(block["text"] for block in blocks if "text" in block)


def result_of(result):
    return " ".join(part["text"] if "text" in part else json.dumps(part.get("json")) for part in result["content"])


def usage():
    return {"inputTokens": script.INPUT - script.CACHED, "outputTokens": script.OUTPUT,
            "totalTokens": script.INPUT + script.OUTPUT, "cacheReadInputTokens": script.CACHED, "cacheWriteInputTokens": 0}


def blocks_of(turn):
    if turn.thought:
        yield {"reasoningContent": {"reasoningText": {"text": turn.thought, "signature": script.SIGNATURE}}}
    if turn.text:
        yield {"text": turn.text}
    for call in turn.calls:
        yield {"toolUse": {"toolUseId": call.id, "name": call.name, "input": call.arguments}}


def whole(asked, turn):
    return {"output": {"message": {"role": "assistant", "content": list(blocks_of(turn))}}, "stopReason": STOPS[turn.stop],
            "usage": usage(), "metrics": {"latencyMs": 7}}


def events(asked, turn):
    yield frame("messageStart", {"role": "assistant"})
    for at, block in enumerate(blocks_of(turn)):
        if "toolUse" in block:
            start = {"toolUse": {"toolUseId": block["toolUse"]["toolUseId"], "name": block["toolUse"]["name"]}}
            yield frame("contentBlockStart", {"start": start, "contentBlockIndex": at})
        for delta in deltas_of(turn, block):
            yield frame("contentBlockDelta", {"delta": delta, "contentBlockIndex": at})
        yield frame("contentBlockStop", {"contentBlockIndex": at})
    yield frame("messageStop", {"stopReason": STOPS[turn.stop]})
    yield frame("metadata", {"usage": usage(), "metrics": {"latencyMs": 7}})


def deltas_of(turn, block):
    if "reasoningContent" in block:
        yield {"reasoningContent": {"text": turn.thought}}
        yield {"reasoningContent": {"signature": script.SIGNATURE}}
    elif "text" in block:
        for word in turn.words():
            yield {"text": word}
    else:
        text = json.dumps(block["toolUse"]["input"])
        for part in (text[:5], text[5:]):
            yield {"toolUse": {"input": part}}


def frame(kind, payload, message_type="event"):
    """A frame of the event stream: two lengths, their checksum, headers, the payload, the checksum of all."""
    name = ":event-type" if message_type == "event" else ":exception-type"
    headers = b"".join(header(*pair) for pair in ((name, kind), (":content-type", "application/json"), (":message-type", message_type)))
    text = json.dumps(payload, ensure_ascii=False).encode()
    prelude = struct.pack(">II", 16 + len(headers) + len(text), len(headers))
    body = prelude + struct.pack(">I", zlib.crc32(prelude)) + headers + text
    return body + struct.pack(">I", zlib.crc32(body))


def header(name, value):
    """A header whose value is a string, which is type 7."""
    name, value = name.encode(), value.encode()
    return struct.pack(">B", len(name)) + name + struct.pack(">BH", 7, len(value)) + value


def failure(message):
    return frame("modelStreamErrorException", {"message": message, "originalStatusCode": 500, "originalMessage": message}, "exception")


def error(status, message):
    word = ERRORS.get(status, "ValidationException" if status < 500 else "InternalServerException")
    return {"message": message}, {"x-amzn-ErrorType": f"{word}:http://internal.amazon.com/coral/com.amazon.bedrock/"}
