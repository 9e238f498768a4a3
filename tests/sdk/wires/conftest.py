"""What the stories of wires share: every SDK at every provider, and questions that nobody asked before."""

import json
import os
import secrets
import urllib.parse
import urllib.request

import pytest
from sdks import SDKS
from sdks.spoken import Ask

# By the names of the models in the stage's configuration: each is one model of a provider of one kind.
PROVIDERS = ("openai", "chat", "responses", "anthropic", "gemini", "bedrock", "cohere", "mistral", "ollama")
DIRECT = "direct"


class Cell:
    """One SDK that speaks to one provider, through askonce or directly."""

    def __init__(self, sdk, provider):
        self.sdk_name, self.provider, self.is_direct = sdk.name, provider, provider == DIRECT
        if self.is_direct:
            path, self.model = sdk.DIRECT
            self.sdk = sdk(os.environ["STORY_VENDORS_URL"] + path, "sk-nobody-looks-at-this")
        else:
            self.model = f"any-{provider}"
            self.sdk = sdk(os.environ["STORY_WIRES_URL"] + sdk.PATH, os.environ["STORY_KEY"])

    def ask(self, question, **more):
        return Ask(f"{question} ({secrets.token_hex(4)})", self.model, **more)

    def breaks(self):
        """The SDK's exception for a stream that fails."""
        return pytest.raises(self.sdk.BROKEN)


CELLS = {}


@pytest.fixture(params=[(sdk, provider) for sdk in SDKS for provider in (DIRECT, *PROVIDERS)], ids=lambda pair: "-to-".join(pair))
def cell(request):
    if request.param not in CELLS:
        name, provider = request.param
        CELLS[request.param] = Cell(SDKS[name], provider)
    return CELLS[request.param]


@pytest.fixture(params=["chat", "stream"])
def way(request):
    """The answer at once, or in pieces."""
    return request.param


def vendor_calls(question):
    """The requests that reached a scripted vendor with this question."""
    query = urllib.parse.urlencode({"question": question})
    with urllib.request.urlopen(f"{os.environ['STORY_VENDORS_URL']}/calls?{query}", timeout=10) as reply:
        return json.load(reply)
