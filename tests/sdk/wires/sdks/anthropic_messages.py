"""`anthropic`."""

import base64

import anthropic

from .spoken import Called, Heard, lower

STOPS = {"end_turn": "end", "max_tokens": "length", "tool_use": "tools", "refusal": "refusal"}


class AnthropicMessages:
    name = "anthropic"
    PATH = ""
    DIRECT = ("/anthropic", "claude-sonnet-4-5")
    ERRORS = {
        400: anthropic.BadRequestError, 401: anthropic.AuthenticationError, 403: anthropic.PermissionDeniedError,
        404: anthropic.NotFoundError, 413: anthropic.ContentTooLargeError, 429: anthropic.RateLimitError,
        500: anthropic.InternalServerError, 502: anthropic.InternalServerError, 503: anthropic.ServiceUnavailableError,
        504: anthropic.GatewayTimeoutError, 529: anthropic.OverloadedError,
    }
    BROKEN = anthropic.APIError

    def __init__(self, url, key):
        self.client = anthropic.Anthropic(base_url=url, api_key=key, max_retries=0, timeout=60)

    @staticmethod
    def status(error):
        return error.status_code

    @staticmethod
    def message(error):
        assert error.body["type"] == "error" and error.body["error"]["type"], error.body
        return error.body["error"]["message"]

    @staticmethod
    def user(ask):
        if not ask.picture:
            return {"role": "user", "content": ask.question}
        source = {"type": "base64", "media_type": "image/png", "data": base64.b64encode(ask.picture).decode()}
        return {"role": "user", "content": [{"type": "image", "source": source}, {"type": "text", "text": ask.question}]}

    def request(self, ask):
        request = {"model": ask.model, "max_tokens": 4000, "messages": list(ask.history or [self.user(ask)])}
        if ask.system:
            request["system"] = [{"type": "text", "text": ask.system, "cache_control": {"type": "ephemeral"}}]
        if ask.tools:
            request["tools"] = [
                {"name": tool["name"], "description": tool["description"], "input_schema": tool["schema"]} for tool in ask.tools
            ]
            if ask.must_call:
                request["tool_choice"] = {"type": "tool", "name": ask.tools[0]["name"]}
        if ask.think:
            request["thinking"] = {"type": "enabled", "budget_tokens": 2000}
        return request

    def chat(self, ask):
        raw = self.client.messages.with_raw_response.create(**self.request(ask))
        return self.heard(ask, raw.parse(), lower(raw.headers))

    def stream(self, ask):
        """By the SDK's own accumulator."""
        pieces, ended = 0, False
        with self.client.messages.stream(**self.request(ask)) as stream:
            for event in stream:
                pieces += event.type == "text"
                ended = ended or event.type == "message_stop"
            heard = self.heard(ask, stream.get_final_message(), lower(stream.response.headers))
        assert ended, "the stream has no end"
        heard.pieces = pieces
        return heard

    def parse(self, ask):
        answer = self.client.messages.parse(**self.request(ask), output_format=ask.schema)
        heard = self.heard(ask, answer, {})
        heard.parsed = answer.parsed_output
        return heard

    def heard(self, ask, answer, headers):
        assert answer.type == "message" and answer.role == "assistant" and answer.id and answer.model
        blocks = answer.content
        calls = [Called(block.id, block.name, block.input) for block in blocks if block.type == "tool_use"]
        text = "".join(block.text for block in blocks if block.type == "text")
        thought = "".join(block.thinking for block in blocks if block.type == "thinking")
        usage = answer.usage
        read, written = usage.cache_read_input_tokens or 0, usage.cache_creation_input_tokens or 0
        said = {"role": "assistant", "content": [block.model_dump(exclude_none=True, exclude={"parsed_output"}) for block in blocks]}
        return Heard(text, thought, calls, STOPS[answer.stop_reason], (usage.input_tokens + read + written, read, usage.output_tokens),
                     headers=headers, history=[*(ask.history or [self.user(ask)]), said])

    @staticmethod
    def results(heard, texts):
        blocks = [{"type": "tool_result", "tool_use_id": call.id, "content": text} for call, text in zip(heard.calls, texts, strict=True)]
        return heard.history + [{"role": "user", "content": blocks}]
