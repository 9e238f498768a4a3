"""The HTTP around the scripted vendors: one server, a path for each, and a record of what was asked.

`GET /calls?question=TEXT` lists the requests whose question holds TEXT, the oldest first. Each vendor answers below a
path of its own, as it would below its host: `/openai`, `/anthropic`, `/gemini`, `/bedrock`, `/cohere`, `/ollama`, `/azure`, `/vertex`.
`POST /token` gives an access token to whoever shows a signed assertion or a client's secret.
"""

import json
import socket
import struct
import threading
import time
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from . import anthropic, bedrock, cohere, gemini, ollama, openai, responses
from .script import TROUBLE, status_of, turn_of

ACCESS_TOKEN = "scripted-access-token"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_):
        pass

    def do_GET(self):
        url = urllib.parse.urlsplit(self.path)
        if url.path == "/calls":
            question = urllib.parse.parse_qs(url.query)["question"][0]
            with self.server.lock:
                self.reply(200, [call for call in self.server.calls if question in call["question"]])
        elif url.path == "/ollama/api/tags":
            self.reply(200, ollama.tags())
        else:
            self.reply(404, {"error": {"message": "no such page"}})

    def do_POST(self):
        text = self.rfile.read(int(self.headers["Content-Length"]))
        path = urllib.parse.urlsplit(self.path).path
        if path == "/token":
            return self.token(text)
        vendor = vendor_of(path)
        if vendor is None:
            return self.reply(404, {"error": {"message": f"nobody speaks at {path}"}})
        body = json.loads(text)
        aside = getattr(vendor, "ASIDE", {}).get(path.rpartition("/")[2].rpartition(":")[2])
        if aside:
            self.keep(text, body, json.dumps(body))
            return self.reply(200, aside(body))
        try:
            asked = vendor.read(path, body)
            turn = turn_of(asked)
        except (AssertionError, LookupError, TypeError, ValueError) as wrong:
            # What the vendor would not take: told so that the story's failure shows it.
            return self.reply(400, *vendor.error(400, f"The scripted vendor cannot read this: {wrong!r}"))
        self.keep(text, body, asked.question)
        status = status_of(asked)
        if status:
            return self.reply(status, *vendor.error(status, TROUBLE))
        if not asked.stream:
            return self.reply(200, vendor.whole(asked, turn), {"x-vendor": path})
        self.stream(vendor, asked, turn)

    def keep(self, text, body, question):
        headers = {name.lower(): value for name, value in self.headers.items()}
        call = {"path": self.path, "headers": headers, "body": body, "text": text.decode(), "question": question}
        with self.server.lock:
            self.server.calls.append(call)

    def token(self, text):
        with self.server.lock:
            self.server.calls.append({"path": "/token", "headers": {}, "body": {}, "text": text.decode(), "question": "token"})
        self.reply(200, {"access_token": ACCESS_TOKEN, "expires_in": 3600, "token_type": "Bearer"})

    def reply(self, status, value, headers=()):
        payload = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(payload)))
        for name, text in dict(headers).items():
            self.send_header(name, text)
        self.end_headers()
        self.wfile.write(payload)

    def stream(self, vendor, asked, turn):
        self.send_response(200)
        self.send_header("Content-Type", vendor.STREAM)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        pieces = list(vendor.events(asked, turn))
        if turn.broken:
            # The last two pieces at least are missing, the end among them.
            pieces = pieces[: max(1, len(pieces) // 2)]
        for piece in pieces:
            self.chunk(piece)
            if len(pieces) < 50:
                time.sleep(0.002)
        if turn.broken == "cut":
            # Reset, not closed: what a crashing server leaves.
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
            self.close_connection = True
            return
        if turn.broken == "fail":
            self.chunk(vendor.failure(TROUBLE))
        self.chunk(b"")

    def chunk(self, payload):
        self.wfile.write(b"%x\r\n%s\r\n" % (len(payload), payload))


def vendor_of(path):
    """Who speaks at a path."""
    name, _, rest = path.lstrip("/").partition("/")
    if name == "openai":
        return {"v1/chat/completions": openai, "v1/responses": responses, "v1/embeddings": openai}.get(rest)
    if name == "azure":
        return openai if rest.startswith("openai/") else None
    if name == "vertex":
        return gemini if "/publishers/google/models/" in rest else anthropic if "/publishers/anthropic/models/" in rest else None
    if name == "gemini":
        return gemini if rest.startswith(("v1beta/models/", "v1/models/")) else None
    if name == "bedrock":
        return bedrock if rest.startswith("model/") else None
    return {"anthropic/v1/messages": anthropic, "anthropic/v1/messages/count_tokens": anthropic,
            "cohere/v2/chat": cohere, "cohere/v2/embed": cohere, "cohere/v2/rerank": cohere,
            "ollama/api/chat": ollama, "ollama/api/embed": ollama}.get(path.lstrip("/"))


class Vendors(ThreadingHTTPServer):
    """The server, on a free port of the loopback; runs from `start` to `shutdown`."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.calls = []
        self.lock = threading.Lock()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, *_):
        """A gateway that hangs up is part of the stories."""

    def start(self):
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self


if __name__ == "__main__":
    # For a look by hand: python -m vendors.server
    vendors = Vendors()
    print(vendors.url, flush=True)
    vendors.serve_forever()
