"""Google Gemini: https://ai.google.dev/api/generate-content (Vertex AI speaks the same)"""

import re

from . import script, sse
from .script import Asked

STREAM = "text/event-stream"
STOPS = {"end": "STOP", "length": "MAX_TOKENS", "tools": "STOP", "refusal": "SAFETY"}
ERRORS = {400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "NOT_FOUND", 429: "RESOURCE_EXHAUSTED",
          500: "INTERNAL", 503: "UNAVAILABLE", 504: "DEADLINE_EXCEEDED"}


# Below these, names are the user's own.
FOREIGN = {"args", "response", "responseSchema", "responseJsonSchema", "parameters", "parametersJsonSchema"}


def camel(value):
    """The vendor reads names of both forms, `mimeType` and `mime_type`, and its SDKs send both."""
    if isinstance(value, list):
        return [camel(one) for one in value]
    if not isinstance(value, dict):
        return value
    named = {re.sub("_([a-z])", lambda letter: letter[1].upper(), name): one for name, one in value.items()}
    return {name: one if name in FOREIGN else camel(one) for name, one in named.items()}


def read(path, body):
    body = camel(body)
    model, _, method = path.rpartition("/")[2].partition(":")
    asked = Asked(model, method == "streamGenerateContent")
    config = body.get("generationConfig") or {}
    asked.thinking = bool((config.get("thinkingConfig") or {}).get("includeThoughts"))
    asked.tools = [one["name"] for tool in body.get("tools") or () for one in tool.get("functionDeclarations") or ()]
    calling = (body.get("toolConfig") or {}).get("functionCallingConfig") or {}
    if calling.get("mode") == "ANY":
        asked.forced = (calling.get("allowedFunctionNames") or asked.tools)[0]
    asked.schema = config.get("responseJsonSchema") or config.get("responseSchema")
    assert not asked.schema or config.get("responseMimeType") == "application/json"
    asked.system = text_of((body.get("systemInstruction") or {}).get("parts") or ())
    assert all(content.get("role", "user") in ("user", "model") for content in body["contents"])
    parts = [part for content in body["contents"] for part in content["parts"]]
    asked.signatures = [part["thoughtSignature"] for part in parts if "thoughtSignature" in part]
    last = body["contents"][-1]["parts"]
    asked.results = [result_of(part["functionResponse"]) for part in last if "functionResponse" in part]
    asked.pictures = [picture(part) for part in last if "inlineData" in part or "fileData" in part]
    asked.question = text_of(last) or next((text for text in map(said, reversed(body["contents"])) if text), "")
    return asked


def said(content):
    return text_of(content["parts"]) if content.get("role", "user") == "user" else ""


def text_of(parts):
    return " ".join(part["text"] for part in parts if "text" in part)


def result_of(answer):
    response = answer["response"]
    return next((str(response[key]) for key in ("result", "output", "content", "error") if key in response), str(response))


def picture(part):
    if "inlineData" in part:
        # Its own SDK writes the URL's alphabet of base64; the vendor reads both.
        return part["inlineData"]["mimeType"], part["inlineData"]["data"].replace("-", "+").replace("_", "/")
    return "", part["fileData"]["fileUri"]


def usage(turn):
    used = {"promptTokenCount": script.INPUT, "cachedContentTokenCount": script.CACHED,
            "candidatesTokenCount": script.OUTPUT - turn.reasoning, "totalTokenCount": script.INPUT + script.OUTPUT}
    return {**used, "thoughtsTokenCount": turn.reasoning} if turn.reasoning else used


def call_parts(turn):
    """Calls; the first has the signature of the thoughts."""
    for at, call in enumerate(turn.calls):
        part = {"functionCall": {"name": call.name, "args": call.arguments}}
        yield {**part, "thoughtSignature": script.SIGNATURE} if turn.thought and at == 0 else part


def reply(asked, turn, parts, ending=None):
    candidate = {"content": {"parts": parts, "role": "model"}, "index": 0}
    if ending:
        candidate["finishReason"] = ending
    return {"candidates": [candidate], "usageMetadata": usage(turn), "modelVersion": asked.model, "responseId": "scripted"}


def whole(asked, turn):
    parts = [{"text": turn.thought, "thought": True}] if turn.thought else []
    if turn.text:
        signed = {"thoughtSignature": script.SIGNATURE} if turn.thought else {}
        parts.append({"text": turn.text, **signed})
    parts += call_parts(turn)
    return reply(asked, turn, parts, STOPS[turn.stop])


def events(asked, turn):
    if turn.thought:
        yield sse.event(reply(asked, turn, [{"text": turn.thought, "thought": True}]))
    for word in turn.words():
        yield sse.event(reply(asked, turn, [{"text": word}]))
    for part in call_parts(turn):
        yield sse.event(reply(asked, turn, [part]))
    yield sse.event(reply(asked, turn, [{"text": ""}], STOPS[turn.stop]))


def failure(message):
    return sse.event(error(503, message)[0])


def error(status, message):
    word = ERRORS.get(status, "FAILED_PRECONDITION" if status < 500 else "INTERNAL")
    return {"error": {"code": status, "message": message, "status": word, "details": []}}, {}


def batch_embeddings(body):
    texts = [text_of(one["content"]["parts"]) for one in body["requests"]]
    return {"embeddings": [{"values": [1.0, 0.0, float(len(text))]} for text in texts]}


def embedding(body):
    return {"embedding": {"values": [1.0, 0.0, float(len(text_of(body["content"]["parts"])))]}}


def count(body):
    return {"totalTokens": 42}


ASIDE = {"embedContent": embedding, "batchEmbedContents": batch_embeddings, "countTokens": count}
