"""`openai`, chat completions."""

import base64

import openai

from .spoken import Called, Heard, arguments_of, lower

STOPS = {"stop": "end", "length": "length", "tool_calls": "tools", "content_filter": "refusal"}


class OpenAiChat:
    name = "openai-chat"
    PATH = "/v1"
    DIRECT = ("/openai/v1", "gpt-5-mini")
    ERRORS = {
        400: openai.BadRequestError, 401: openai.AuthenticationError, 403: openai.PermissionDeniedError,
        404: openai.NotFoundError, 413: openai.APIStatusError, 429: openai.RateLimitError, 500: openai.InternalServerError,
        502: openai.InternalServerError, 503: openai.InternalServerError, 504: openai.InternalServerError,
        529: openai.InternalServerError,
    }
    BROKEN = openai.APIError

    def __init__(self, url, key):
        self.client = openai.OpenAI(base_url=url, api_key=key, max_retries=0, timeout=60)

    @staticmethod
    def status(error):
        return error.status_code

    @staticmethod
    def message(error):
        return error.message

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
                request["tool_choice"] = {"type": "function", "function": {"name": ask.tools[0]["name"]}}
        if ask.think:
            request["reasoning_effort"] = "low"
        return request

    def chat(self, ask):
        raw = self.client.chat.completions.with_raw_response.create(**self.request(ask))
        return self.heard(ask, raw.parse(), lower(raw.headers))

    def stream(self, ask):
        """By the SDK's own accumulator, which raises where an answer is not whole."""
        try:
            return self.gathered(ask)
        except openai.LengthFinishReasonError:
            return Heard(stop="length")
        except openai.ContentFilterFinishReasonError:
            return Heard(stop="refusal")

    def gathered(self, ask):
        request = {**self.request(ask), "stream_options": {"include_usage": True}}
        pieces = 0
        with self.client.chat.completions.stream(**request) as stream:
            for event in stream:
                pieces += event.type == "chunk" and any(choice.delta.content for choice in event.chunk.choices)
            answer = stream.get_final_completion()
            heard = self.heard(ask, answer, lower(stream._response.headers))
        heard.pieces = pieces
        return heard

    def parse(self, ask):
        answer = self.client.chat.completions.parse(**self.request(ask), response_format=ask.schema)
        heard = self.heard(ask, answer, {})
        heard.parsed = answer.choices[0].message.parsed
        return heard

    def heard(self, ask, answer, headers):
        (choice,) = answer.choices
        message = choice.message
        calls = [Called(call.id, call.function.name, arguments_of(call.function.arguments)) for call in message.tool_calls or ()]
        usage = answer.usage
        cached = (usage.prompt_tokens_details.cached_tokens or 0) if usage.prompt_tokens_details else 0
        said = {"role": "assistant", "content": message.content}
        if message.tool_calls:
            plain = [call.model_dump(include={"id": True, "type": True, "function": {"name", "arguments"}}) for call in message.tool_calls]
            said["tool_calls"] = plain
        thought = (message.model_extra or {}).get("reasoning_content") or ""
        assert answer.object == "chat.completion" and answer.id and answer.created and answer.model and message.role == "assistant"
        return Heard(message.content or message.refusal or "", thought, calls, STOPS[choice.finish_reason],
                     (usage.prompt_tokens, cached, usage.completion_tokens), headers=headers,
                     history=[*(ask.history or [self.user(ask)]), said])

    @staticmethod
    def results(heard, texts):
        return heard.history + [
            {"role": "tool", "tool_call_id": call.id, "content": text} for call, text in zip(heard.calls, texts, strict=True)
        ]
