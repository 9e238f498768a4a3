"""`cohere`, v2."""

import base64

import cohere
from cohere import errors
from cohere.core.api_error import ApiError

from .spoken import Called, Heard, arguments_of, lower

STOPS = {"COMPLETE": "end", "MAX_TOKENS": "length", "TOOL_CALL": "tools", "ERROR": "error"}


class BrokenStream(Exception):
    """This SDK hands a failed stream's last event to its caller; the stories raise it."""


class CohereChat:
    name = "cohere"
    PATH = ""
    DIRECT = ("/cohere", "command-a-03-2025")
    ERRORS = {
        400: errors.BadRequestError, 401: errors.UnauthorizedError, 403: errors.ForbiddenError, 404: errors.NotFoundError,
        413: ApiError, 429: errors.TooManyRequestsError, 500: errors.InternalServerError, 502: ApiError,
        503: errors.ServiceUnavailableError, 504: errors.GatewayTimeoutError, 529: ApiError,
    }

    def __init__(self, url, key):
        import httpx

        self.client = cohere.ClientV2(api_key=key, base_url=url, timeout=60, max_retries=0)
        self.BROKEN = (ApiError, BrokenStream, httpx.TransportError)

    @staticmethod
    def status(error):
        return error.status_code

    @staticmethod
    def message(error):
        return error.body["message"]

    @staticmethod
    def user(ask):
        if not ask.picture:
            return {"role": "user", "content": ask.question}
        url = "data:image/png;base64," + base64.b64encode(ask.picture).decode()
        picture = {"type": "image_url", "image_url": {"url": url}}
        return {"role": "user", "content": [{"type": "text", "text": ask.question}, picture]}

    def request(self, ask):
        messages = list(ask.history or [self.user(ask)])
        if ask.system:
            messages.insert(0, {"role": "system", "content": ask.system})
        request = {"model": ask.model, "messages": messages}
        if ask.tools:
            one = lambda tool: {"name": tool["name"], "description": tool["description"], "parameters": tool["schema"]}
            request["tools"] = [{"type": "function", "function": one(tool)} for tool in ask.tools]
            if ask.must_call:
                request["tool_choice"] = "REQUIRED"
        if ask.think:
            request["thinking"] = {"type": "enabled", "token_budget": 2000}
        if ask.schema:
            request["response_format"] = {"type": "json_object", "json_schema": ask.schema.model_json_schema()}
        return request

    def chat(self, ask):
        raw = self.client._raw_client.chat(**self.request(ask))
        answer = raw.data
        thought = "".join(item.thinking for item in answer.message.content or () if item.type == "thinking") or ""
        if answer.message.tool_calls:
            thought = thought or answer.message.tool_plan or ""
        text = "".join(item.text for item in answer.message.content or () if item.type == "text")
        return self.heard(ask, text, thought, answer.message.tool_calls, answer.finish_reason, answer.usage, lower(raw.headers),
                          answer.message.tool_plan)

    def stream(self, ask):
        texts, thoughts, calls, end, pieces, kinds, plan = [], [], [], None, 0, [], []
        with self.client._raw_client.chat_stream(**self.request(ask)) as raw:
            for event in raw.data:
                kinds.append(event.type)
                if event.type == "content-delta":
                    content = event.delta.message.content
                    texts.append(content.text or "")
                    thoughts.append(content.thinking or "")
                    pieces += bool(content.text)
                elif event.type == "tool-plan-delta":
                    plan.append(event.delta.message.tool_plan)
                elif event.type == "tool-call-start":
                    calls.append(event.delta.message.tool_calls)
                    calls[-1].function.arguments = calls[-1].function.arguments or ""
                elif event.type == "tool-call-delta":
                    calls[event.index].function.arguments += event.delta.message.tool_calls.function.arguments
                elif event.type == "message-end":
                    end = event.delta
            headers = lower(raw.headers)
        if end is None or end.finish_reason == "ERROR":
            raise BrokenStream(end and end.error)
        assert kinds[0] == "message-start" and kinds.count("content-start") == kinds.count("content-end"), kinds
        assert kinds.count("tool-call-start") == kinds.count("tool-call-end"), kinds
        plan = "".join(plan)
        heard = self.heard(ask, "".join(texts), "".join(thoughts) or plan, calls, end.finish_reason, end.usage, headers, plan)
        heard.pieces = pieces
        return heard

    def parse(self, ask):
        heard = self.chat(ask)
        heard.parsed = ask.schema.model_validate_json(heard.text)
        return heard

    def heard(self, ask, text, thought, calls, stop, usage, headers, plan=None):
        said = {"role": "assistant"}
        if calls:
            said |= {"tool_calls": calls, "tool_plan": plan or None}
        else:
            said["content"] = text
        called = [Called(call.id, call.function.name, arguments_of(call.function.arguments)) for call in calls or ()]
        used = (int(usage.tokens.input_tokens), int(usage.cached_tokens or 0), int(usage.tokens.output_tokens))
        return Heard(text, thought, called, STOPS[stop], used, headers=headers, history=[*(ask.history or [self.user(ask)]), said])

    @staticmethod
    def results(heard, texts):
        return heard.history + [
            {"role": "tool", "tool_call_id": call.id, "content": text} for call, text in zip(heard.calls, texts, strict=True)
        ]
