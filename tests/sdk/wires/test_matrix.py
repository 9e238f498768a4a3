"""Every official SDK at every provider's wire: what is said arrives, and what comes back is the SDK's own.

The vendors are scripted (`vendors/script.py` says what a question makes of them). `direct` is the SDK at the scripted vendor
of its own wire, without askonce: it shows that the script keeps to the wire.
"""

import pytest
from conftest import vendor_calls
from sdks.spoken import WEATHER, Person, dot

TROUBLE = "The scripted vendor is in trouble."
USAGE = (1000, 200, 500)
# Its client reads no count of cached tokens.
USAGE_OF_OLLAMA = (1000, 0, 500)


def test_an_answer(cell, way):
    ask = cell.ask("How are you?")
    heard = getattr(cell.sdk, way)(ask)
    assert (heard.text, heard.stop, heard.calls) == (f"Heard: {ask.question}", "end", [])
    if cell.sdk_name != "mistralai" or way == "chat":  # it does not ask for the usage of a stream
        assert heard.usage == (USAGE_OF_OLLAMA if cell.sdk_name.startswith("ollama") else USAGE)
    if way == "stream":
        assert heard.pieces >= 4, "a stream comes in pieces"


def test_a_long_stream(cell):
    heard = cell.sdk.stream(cell.ask("Tell me all. #long"))
    assert heard.text == " ".join(f"word{at}" for at in range(200)) and heard.pieces > 50


def test_the_system_prompt_arrives(cell):
    assert cell.sdk.chat(cell.ask("What were you told? #system", system="Be kind.")).text == "Told: Be kind."


def test_a_conversation_goes_on(cell, way):
    first = cell.sdk.chat(cell.ask("Who are you?"))
    ask = cell.ask("And then?")
    ask.history = [*first.history, cell.sdk.user(ask)]
    assert getattr(cell.sdk, way)(ask).text == f"Heard: {ask.question}"


def reads_calls(cell, way):
    """mistralai reads a streamed call only whole, as its vendor sends it; other wires tell it in pieces."""
    return cell.sdk_name != "mistralai" or way == "chat" or cell.provider in ("direct", "mistral")


def test_a_tool_is_called_and_its_result_used(cell, way):
    if not reads_calls(cell, way):
        pytest.skip(reads_calls.__doc__)
    ask = cell.ask("What is the weather in Oslo?", tools=[WEATHER])
    turn = getattr(cell.sdk, way)(ask)
    assert [(call.name, call.arguments) for call in turn.calls] == [("weather", {"city": "Oslo"})] and turn.stop == "tools"
    final = getattr(cell.sdk, way)(ask.to(history=cell.sdk.results(turn, ["Rain, 9 degrees"])))
    assert (final.text, final.stop, final.calls) == ("Heard: Rain, 9 degrees", "end", [])


def test_two_calls_at_once(cell, way):
    if not reads_calls(cell, way):
        pytest.skip(reads_calls.__doc__)
    ask = cell.ask("What is the weather in Bergen and Rome? #tools", tools=[WEATHER])
    turn = getattr(cell.sdk, way)(ask)
    assert [call.arguments["city"] for call in turn.calls] == ["Bergen", "Rome"] and turn.stop == "tools"
    assert len({call.id for call in turn.calls}) == 2 or cell.sdk_name in ("google-genai", "ollama"), "ids, where the SDK shows them"
    final = getattr(cell.sdk, way)(ask.to(history=cell.sdk.results(turn, ["Rain", "Sun"])))
    assert final.text == "Heard: Rain; Sun"


def test_a_tool_must_be_called(cell):
    if cell.sdk_name == "ollama":
        pytest.skip("its wire has no word for it")
    ask = cell.ask("Say hello.", tools=[WEATHER], must_call=True)
    if cell.provider == "ollama":
        with pytest.raises(cell.sdk.ERRORS[400]) as refused:
            cell.sdk.chat(ask)
        assert cell.sdk.status(refused.value) == 400 and "`ollama`" in cell.sdk.message(refused.value)
        assert not vendor_calls(ask.question)
        return
    turn = cell.sdk.chat(ask)
    assert [call.name for call in turn.calls] == ["weather"]


