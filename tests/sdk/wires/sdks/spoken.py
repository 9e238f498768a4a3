"""What a story asks and hears, in no vendor's words. Every SDK here translates from one and into the other."""

import json
import struct
import zlib
from dataclasses import dataclass, field, replace

from pydantic import BaseModel


class Person(BaseModel):
    """The structured answer of every story."""

    name: str
    age: int


WEATHER = {
    "name": "weather",
    "description": "Today's weather in a city.",
    "schema": {
        "type": "object",
        "properties": {"city": {"type": "string", "description": "Its name."}},
        "required": ["city"],
    },
}


@dataclass
class Ask:
    """One request. `history` is in the SDK's own words: what `Heard.history` gave, and the results of tools."""

    question: str
    model: str = ""
    system: str = ""
    tools: list = field(default_factory=list)
    must_call: bool = False
    schema: type | None = None
    picture: bytes = b""
    think: bool = False
    history: list | None = None

    def to(self, **changes):
        return replace(self, **changes)


@dataclass
class Called:
    """The model calls a tool."""

    id: str
    name: str
    arguments: dict


@dataclass
class Heard:
    """One answer. `stop` is one of end, length, tools, refusal; `history` is the conversation with the answer in it."""

    text: str = ""
    thought: str = ""
    calls: list = field(default_factory=list)
    stop: str = ""
    usage: tuple = ()  # tokens: input, of them cached, output
    parsed: object = None
    pieces: int = 1  # of a stream, that held something
    headers: dict = field(default_factory=dict)
    history: list = field(default_factory=list)


def arguments_of(text):
    """Arguments that an SDK leaves as text."""
    value = json.loads(text)
    assert isinstance(value, dict), f"arguments are no object: {text}"
    return value


def lower(headers):
    """Headers as a plain dictionary."""
    return {name.lower(): value for name, value in headers.items()}


def dot():
    """A picture of one red pixel, in PNG."""
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0\xff\0\0")) + chunk(b"IEND", b"")
