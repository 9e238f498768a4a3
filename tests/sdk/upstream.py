"""A scripted upstream: an OpenAI server that does what the name of the model says, and keeps what it was sent.

A language model does what it likes; where a story needs a certain turn (a tool call, a rate limit, a stream that
breaks off), this one takes it. It counts: `GET /calls?question=TEXT` lists the requests whose last message is TEXT.

Models:
  scripted   answers at once; with `tools`, calls the first one; after a tool's result, says what it was
  slow       the same, half a second later
  busy       429 with Retry-After to the first request of each question
  picky      400 with an error of its own
  broken     a stream that breaks off in the middle
  scripted-embedding   embeddings of three dimensions
"""

import json
import re
import socket
import threading
import time
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

WORDS = "The scripted upstream heard: "


class Calls:
    """What came in, in order."""

    def __init__(self):
        self._lock = threading.Lock()
        self._seen = []

    def add(self, path, headers, body, question):
        """Keeps a request; gives how many of this question there are by now."""
        with self._lock:
            self._seen.append({"path": path, "headers": headers, "body": body, "question": question})
            return sum(call["question"] == question for call in self._seen)

    def of(self, question):
        with self._lock:
            return [call for call in self._seen if call["question"] == question]


def text_of(content):
    """The text of a message, whether written as a string or as parts."""
    if isinstance(content, list):
        return " ".join(part.get("text", "") for part in content if part.get("type") == "text")
    return content or ""


def question_of(path, body):
    if path.endswith("/chat/completions"):
        return text_of(body["messages"][-1].get("content"))
    return json.dumps(body.get("prompt", body.get("input")))


def chat_message(body):
    """The next turn: a call of the first tool, or words."""
    last = body["messages"][-1]
    if body.get("tools") and last["role"] == "user":
        function = body["tools"][0]["function"]["name"]
        arguments = json.dumps({"city": text_of(last["content"]).rstrip("?").split()[-1]})
        call = {"id": "call_1", "type": "function", "function": {"name": function, "arguments": arguments}}
        return {"role": "assistant", "content": None, "tool_calls": [call]}, "tool_calls"
    message = {"role": "assistant", "content": WORDS + text_of(last.get("content"))}
    if body.get("reasoning_effort"):
        message["reasoning_content"] = "It thought about it."
    return message, "stop"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_):
        pass

    def do_GET(self):
        url = urllib.parse.urlsplit(self.path)
        if url.path == "/calls":
            question = urllib.parse.parse_qs(url.query)["question"][0]
            self.reply(200, self.server.calls.of(question))
        elif url.path == "/v1/models":
            self.reply(200, {"object": "list", "data": [{"id": "scripted", "object": "model", "created": 1, "owned_by": "us"}]})
        else:
            self.reply(404, {"error": {"message": "no such page", "type": "invalid_request_error"}})

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        question = question_of(self.path, body)
        headers = {name.lower(): value for name, value in self.headers.items()}
        count = self.server.calls.add(self.path, headers, body, question)
        model = body["model"]
        if model == "picky":
            error = {"message": "The scripted upstream does not like this.", "type": "invalid_request_error",
                     "param": "temperature", "code": "scripted_refusal"}
            return self.reply(400, {"error": error})
        if model == "busy" and count == 1:
            error = {"message": "Come back at once.", "type": "rate_limit_error", "param": None, "code": "busy"}
            return self.reply(429, {"error": error}, {"Retry-After": "0"})
        if self.path.endswith("/embeddings"):
            texts = body["input"] if isinstance(body["input"], list) else [body["input"]]
            data = [{"object": "embedding", "index": at, "embedding": [1.0, 0.0, float(len(text))]} for at, text in enumerate(texts)]
            return self.reply(200, {"object": "list", "model": model, "data": data, "usage": {"prompt_tokens": 1, "total_tokens": 1}})
        if model == "slow":
            time.sleep(0.5)
        if body.get("stream"):
            return self.stream(body, count)
        message, ending = chat_message(body)
        choices = [{"index": at, "message": message, "finish_reason": ending, "logprobs": None} for at in range(body.get("n") or 1)]
        self.reply(200, {**self.head(body, count, "chat.completion"), "choices": choices, "usage": self.usage()})

    @staticmethod
    def head(body, count, kind):
        return {"id": f"chatcmpl-scripted-{count}", "object": kind, "created": 1700000000, "model": body["model"],
                "x_call": count}

    @staticmethod
    def usage():
        return {"prompt_tokens": 1000, "completion_tokens": 500, "total_tokens": 1500}

    def reply(self, status, value, headers=()):
        payload = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(payload)))
        for name, text in dict(headers).items():
            self.send_header(name, text)
        self.end_headers()
        self.wfile.write(payload)

    def stream(self, body, count):
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        message, ending = chat_message(body)
        self.piece(body, count, {"role": "assistant", "content": None if message["content"] is None else ""})
        if "reasoning_content" in message:
            self.piece(body, count, {"reasoning_content": message["reasoning_content"]})
        for word in re.findall(r"\S+\s*", message["content"] or ""):
            self.piece(body, count, {"content": word})
            time.sleep(0.005)
            if body["model"] == "broken":
                # Reset, not closed: what a crashing server leaves.
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                self.connection.close()
                self.close_connection = True
                return
        for at, call in enumerate(message.get("tool_calls", ())):
            arguments = call["function"]["arguments"]
            opening = {**call, "index": at, "function": {**call["function"], "arguments": ""}}
            self.piece(body, count, {"tool_calls": [opening]})
            for part in (arguments[:5], arguments[5:]):
                self.piece(body, count, {"tool_calls": [{"index": at, "function": {"arguments": part}}]})
        self.piece(body, count, {}, ending)
        if (body.get("stream_options") or {}).get("include_usage"):
            self.event({**self.head(body, count, "chat.completion.chunk"), "choices": [], "usage": self.usage()})
        self.chunk(b"data: [DONE]\n\n")
        self.chunk(b"")

    def piece(self, body, count, delta, ending=None):
        choice = {"index": 0, "delta": delta, "finish_reason": ending}
        self.event({**self.head(body, count, "chat.completion.chunk"), "choices": [choice]})

    def event(self, value):
        self.chunk(b"data: " + json.dumps(value).encode() + b"\n\n")

    def chunk(self, payload):
        self.wfile.write(b"%x\r\n%s\r\n" % (len(payload), payload))


class Upstream(ThreadingHTTPServer):
    """The server, on a free port of the loopback; runs from `start` to `shutdown`."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.calls = Calls()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, *_):
        """A gateway that hangs up is part of the stories."""

    def start(self):
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self
