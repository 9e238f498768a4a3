"""What the stories of secrets need: stores that really run, and a vendor that answers only to the keys it knows."""

import json
import os
import secrets
import subprocess
import sys
import threading
import urllib.error
import urllib.request
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import boto3
import pytest

from gateway import Gateway, answers, free_port, wait_until

BIN = Path(sys.executable).parent


def new_key():
    return "sk-" + secrets.token_hex(16)


def http(url, body=None, headers=None, method=None):
    """Status and text of an answer, whatever the status is."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json", **(headers or {})}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=20) as reply:
            return reply.status, reply.read().decode()
    except urllib.error.HTTPError as refusal:
        return refusal.code, refusal.read().decode()


class VendorHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        key = (self.headers["Authorization"] or "").removeprefix("Bearer ")
        self.server.shown.append(key)
        if key in self.server.accepted:
            message = {"role": "assistant", "content": "Yes."}
            answer = {"id": "a", "object": "chat.completion", "created": 1, "model": "m",
                      "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
                      "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}}
            return self.reply(200, answer)
        self.reply(401, {"error": {"message": "no such key", "type": "authentication_error", "code": "invalid_api_key"}})

    def reply(self, status, body):
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


class Vendor(ThreadingHTTPServer):
    """A provider. `accepted` are the keys that it knows, `shown` those that it was asked with."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), VendorHandler)
        self.accepted, self.shown = set(), []
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}/v1"


@pytest.fixture
def vendor():
    there = Vendor()
    yield there
    there.shutdown()
    there.server_close()


class Server:
    """A store as a process of its own."""

    def __init__(self, what, command, port, ready, folder):
        self.url = f"http://127.0.0.1:{port}"
        log = folder / f"{what}.log"
        with log.open("ab") as out:
            environment = {**os.environ, "HOME": str(folder)}
            self.process = subprocess.Popen(command, stdout=out, stderr=out, stdin=subprocess.DEVNULL, env=environment)
        try:
            wait_until(lambda: answers(self.url + ready), self.process, what, log)
        except BaseException:
            self.kill()
            raise

    def kill(self):
        self.process.kill()
        self.process.wait()


class OpenBao(Server):
    """OpenBao with a key-value engine of version 2 at `secret/`, and a role whose tokens live for seconds."""

    name = "vault"
    reference = "vault:secret/stories/{}#value"

    def __init__(self, folder):
        self.root, port = secrets.token_hex(16), free_port()
        command = [BIN / "bao", "server", "-dev", f"-dev-root-token-id={self.root}", f"-dev-listen-address=127.0.0.1:{port}"]
        super().__init__("bao", command, port, "/v1/sys/health", folder)
        self.api("sys/auth/approle", {"type": "approle"})
        self.api("sys/policies/acl/stories", {"policy": 'path "secret/data/stories/*" { capabilities = ["read"] }'})
        # Renewed after some seconds, and signed in to again after some more.
        role = {"token_policies": "stories", "token_ttl": "3s", "token_max_ttl": "8s"}
        self.api("auth/approle/role/askonce", role)
        self.role_id = self.api("auth/approle/role/askonce/role-id", method="GET")["data"]["role_id"]
        self.secret_id = self.api("auth/approle/role/askonce/secret-id", {})["data"]["secret_id"]
        self.given = {"STORY_ROLE_ID": self.role_id, "STORY_SECRET_ID": self.secret_id}
        opened = "{approle: {role_id: \"env:STORY_ROLE_ID\", secret_id: \"env:STORY_SECRET_ID\"}}"
        self.settings = f"vault: {{address: \"{self.url}\", auth: {opened}}}"

    def api(self, path, body=None, method="POST"):
        status, text = http(f"{self.url}/v1/{path}", body, {"X-Vault-Token": self.root}, method)
        assert status in (200, 204), f"{path}: {status} {text}"
        return json.loads(text) if text else None

    def put(self, name, value):
        self.api(f"secret/data/stories/{name}", {"data": {"value": value}})


class Moto(Server):
    """What stands in for AWS Secrets Manager. It takes every signature for a good one."""

    name = "aws-sm"
    reference = "aws-sm:stories/{}#value"

    def __init__(self, folder):
        port = free_port()
        super().__init__("moto", [BIN / "moto_server", "-H", "127.0.0.1", "-p", str(port)], port, "/moto-api/", folder)
        key = {"aws_access_key_id": "AKIASTORY", "aws_secret_access_key": secrets.token_hex(20)}
        self.client = boto3.client("secretsmanager", region_name="eu-central-1", endpoint_url=self.url, **key)
        self.given = {"STORY_AWS_SECRET": key["aws_secret_access_key"]}
        opened = "access_key_id: AKIASTORY, secret_access_key: \"env:STORY_AWS_SECRET\""
        self.settings = f"aws: {{region: eu-central-1, endpoint: \"{self.url}\", {opened}}}"

    def put(self, name, value):
        text = json.dumps({"value": value})
        try:
            self.client.put_secret_value(SecretId=f"stories/{name}", SecretString=text)
        except self.client.exceptions.ResourceNotFoundException:
            self.client.create_secret(Name=f"stories/{name}", SecretString=text)


@pytest.fixture(params=[OpenBao, Moto], ids=["openbao", "moto"])
def store(request, tmp_path):
    there = request.param(tmp_path)
    yield there
    there.kill()


@pytest.fixture
def bao(tmp_path):
    there = OpenBao(tmp_path)
    yield there
    there.kill()


class Story:
    """A gateway whose provider's, caller's and admin's keys lie in a store."""

    def __init__(self, folder, store, vendor, refresh_s):
        self.store, self.vendor, self.values = store, vendor, []
        refer = store.reference.format
        config = f"""\
auth: {{keys: [{{name: tester, key: "{refer('caller')}"}}]}}
admin: {{key: "{refer('admin')}"}}
providers: [{{name: up, kind: openai_compatible, base_url: "{vendor.url}", api_key: "{refer('provider')}", models: [m]}}]
cache: {{semantic: {{enabled: false}}}}
retry: {{attempts: 1}}
breaker: {{open_ms: 100}}
secrets: {{refresh_s: {refresh_s}, timeout_ms: 3000, {store.settings}}}
"""
        self.gateway = Gateway(folder / "gateway", config, store.given, model_dir=str(folder))

    def put(self, name):
        """Puts a new key into the store; gives it."""
        value = new_key()
        self.values.append(value)
        self.store.put(name, value)
        return value

    def ask(self, key):
        """The status of an answer to a question that nobody asked before."""
        question = {"model": "m", "messages": [{"role": "user", "content": str(uuid.uuid4())}]}
        return http(f"{self.gateway.url}/v1/chat/completions", question, {"Authorization": f"Bearer {key}"})[0]

    def admin(self, path, key):
        return http(f"{self.gateway.url}{path}", headers={"Authorization": f"Bearer {key}"})

    def log(self):
        return self.gateway.log.read_text(errors="replace")

    def leaks(self, *texts):
        """Which values stand in the log or in `texts`, by their place in the order they were made."""
        hidden = [*self.values, *self.store.given.values()]
        return [number for number, value in enumerate(hidden) if any(value in text for text in (self.log(), *texts))]


@pytest.fixture
def story(tmp_path, vendor):
    """Makes stories, and ends their gateways."""
    made = []

    def make(store, refresh_s=1):
        made.append(Story(tmp_path, store, vendor, refresh_s))
        return made[-1]

    yield make
    for one in made:
        one.gateway.close()
