"""OpenAI responses: https://platform.openai.com/docs/api-reference/responses"""

from . import script, sse
from .script import Asked

STREAM = "text/event-stream"


def read(path, body):
    asked = Asked(body["model"], bool(body.get("stream")))
    asked.thinking = (body.get("reasoning") or {}).get("effort") not in (None, "none")
    asked.tools = [tool["name"] for tool in body.get("tools") or () if tool["type"] == "function"]
    choice = body.get("tool_choice")
    if asked.tools and choice not in (None, "auto", "none"):
        asked.forced = asked.tools[0] if isinstance(choice, str) else choice["name"]
    form = (body.get("text") or {}).get("format") or {}
    if form.get("type") == "json_schema":
        asked.schema = form["schema"]
    items = body["input"] if isinstance(body["input"], list) else [{"role": "user", "content": body["input"]}]
    told = [text_of(item["content"]) for item in items if item.get("role") in ("system", "developer")]
    asked.system = "\n".join(filter(None, [body.get("instructions"), *told]))
    asked.signatures = [item["encrypted_content"] for item in items if item.get("type") == "reasoning" and item.get("encrypted_content")]
    for item in reversed(items):
        if item.get("type") == "function_call_output":
            asked.results.insert(0, text_of(item["output"]))
        elif item.get("role") == "user":
            asked.question = text_of(item["content"])
            parts = item["content"] if isinstance(item["content"], list) else []
            asked.pictures = [script.data_url(part["image_url"]) for part in parts if part["type"] == "input_image"]
            break
    if items[-1].get("type") != "function_call_output":
        asked.results = []
    return asked


def text_of(content):
    if isinstance(content, list):
        return " ".join(part["text"] for part in content if part["type"] in ("input_text", "output_text"))
    return content or ""


def response(asked, turn, status, output, usage=None):
    """The object that begins and ends every stream, and is a whole answer."""
    cut = turn.stop == "length" and status == "incomplete"
    return {"id": "resp_scripted", "object": "response", "created_at": 1700000000, "status": status, "background": False,
            "error": None, "incomplete_details": {"reason": "max_output_tokens"} if cut else None, "instructions": None,
            "max_output_tokens": None, "model": asked.model, "output": output, "parallel_tool_calls": True,
            "previous_response_id": None, "reasoning": {"effort": None, "summary": None}, "store": True, "temperature": 1.0,
            "text": {"format": {"type": "text"}}, "tool_choice": "auto", "tools": [], "top_p": 1.0, "truncation": "disabled",
            "usage": usage, "user": None, "metadata": {}}


def usage(turn):
    return {"input_tokens": script.INPUT, "input_tokens_details": {"cached_tokens": script.CACHED},
            "output_tokens": script.OUTPUT, "output_tokens_details": {"reasoning_tokens": turn.reasoning},
            "total_tokens": script.INPUT + script.OUTPUT}


def items_of(turn):
    """The output items, whole."""
    status = "incomplete" if turn.stop == "length" else "completed"
    if turn.thought:
        summary = [{"type": "summary_text", "text": turn.thought}]
        yield {"id": "rs_1", "type": "reasoning", "summary": summary, "encrypted_content": script.SIGNATURE}
    if turn.text:
        part = {"type": "output_text", "text": turn.text, "annotations": [], "logprobs": []}
        if turn.stop == "refusal":
            part = {"type": "refusal", "refusal": turn.text}
        yield {"id": "msg_1", "type": "message", "status": status, "role": "assistant", "content": [part]}
    for call in turn.calls:
        yield {"id": f"fc_{call.id}", "type": "function_call", "status": "completed", "call_id": call.id, "name": call.name,
               "arguments": call.text}


def whole(asked, turn):
    status = "incomplete" if turn.stop == "length" else "completed"
    return response(asked, turn, status, list(items_of(turn)), usage(turn))


def events(asked, turn):
    for number, event in enumerate(unnumbered(asked, turn)):
        yield sse.typed({**event, "sequence_number": number})


def unnumbered(asked, turn):
    begun = response(asked, turn, "in_progress", [])
    yield {"type": "response.created", "response": begun}
    yield {"type": "response.in_progress", "response": begun}
    items = list(items_of(turn))
    for at, item in enumerate(items):
        yield from item_events(turn, at, item)
    end = response(asked, turn, "incomplete" if turn.stop == "length" else "completed", items, usage(turn))
    yield {"type": f"response.{end['status']}", "response": end}


def item_events(turn, at, item):
    where = {"item_id": item["id"], "output_index": at}
    if item["type"] == "reasoning":
        yield {"type": "response.output_item.added", "output_index": at, "item": {**item, "summary": [], "encrypted_content": ""}}
        where = {**where, "summary_index": 0}
        yield {"type": "response.reasoning_summary_part.added", **where, "part": {"type": "summary_text", "text": ""}}
        yield {"type": "response.reasoning_summary_text.delta", **where, "delta": turn.thought}
        yield {"type": "response.reasoning_summary_text.done", **where, "text": turn.thought}
        yield {"type": "response.reasoning_summary_part.done", **where, "part": item["summary"][0]}
    elif item["type"] == "message":
        part = item["content"][0]
        kind, key = ("refusal", "refusal") if part["type"] == "refusal" else ("output_text", "text")
        more = {"logprobs": []} if kind == "output_text" else {}
        yield {"type": "response.output_item.added", "output_index": at, "item": {**item, "status": "in_progress", "content": []}}
        where = {**where, "content_index": 0}
        yield {"type": "response.content_part.added", **where, "part": {**part, key: ""}}
        for word in turn.words():
            yield {"type": f"response.{kind}.delta", **where, "delta": word, **more}
        yield {"type": f"response.{kind}.done", **where, key: turn.text, **more}
        yield {"type": "response.content_part.done", **where, "part": part}
    else:
        yield {"type": "response.output_item.added", "output_index": at, "item": {**item, "status": "in_progress", "arguments": ""}}
        for part in (item["arguments"][:5], item["arguments"][5:]):
            yield {"type": "response.function_call_arguments.delta", **where, "delta": part}
        yield {"type": "response.function_call_arguments.done", **where, "name": item["name"], "arguments": item["arguments"]}
    yield {"type": "response.output_item.done", "output_index": at, "item": item}


def failure(message):
    return sse.typed({"type": "error", "sequence_number": 99, "code": "scripted_trouble", "message": message, "param": None})


def error(status, message):
    from . import openai

    return openai.error(status, message)
