"""Every SDK to the real language model: its words in each wire."""

import os
import secrets

import pytest
from sdks import SDKS
from sdks.spoken import Ask, Person


@pytest.fixture(params=SDKS)
def sdk(request):
    return SDKS[request.param](os.environ["STORY_WIRES_URL"] + SDKS[request.param].PATH, os.environ["STORY_KEY"])


def test_it_answers_at_once_and_in_pieces(sdk):
    ask = Ask("Say hello.", "smollm2", system=f"You are kind. You are number {secrets.randbelow(10**6)}.")
    live = sdk.stream(ask)
    # Of an answer that was cut, the OpenAI client raises and tells nothing.
    assert live.stop == "length" or (live.stop == "end" and live.text.strip() and live.pieces)
    again = sdk.chat(ask)
    assert again.text.strip() and (live.stop == "length" or again.text == live.text)


def test_it_fills_in_a_schema(sdk):
    for _ in range(4):
        # A model this small sometimes writes blanks up to its token limit.
        ask = Ask(f"Anna is 31 years old. Extract her name and age. This is {secrets.randbelow(10**6)}.", "smollm2", schema=Person)
        try:
            person = sdk.parse(ask).parsed
        except ValueError:
            continue
        if isinstance(person, Person) and person.name:
            return
    raise AssertionError("it never filled in the schema")
