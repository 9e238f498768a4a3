"""`boto3`, bedrock-runtime: converse. Its requests are signed: the access key's id is the key of the caller."""

import json

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError, EventStreamError

from .spoken import Called, Heard, lower

STOPS = {"end_turn": "end", "max_tokens": "length", "tool_use": "tools", "content_filtered": "refusal", "guardrail_intervened": "refusal"}
CODES = {400: "ValidationException", 403: "AccessDeniedException", 404: "ResourceNotFoundException", 429: "ThrottlingException",
         500: "InternalServerException", 503: "ServiceUnavailableException"}


class BedrockConverse:
    name = "boto3"
    PATH = ""
    DIRECT = ("/bedrock", "anthropic.claude-sonnet-4-5-20250929-v1:0")
    ERRORS = dict.fromkeys((400, 401, 403, 404, 413, 429, 500, 502, 503, 504, 529), ClientError)

    def __init__(self, url, key):
        # Whoever holds the id is the caller: askonce cannot know the secret of an AWS key, and does not ask for it.
        session = boto3.Session(aws_access_key_id=key, aws_secret_access_key="not looked at", region_name="us-east-1")
        config = Config(retries={"total_max_attempts": 1}, read_timeout=60)
        self.client = session.client("bedrock-runtime", endpoint_url=url, config=config)
        # What a client raises in the middle of a stream.
        self.BROKEN = (EventStreamError, ClientError)

    @staticmethod
    def status(error):
        return error.response["ResponseMetadata"]["HTTPStatusCode"]

    def message(self, error):
        code = error.response["Error"]["Code"]
        wanted = CODES.get(self.status(error))
        if wanted:
            assert code == wanted and isinstance(error, getattr(self.client.exceptions, wanted)), error.response
        return error.response["Error"]["Message"]

    @staticmethod
    def user(ask):
        content = [{"text": ask.question}]
        if ask.picture:
            content.append({"image": {"format": "png", "source": {"bytes": ask.picture}}})
        return {"role": "user", "content": content}

    def request(self, ask):
        request = {"modelId": ask.model, "messages": list(ask.history or [self.user(ask)]), "inferenceConfig": {"maxTokens": 4000}}
        if ask.system:
            request["system"] = [{"text": ask.system}]
        if ask.tools:
            one = lambda tool: {"name": tool["name"], "description": tool["description"], "inputSchema": {"json": tool["schema"]}}
            request["toolConfig"] = {"tools": [{"toolSpec": one(tool)} for tool in ask.tools]}
            if ask.must_call:
                request["toolConfig"]["toolChoice"] = {"tool": {"name": ask.tools[0]["name"]}}
        if ask.think:
            request["additionalModelRequestFields"] = {"thinking": {"type": "enabled", "budget_tokens": 2000}}
        if ask.schema:
            schema = {"name": "person", "schema": json.dumps({**ask.schema.model_json_schema(), "additionalProperties": False})}
            request["outputConfig"] = {"textFormat": {"type": "json_schema", "structure": {"jsonSchema": schema}}}
        return request

    def chat(self, ask):
        answer = self.client.converse(**self.request(ask))
        message = answer["output"]["message"]
        return self.heard(ask, message, answer["stopReason"], answer["usage"], answer["ResponseMetadata"]["HTTPHeaders"])

    def stream(self, ask):
        answer = self.client.converse_stream(**self.request(ask))
        blocks, open_, pieces, stop, usage, role = [], {}, 0, None, None, None
        for event in answer["stream"]:
            ((kind, value),) = event.items()
            if kind == "messageStart":
                role = value["role"]
            elif kind == "contentBlockStart":
                start = value["start"]["toolUse"]
                open_[value["contentBlockIndex"]] = {"toolUse": {"toolUseId": start["toolUseId"], "name": start["name"], "input": ""}}
            elif kind == "contentBlockDelta":
                pieces += "text" in value["delta"]
                add(open_.setdefault(value["contentBlockIndex"], {}), value["delta"])
            elif kind == "contentBlockStop":
                blocks.append(closed(open_.pop(value["contentBlockIndex"])))
            elif kind == "messageStop":
                stop = value["stopReason"]
            elif kind == "metadata":
                usage = value["usage"]
        if stop is None:
            # This SDK does not know of an end; a stream without one is told apart by its callers.
            raise EventStreamError({"Error": {"Code": "NoEnd", "Message": "the stream has no end"}}, "ConverseStream")
        assert not open_ and role == "assistant"
        heard = self.heard(ask, {"role": role, "content": blocks}, stop, usage, answer["ResponseMetadata"]["HTTPHeaders"])
        heard.pieces = pieces
        return heard

    def parse(self, ask):
        heard = self.chat(ask)
        heard.parsed = ask.schema.model_validate_json(heard.text)
        return heard

    def heard(self, ask, message, stop, usage, headers):
        blocks = message["content"]
        calls = [Called(one["toolUse"]["toolUseId"], one["toolUse"]["name"], one["toolUse"]["input"]) for one in blocks if "toolUse" in one]
        text = "".join(block["text"] for block in blocks if "text" in block)
        thoughts = [block["reasoningContent"]["reasoningText"]["text"] for block in blocks if "reasoningText" in block.get("reasoningContent", ())]
        read, written = usage.get("cacheReadInputTokens", 0), usage.get("cacheWriteInputTokens", 0)
        assert usage["totalTokens"] == usage["inputTokens"] + read + written + usage["outputTokens"]
        return Heard(text, "".join(thoughts), calls, STOPS[stop], (usage["inputTokens"] + read + written, read, usage["outputTokens"]),
                     headers=lower(headers), history=[*(ask.history or [self.user(ask)]), message])

    @staticmethod
    def results(heard, texts):
        blocks = [
            {"toolResult": {"toolUseId": call.id, "content": [{"text": text}], "status": "success"}}
            for call, text in zip(heard.calls, texts, strict=True)
        ]
        return heard.history + [{"role": "user", "content": blocks}]


def add(block, delta):
    """Puts a piece on its block."""
    if "text" in delta:
        block["text"] = block.get("text", "") + delta["text"]
    elif "toolUse" in delta:
        block["toolUse"]["input"] += delta["toolUse"]["input"]
    else:
        thought = block.setdefault("reasoningContent", {"reasoningText": {"text": ""}})
        for key, text in delta["reasoningContent"].items():
            if key == "redactedContent":
                block["reasoningContent"] = {key: text}
            else:
                thought["reasoningText"][key] = thought["reasoningText"].get(key, "") + text


def closed(block):
    """A block whose pieces are all there."""
    if "toolUse" in block:
        block["toolUse"]["input"] = json.loads(block["toolUse"]["input"] or "{}")
    return block
