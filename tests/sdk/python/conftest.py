"""What the stories share: clients, and a voice for each upstream.

Every test speaks with a seed of its own, which is part of the scope, so that no test sees the entries of another.
"""

import json
import os
import random
import urllib.parse
import urllib.request
from dataclasses import dataclass

import openai
import pytest


@dataclass
class Heard:
    """One reply: its headers, the answer as the SDK reads it, and its words. Of a stream, the answer is its chunks."""

    headers: object
    answer: object
    words: str

    @property
    def outcome(self):
        return self.headers.get("x-askonce-cache")

    @property
    def tier(self):
        return self.headers.get("x-askonce-tier")


class Voice:
    """Asks one model questions, through one client, with the same settings each time."""

    def __init__(self, client, **settings):
        self.client = client
        self.settings = settings

    def by(self, client):
        """The same voice with another key."""
        return Voice(client, **self.settings)

    def request(self, text, **more):
        messages = more.pop("messages", None) or [{"role": "user", "content": text}]
        return {**self.settings, "messages": messages, **more}

    def ask(self, text="", headers=None, **more):
        raw = self.client.chat.completions.with_raw_response.create(extra_headers=headers, **self.request(text, **more))
        answer = raw.parse()
        return Heard(raw.headers, answer, answer.choices[0].message.content)

    def stream(self, text="", headers=None, **more):
        request = self.request(text, **more)
        with self.client.chat.completions.with_streaming_response.create(extra_headers=headers, stream=True, **request) as raw:
            chunks = list(raw.parse())
        return Heard(raw.headers, chunks, words_of(chunks))


def words_of(chunks):
    return "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)


def client_of(key, url=None):
    return openai.OpenAI(base_url=f"{url or os.environ['STORY_URL']}/v1", api_key=key, max_retries=0, timeout=120)


def llm_settings(seed):
    """Greedy, and short: an answer that is cut at a token limit is not stored, so it ends at the first stop."""
    return {"model": "smollm2", "seed": seed, "temperature": 0, "max_tokens": 80, "stop": [".", ",", ":", "\n"]}


@pytest.fixture
def seed():
    return random.randrange(1 << 31)


@pytest.fixture(scope="session")
def client():
    return client_of(os.environ["STORY_KEY"])


@pytest.fixture(scope="session")
def colleague():
    """Another key of the same tenant."""
    return client_of(os.environ["STORY_COLLEAGUE_KEY"])


@pytest.fixture(scope="session")
def stranger():
    """A key of another tenant."""
    return client_of(os.environ["STORY_STRANGER_KEY"])


@pytest.fixture
def llm(client, seed):
    """The language model."""
    return Voice(client, **llm_settings(seed))


@pytest.fixture
def scripted(client, seed):
    """The scripted upstream."""
    return Voice(client, model="scripted", seed=seed)


def calls(question):
    """The requests that reached the scripted upstream with this question."""
    query = urllib.parse.urlencode({"question": question})
    with urllib.request.urlopen(f"{os.environ['STORY_UPSTREAM_URL']}/calls?{query}", timeout=10) as reply:
        return json.load(reply)


def purge(what, key=None):
    """Purges through the administration endpoint; gives its answer."""
    key = os.environ["STORY_ADMIN_KEY"] if key is None else key
    request = urllib.request.Request(
        f"{os.environ['STORY_URL']}/admin/cache/purge",
        data=json.dumps(what).encode(),
        headers={"Authorization": f"Bearer {key}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=10) as reply:
        return json.load(reply)
