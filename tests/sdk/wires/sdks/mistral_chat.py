"""`mistralai`: it speaks OpenAI's chat completions, in words of its own."""

import base64

from mistralai.client import Mistral
from mistralai.client.errors import MistralError

from .spoken import Called, Heard, arguments_of, lower

STOPS = {"stop": "end", "length": "length", "tool_calls": "tools", "content_filter": "refusal"}


class MistralChat:
    name = "mistralai"
    PATH = ""
    DIRECT = ("/openai", "mistral-large-latest")
    ERRORS = dict.fromkeys((400, 401, 403, 404, 413, 429, 500, 502, 503, 504, 529), MistralError)

    def __init__(self, url, key):
        import httpx2

        self.headers = {}
        hooks = {"response": [lambda reply: self.headers.update(lower(reply.headers))]}
        self.client = Mistral(server_url=url, api_key=key, client=httpx2.Client(timeout=60, event_hooks=hooks))
        self.BROKEN = (MistralError, httpx2.TransportError)

    @staticmethod
    def status(error):
        return error.status_code

    @staticmethod
    def message(error):
        return error.body

    @staticmethod
    def user(ask):
        if not ask.picture:
            return {"role": "user", "content": ask.question}
        url = "data:image/png;base64," + base64.b64encode(ask.picture).decode()
        return {"role": "user", "content": [{"type": "text", "text": ask.question}, {"type": "image_url", "image_url": {"url": url}}]}

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
        return request

    def chat(self, ask):
        answer = self.client.chat.complete(**self.request(ask))
        (choice,) = answer.choices
        return self.heard(ask, choice.message.content or "", choice.message.tool_calls, choice.finish_reason, answer.usage)

    def stream(self, ask):
        texts, calls, stop, usage = [], {}, None, None
        with self.client.chat.stream(**self.request(ask)) as stream:
            for event in stream:
                chunk = event.data
                usage = chunk.usage or usage
                for choice in chunk.choices:
                    texts.append(choice.delta.content or "")
                    for call in choice.delta.tool_calls or ():
                        if call.index in calls:
                            calls[call.index].function.arguments += call.function.arguments
                        else:
                            calls[call.index] = call
                    stop = choice.finish_reason or stop
        if stop is None:
            raise MistralError("the stream has no end", stream.response, None)
        heard = self.heard(ask, "".join(texts), list(calls.values()), stop, usage)
        heard.pieces = sum(map(bool, texts))
        return heard

    def parse(self, ask):
        answer = self.client.chat.parse(ask.schema, **self.request(ask))
        (choice,) = answer.choices
        heard = self.heard(ask, choice.message.content, None, choice.finish_reason, answer.usage)
        heard.parsed = choice.message.parsed
        return heard

    def heard(self, ask, text, calls, stop, usage):
        called = [Called(call.id, call.function.name, arguments_of(call.function.arguments)) for call in calls or ()]
        said = {"role": "assistant", "content": text}
        if calls:
            said["tool_calls"] = calls
        used = ()
        if usage:
            details = usage.additional_properties.get("prompt_tokens_details") or {}
            used = (usage.prompt_tokens, details.get("cached_tokens", 0), usage.completion_tokens)
        return Heard(text, "", called, STOPS[stop], used, headers=dict(self.headers), history=[*(ask.history or [self.user(ask)]), said])

    @staticmethod
    def results(heard, texts):
        return heard.history + [
            {"role": "tool", "tool_call_id": call.id, "name": call.name, "content": text}
            for call, text in zip(heard.calls, texts, strict=True)
        ]
