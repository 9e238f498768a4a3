"""`ollama`: the client of Ollama's own wire."""

import ollama

from .spoken import Called, Heard, lower

# The wire's own words are the first two; its field is a text, and askonce tells in it what other vendors have words for.
STOPS = {"stop": "end", "length": "length", "refusal": "refusal", "content_filter": "refusal"}


class OllamaChat:
    name = "ollama"
    PATH = ""
    DIRECT = ("/ollama", "qwen3:8b")
    ERRORS = dict.fromkeys((400, 401, 403, 404, 413, 429, 500, 502, 503, 504, 529), ollama.ResponseError)
    BROKEN = ollama.ResponseError

    def __init__(self, url, key):
        self.headers = {}
        hooks = {"response": [lambda reply: self.keep(lower(reply.headers))]}
        self.client = ollama.Client(host=url, headers={"Authorization": f"Bearer {key}"}, timeout=60, event_hooks=hooks)

    def keep(self, headers):
        self.headers = headers

    @staticmethod
    def status(error):
        return error.status_code

    @staticmethod
    def message(error):
        return error.error

    @staticmethod
    def user(ask):
        said = {"role": "user", "content": ask.question}
        return {**said, "images": [ask.picture]} if ask.picture else said

    def request(self, ask):
        assert not ask.must_call, "there is no word for it"
        messages = list(ask.history or [self.user(ask)])
        if ask.system:
            messages.insert(0, {"role": "system", "content": ask.system})
        request = {"model": ask.model, "messages": messages}
        if ask.tools:
            one = lambda tool: {"name": tool["name"], "description": tool["description"], "parameters": tool["schema"]}
            request["tools"] = [{"type": "function", "function": one(tool)} for tool in ask.tools]
        if ask.think:
            request["think"] = True
        if ask.schema:
            request["format"] = ask.schema.model_json_schema()
        return request

    def chat(self, ask):
        answer = self.client.chat(**self.request(ask))
        return self.heard(ask, answer, answer.message)

    def stream(self, ask):
        """The SDK hands out the lines, and does not miss the last one where it is not there."""
        said, pieces, last = ollama.Message(role="assistant", content="", thinking="", tool_calls=[]), 0, None
        for part in self.client.chat(**self.request(ask), stream=True):
            assert last is None or not last.done, "a line after the last"
            last = part
            said.content += part.message.content or ""
            said.thinking += part.message.thinking or ""
            said.tool_calls += part.message.tool_calls or ()
            pieces += bool(part.message.content)
        assert last and last.done, "the stream has no end, and told of no error"
        heard = self.heard(ask, last, said)
        heard.pieces = pieces
        return heard

    def parse(self, ask):
        heard = self.chat(ask)
        heard.parsed = ask.schema.model_validate_json(heard.text)
        return heard

    def heard(self, ask, answer, said):
        assert answer.model and answer.created_at and answer.done and said.role == "assistant"
        # This SDK shows no ids of calls, and sends none.
        calls = [Called("", call.function.name, dict(call.function.arguments)) for call in said.tool_calls or ()]
        stop = STOPS[answer.done_reason]
        return Heard(said.content or "", said.thinking or "", calls, "tools" if calls and stop == "end" else stop,
                     (answer.prompt_eval_count, 0, answer.eval_count), headers=dict(self.headers),
                     history=[*(ask.history or [self.user(ask)]), said])

    @staticmethod
    def results(heard, texts):
        return heard.history + [
            {"role": "tool", "tool_name": call.name, "content": text} for call, text in zip(heard.calls, texts, strict=True)
        ]
