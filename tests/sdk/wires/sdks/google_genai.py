"""`google-genai`."""

from google import genai
from google.genai import errors, types

from .spoken import Called, Heard, lower

STOPS = {"STOP": "end", "MAX_TOKENS": "length", "SAFETY": "refusal"}


class GoogleGenai:
    name = "google-genai"
    PATH = ""
    DIRECT = ("/gemini", "gemini-2.5-flash")
    ERRORS = {status: errors.ClientError if status < 500 else errors.ServerError for status in (400, 401, 403, 404, 413, 429, 500, 502, 503, 504, 529)}
    BROKEN = (errors.APIError, errors.UnknownApiResponseError)

    def __init__(self, url, key):
        options = types.HttpOptions(base_url=url, timeout=60_000, retry_options=types.HttpRetryOptions(attempts=1))
        self.client = genai.Client(api_key=key, http_options=options)

    @staticmethod
    def status(error):
        return error.code

    @staticmethod
    def message(error):
        assert error.status, error
        return error.message

    @staticmethod
    def user(ask):
        parts = [types.Part.from_text(text=ask.question)]
        if ask.picture:
            parts.append(types.Part.from_bytes(data=ask.picture, mime_type="image/png"))
        return types.Content(role="user", parts=parts)

    def request(self, ask):
        config = {}
        if ask.system:
            config["system_instruction"] = ask.system
        if ask.tools:
            declared = [
                {"name": tool["name"], "description": tool["description"], "parameters_json_schema": tool["schema"]} for tool in ask.tools
            ]
            config["tools"] = [{"function_declarations": declared}]
            config["automatic_function_calling"] = {"disable": True}
            if ask.must_call:
                calling = {"mode": "ANY", "allowed_function_names": [ask.tools[0]["name"]]}
                config["tool_config"] = {"function_calling_config": calling}
        if ask.think:
            config["thinking_config"] = {"include_thoughts": True, "thinking_budget": 2000}
        if ask.schema:
            config |= {"response_mime_type": "application/json", "response_schema": ask.schema}
        return {"model": ask.model, "contents": list(ask.history or [self.user(ask)]), "config": types.GenerateContentConfig(**config)}

    def chat(self, ask):
        return self.heard(ask, [self.client.models.generate_content(**self.request(ask))])

    def stream(self, ask):
        answers = list(self.client.models.generate_content_stream(**self.request(ask)))
        if not any(answer.candidates and answer.candidates[0].finish_reason for answer in answers):
            # This SDK does not know of an end; a stream without one is told apart by its callers.
            raise errors.UnknownApiResponseError("the stream has no end")
        return self.heard(ask, answers)

    def parse(self, ask):
        heard = self.chat(ask)
        return heard

    def heard(self, ask, answers):
        parts = [part for answer in answers for one in answer.candidates or () if one.content for part in one.content.parts or ()]
        calls = [Called(part.function_call.id, part.function_call.name, part.function_call.args) for part in parts if part.function_call]
        text = "".join(part.text for part in parts if part.text and not part.thought)
        thought = "".join(part.text for part in parts if part.text and part.thought)
        last = answers[-1]
        reason = next(answer.candidates[0].finish_reason for answer in reversed(answers) if answer.candidates)
        stop = "tools" if calls and reason.value == "STOP" else STOPS[reason.value]
        usage = last.usage_metadata
        output = (usage.candidates_token_count or 0) + (usage.thoughts_token_count or 0)
        said = types.Content(role="model", parts=[part for part in parts if part.text != "" or part.thought_signature])
        return Heard(text, thought, calls, stop, (usage.prompt_token_count, usage.cached_content_token_count or 0, output),
                     last.parsed if ask.schema else None, sum(bool(answer.text) for answer in answers),
                     lower(last.sdk_http_response.headers or answers[0].sdk_http_response.headers or {}),
                     [*(ask.history or [self.user(ask)]), said])

    @staticmethod
    def results(heard, texts):
        parts = []
        for call, text in zip(heard.calls, texts, strict=True):
            answer = types.FunctionResponse(id=call.id, name=call.name, response={"result": text})
            parts.append(types.Part(function_response=answer))
        return heard.history + [types.Content(role="user", parts=parts)]
