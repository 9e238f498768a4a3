"""What is asked and what is answered, in no vendor's words.

The answer follows from the request: a tool is called where one is offered, its result is repeated where it came back, a
schema is filled in, a picture is described by its type and size. All else is "Heard: " and the question. Words in the
question ask for the rest:

  #system       the answer tells the system prompt
  #think        it thinks before it answers (always, where the request has a word for thinking)
  #tools        two calls at once
  #call NAME {}  a call of that tool with these arguments
  #long         two hundred words
  #length       the answer ends at its token limit
  #refuse       the model's vendor refuses
  #status-429   that HTTP status, with an error of the vendor
  #fail         a stream: an error of the vendor in the middle
  #cut          a stream: the connection is reset in the middle
  #close        a stream: it ends in the middle, as if that were all
"""

import base64
import json
import re
from dataclasses import dataclass, field

INPUT, CACHED, OUTPUT, REASONING = 1000, 200, 500, 100
THOUGHT = "It thought about it."
SIGNATURE = base64.b64encode(b"signed by the vendor").decode()
PERSON = '{"name": "Anna", "age": 31}'
TROUBLE = "The scripted vendor is in trouble."


@dataclass
class Asked:
    """What a request says, whichever wire it came in."""

    model: str
    stream: bool = False
    system: str = ""
    question: str = ""
    results: list = field(default_factory=list)  # texts of the tools' results in the last turn
    tools: list = field(default_factory=list)  # names
    forced: str = ""  # the tool that must be called
    schema: dict | None = None
    pictures: list = field(default_factory=list)  # (media type, base64 or URL)
    thinking: bool = False
    signatures: list = field(default_factory=list)  # of earlier turns, come back

    def marked(self, word):
        return f"#{word}" in self.question


@dataclass
class Call:
    id: str
    name: str
    arguments: dict

    @property
    def text(self):
        return json.dumps(self.arguments)


@dataclass
class Turn:
    """The answer. `stop` is one of: end, length, tools, refusal."""

    thought: str = ""
    text: str = ""
    calls: list = field(default_factory=list)
    stop: str = "end"
    broken: str = ""  # fail, cut or close, in the middle of a stream

    @property
    def reasoning(self):
        return REASONING if self.thought else 0

    def words(self):
        """The text in pieces."""
        return re.findall(r"\S+\s*", self.text)


def status_of(asked):
    """The error status that the question asks for."""
    wanted = re.search(r"#status-(\d{3})", asked.question)
    return int(wanted[1]) if wanted else None


def turn_of(asked):
    """The next turn of the conversation."""
    turn = Turn(thought=THOUGHT if asked.thinking or asked.marked("think") else "")
    turn.broken = next((word for word in ("fail", "cut", "close") if asked.marked(word)), "")
    if asked.results:
        turn.text = "Heard: " + "; ".join(asked.results)
        if asked.signatures:
            turn.text += " (signed)"
    elif asked.tools and wants_a_call(asked):
        turn.calls, turn.stop = calls_of(asked), "tools"
    elif asked.schema:
        # Filled in only where the schema is the one of a person: it has arrived as it was.
        fits = {"name", "age"} <= set(asked.schema.get("properties", {}))
        turn.text = PERSON if fits else '{"unknown": "schema"}'
    elif asked.pictures:
        turn.text = "Seen: " + "; ".join(described(*picture) for picture in asked.pictures)
    elif asked.marked("system"):
        turn.text = "Told: " + asked.system
    elif asked.marked("long"):
        turn.text = " ".join(f"word{at}" for at in range(200))
    elif asked.marked("refuse"):
        turn.text, turn.stop = "I will not.", "refusal"
    else:
        turn.text = "Heard: " + asked.question
    if asked.marked("length"):
        turn.stop = "length"
    return turn


def wants_a_call(asked):
    """A tool that is only offered is called when the question is one for it."""
    return bool(asked.forced) or asked.marked("call") or "weather" in asked.question or "Anna" in asked.question or asked.marked("tools")


def calls_of(asked):
    wanted = re.search(r"#call (\w+) ", asked.question)
    if wanted:
        arguments, _ = json.JSONDecoder().raw_decode(asked.question, wanted.end())
        return [Call("call_wanted", wanted[1], arguments)]
    name = asked.forced or asked.tools[0]
    if "Anna" in asked.question:
        return [Call("call_person", name, json.loads(PERSON))]
    city = re.search(r" in (\w+)", asked.question)
    first = Call("call_first", name, {"city": city[1] if city else "Oslo"})
    return [first, Call("call_second", name, {"city": "Rome"})] if asked.marked("tools") else [first]


def described(media_type, data):
    """A picture, told so that it shows whether all of it arrived."""
    if data.startswith(("http:", "https:")):
        return f"picture at {data}"
    return f"{media_type} of {len(base64.b64decode(data, validate=True))} bytes"


def data_url(url):
    """The media type and base64 of a data URL, or a plain URL without a type."""
    match = re.match(r"data:([^;,]+);base64,(.*)", url, re.DOTALL)
    return (match[1], match[2]) if match else ("", url)


def schema_of(value):
    """A schema that came as an object or as its text."""
    return json.loads(value) if isinstance(value, str) else value
