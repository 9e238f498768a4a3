"""What the stories of the frameworks share."""

import base64
import os
import secrets
import struct
import zlib

import pytest
from pydantic import BaseModel

URL = os.environ["STORY_WIRES_URL"]
KEY = os.environ["STORY_KEY"]
USAGE = (1000, 500)
TOLD = "The scripted vendor is in trouble."


class Person(BaseModel):
    """The structured answer of every story."""

    name: str
    age: int


def weather(city: str) -> str:
    """Today's weather in a city."""
    return f"Rain in {city}"


WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "Today's weather in a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


def fresh(question):
    """A question that nobody asked before."""
    return f"{question} ({secrets.token_hex(4)})"


def dot():
    """A picture of one red pixel, in PNG."""
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0\xff\0\0")) + chunk(b"IEND", b"")


DOT = base64.b64encode(dot()).decode()
SEEN = f"Seen: image/png of {len(dot())} bytes"


@pytest.fixture(params=["openai", "anthropic", "gemini"])
def model(request):
    """A model of each of three wires; the official SDKs are at all of them in `wires`."""
    return f"any-{request.param}"
