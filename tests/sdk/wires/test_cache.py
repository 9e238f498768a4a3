"""The cache behind every wire: an answer is stored as its SDK saw it, and played back so."""

import os
import secrets

import pytest
from conftest import vendor_calls
from sdks import SDKS
from sdks.spoken import WEATHER, Ask, Person

# A wire, and a provider of another one and of its own.
PAIRS = [
    ("openai-chat", "openai"), ("openai-chat", "anthropic"), ("openai-responses", "openai"), ("openai-responses", "gemini"),
    ("anthropic", "anthropic"), ("anthropic", "openai"), ("google-genai", "gemini"), ("google-genai", "anthropic"),
    ("boto3", "bedrock"), ("boto3", "openai"), ("cohere", "cohere"), ("cohere", "bedrock"),
    ("ollama", "ollama"), ("ollama", "anthropic"), ("openai-chat", "ollama"),
]


def sdk_of(name, key="STORY_KEY"):
    return SDKS[name](os.environ["STORY_WIRES_URL"] + SDKS[name].PATH, os.environ[key])


@pytest.fixture(params=PAIRS, ids="-to-".join)
def pair(request):
    name, provider = request.param
    return sdk_of(name), f"any-{provider}"


def fresh(question, model, **more):
    return Ask(f"{question} ({secrets.token_hex(4)})", model, **more)


def told(heard):
    """What an SDK shows of an answer, ids aside."""
    return heard.text, heard.thought, [(call.name, call.arguments) for call in heard.calls], heard.stop


@pytest.mark.parametrize("first", ["chat", "stream"])
def test_the_second_time_is_a_hit(pair, first):
    sdk, model = pair
    ask = fresh("How are you?", model)
    live = getattr(sdk, first)(ask)
    assert live.headers["x-askonce-cache"] == "miss"
    for way in ("chat", "stream", "stream"):
        again = getattr(sdk, way)(ask)
        assert (again.headers["x-askonce-cache"], again.headers["x-askonce-tier"]) == ("hit", "exact")
        assert told(again) == told(live) and "age" in again.headers
    assert len(vendor_calls(ask.question)) == 1


@pytest.mark.parametrize("first", ["chat", "stream"])
def test_a_call_of_a_tool_is_played_back(pair, first):
    sdk, model = pair
    if sdk.name == "mistralai":
        pytest.skip("it does not read calls in pieces")
    ask = fresh("What is the weather in Oslo and Rome? #tools", model, tools=[WEATHER])
    live = getattr(sdk, first)(ask)
    assert len(live.calls) == 2
    for way in ("chat", "stream"):
        again = getattr(sdk, way)(ask)
        assert again.headers["x-askonce-cache"] == "hit" and told(again) == told(live)
    # The conversation goes on with what came from the cache.
    final = sdk.chat(ask.to(history=sdk.results(again, ["Rain", "Sun"])))
    assert final.text == "Heard: Rain; Sun" and final.headers["x-askonce-cache"] == "miss"
    assert len(vendor_calls(ask.question)) == 2


def test_thoughts_are_played_back(pair):
    sdk, model = pair
    if sdk.name == "mistralai":
        pytest.skip("it has no word for them")
    ask = fresh("Why?", model, think=True)
    live = sdk.stream(ask)
    assert live.thought
    for way in ("chat", "stream"):
        again = getattr(sdk, way)(ask)
        assert again.headers["x-askonce-cache"] == "hit" and told(again) == told(live)


def test_structured_output_is_played_back(pair):
    sdk, model = pair
    ask = fresh("Anna is 31 years old.", model, schema=Person)
    assert [sdk.parse(ask).parsed for _ in range(2)] == [Person(name="Anna", age=31)] * 2
    assert len(vendor_calls(ask.question)) == 1


def test_another_question_is_a_miss(pair):
    sdk, model = pair
    for system in ("Be kind.", "Be brief."):
        ask = Ask("How are you today, all of you?", model, system=f"{system} {id(pair)}")
        assert sdk.chat(ask).headers["x-askonce-cache"] == "miss"


def test_another_wire_does_not_share():
    question = f"Who else hears this? ({secrets.token_hex(4)})"
    for name in ("openai-chat", "openai-responses", "anthropic", "google-genai", "boto3", "cohere", "ollama"):
        ask = Ask(question, "any-openai")
        outcomes = [sdk_of(name).chat(ask).headers["x-askonce-cache"] for _ in range(2)]
        assert outcomes == ["miss", "hit"], name
    assert len(vendor_calls(question)) == 7


def test_another_tenant_does_not_share(pair):
    sdk, model = pair
    ask = fresh("Is this mine alone?", model)
    assert sdk.chat(ask).headers["x-askonce-cache"] == "miss"
    assert sdk_of(sdk.name, "STORY_STRANGER_KEY").chat(ask).headers["x-askonce-cache"] == "miss"


def test_a_rewording_is_a_hit_by_meaning(pair):
    sdk, model = pair
    stranger = sdk_of(sdk.name, "STORY_STRANGER_KEY")
    system = f"You are at the desk of {secrets.token_hex(4)}."
    first = stranger.chat(Ask("How do I reset my password?", model, system=system))
    again = stranger.stream(Ask("How can I reset my password?", model, system=system))
    assert first.headers["x-askonce-cache"] == "miss"
    assert (again.headers["x-askonce-cache"], again.headers["x-askonce-tier"], again.text) == ("hit", "semantic", first.text)
    assert stranger.chat(Ask("How do I reset my 2 passwords?", model, system=system)).headers["x-askonce-cache"] == "miss"