def test_structured_output(cell):
    heard = cell.sdk.parse(cell.ask("Anna is 31 years old.", schema=Person))
    assert heard.parsed == Person(name="Anna", age=31)


def test_a_picture(cell):
    heard = cell.sdk.chat(cell.ask("What is this?", picture=dot()))
    assert heard.text == f"Seen: image/png of {len(dot())} bytes"


# mistralai has no word for it.
THINKERS = ("openai-chat", "openai-responses", "anthropic", "google-genai", "boto3", "cohere", "ollama")
SIGNED = ("openai-responses", "anthropic", "google-genai", "boto3")


def test_thoughts(cell, way):
    if cell.sdk_name not in THINKERS or (cell.sdk_name, cell.provider) == ("openai-chat", "gemini"):
        pytest.skip("chat completions have no word for telling the thoughts, and Gemini tells them only when asked")
    # Ollama's word for it has no degrees, and those of OpenAI's wires are nothing else: their models think unasked.
    unasked = cell.sdk_name == "ollama" and cell.provider in ("openai", "chat", "responses", "mistral")
    heard = getattr(cell.sdk, way)(cell.ask("Why? #think" if unasked else "Why?", think=True))
    assert heard.thought == "It thought about it." and heard.text.startswith("Heard: Why?")


def test_signed_thoughts_go_back_with_the_tools_result(cell, way):
    if cell.sdk_name not in SIGNED or cell.provider not in ("direct", "responses", "anthropic", "gemini", "bedrock"):
        pytest.skip("the wire of one of them has no signatures")
    if cell.provider == "gemini" and cell.sdk_name in ("anthropic", "boto3"):
        pytest.skip("Gemini signs the call of the tool, where these wires have no place for it")
    ask = cell.ask("What is the weather in Oslo?", tools=[WEATHER], think=True)
    turn = getattr(cell.sdk, way)(ask)
    assert turn.thought == "It thought about it." and turn.calls
    final = getattr(cell.sdk, way)(ask.to(history=cell.sdk.results(turn, ["Rain"])))
    assert final.text == "Heard: Rain (signed)"


def test_the_token_limit(cell, way):
    assert getattr(cell.sdk, way)(cell.ask("Go on. #length")).stop == "length"


def test_a_refusal(cell, way):
    # Ollama's wire has none either, but its field is a text, in which askonce tells those of others.
    if cell.provider in ("cohere", "ollama") or cell.sdk_name == "cohere" or (cell.is_direct and cell.sdk_name == "ollama"):
        pytest.skip("its wire has no word for a refusal")
    heard = getattr(cell.sdk, way)(cell.ask("Do evil. #refuse"))
    # Responses tell a refusal in words and end as usual; so do chat completions then.
    plain = cell.provider == "responses" and cell.sdk_name in ("openai-chat", "mistralai")
    assert heard.stop == ("end" if plain else "refusal")


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 429, 500, 503, 504, 529])
def test_an_error_of_the_vendor(cell, way, status):
    # That the gateway's own key is refused is no fault of the caller's key.
    expected = 502 if status in (401, 403) and not cell.is_direct else status
    with pytest.raises(cell.sdk.ERRORS[expected]) as raised:
        getattr(cell.sdk, way)(cell.ask(f"Do you work? #status-{status}"))
    assert cell.sdk.status(raised.value) == expected
    message = cell.sdk.message(raised.value)
    if expected == status:
        assert TROUBLE in message


@pytest.mark.parametrize("way_to_break", ["fail", "cut", "close"])
def test_a_stream_that_breaks(cell, way_to_break):
    if cell.is_direct and way_to_break != "fail":
        pytest.skip("SDKs see it as an error of the network, or not at all; askonce tells them")
    ask = cell.ask(f"Will you break? #{way_to_break}")
    for _ in range(1 if cell.is_direct else 2):
        with cell.breaks():
            cell.sdk.stream(ask)
    if not cell.is_direct:
        assert len(vendor_calls(ask.question)) == 2, "half an answer is not stored"
