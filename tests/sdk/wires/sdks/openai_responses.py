"""`openai`, responses."""

import base64

import openai

from .openai_chat import OpenAiChat
from .spoken import Called, Heard, arguments_of, lower


class BrokenStream(Exception):
    """A stream that told of an error."""


class OpenAiResponses(OpenAiChat):
    name = "openai-responses"
    BROKEN = (openai.APIError, BrokenStream)

    @staticmethod
    def user(ask):
        if not ask.picture:
            return {"role": "user", "content": ask.question}
        url = "data:image/png;base64," + base64.b64encode(ask.picture).decode()
        picture = {"type": "input_image", "image_url": url, "detail": "auto"}
        return {"role": "user", "content": [{"type": "input_text", "text": ask.question}, picture]}

    def request(self, ask):
        request = {"model": ask.model, "input": list(ask.history or [self.user(ask)])}
        if ask.system:
            request["instructions"] = ask.system
        if ask.tools:
            request["tools"] = [
                {"type": "function", "name": tool["name"], "description": tool["description"], "parameters": tool["schema"],
                 "strict": False} for tool in ask.tools
            ]
            if ask.must_call:
                request["tool_choice"] = {"type": "function", "name": ask.tools[0]["name"]}
        if ask.think:
            request["reasoning"] = {"effort": "low", "summary": "auto"}
            request["include"] = ["reasoning.encrypted_content"]
        return request

    def chat(self, ask):
        raw = self.client.responses.with_raw_response.create(**self.request(ask))
        return self.heard(ask, raw.parse(), lower(raw.headers))

    def stream(self, ask):
        pieces, numbers = 0, []
        with self.client.responses.stream(**self.request(ask)) as stream:
            for event in stream:
                numbers.append(event.sequence_number)
                pieces += event.type == "response.output_text.delta"
                if event.type in ("error", "response.failed"):
                    # This SDK hands them to its caller.
                    raise BrokenStream(event)
                if event.type == "response.incomplete":
                    answer = event.response
                elif event.type == "response.completed":
                    answer = stream.get_final_response()
            headers = lower(stream._response.headers)
        assert numbers == list(range(len(numbers))), f"events are numbered {numbers}"
        heard = self.heard(ask, answer, headers)
        heard.pieces = pieces
        return heard

    def parse(self, ask):
        answer = self.client.responses.parse(**self.request(ask), text_format=ask.schema)
        heard = self.heard(ask, answer, {})
        heard.parsed = answer.output_parsed
        return heard

    def heard(self, ask, answer, headers):
        assert answer.object == "response" and answer.id.startswith("resp") and answer.status in ("completed", "incomplete")
        calls, texts, thoughts, refused = [], [], [], False
        for item in answer.output:
            if item.type == "function_call":
                calls.append(Called(item.call_id, item.name, arguments_of(item.arguments)))
            elif item.type == "message":
                refused = any(part.type == "refusal" for part in item.content)
                texts += [part.refusal if part.type == "refusal" else part.text for part in item.content]
            elif item.type == "reasoning":
                thoughts += [part.text for part in item.summary] or [part.text for part in item.content or ()]
        stop = "tools" if calls else "refusal" if refused else "end"
        if answer.status == "incomplete":
            stop = {"max_output_tokens": "length", "content_filter": "refusal"}[answer.incomplete_details.reason]
        usage = answer.usage
        said = [item.model_dump(exclude_none=True, exclude={"parsed_arguments": True, "content": {"__all__": {"parsed"}}}
                                if item.type == "message" else {"parsed_arguments"}) for item in answer.output]
        return Heard("".join(texts), "".join(thoughts), calls, stop,
                     (usage.input_tokens, usage.input_tokens_details.cached_tokens, usage.output_tokens), headers=headers,
                     history=[*(ask.history or [self.user(ask)]), *said])

    @staticmethod
    def results(heard, texts):
        return heard.history + [
            {"type": "function_call_output", "call_id": call.id, "output": text} for call, text in zip(heard.calls, texts, strict=True)
        ]
