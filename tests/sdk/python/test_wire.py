"""What reaches the provider, and what comes back, with a scripted upstream that keeps what it was sent."""

import os

from conftest import calls

RED_DOT = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR4nGP4z8DwHwAFAAH/iZk9HQAAAABJRU5ErkJggg=="

WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "Today's weather in a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


def test_the_gateways_key_goes_upstream_and_the_callers_does_not(scripted):
    scripted.ask("Which key came with this?")
    (call,) = calls("Which key came with this?")
    assert call["headers"]["authorization"] == f"Bearer {os.environ['STORY_UPSTREAM_KEY']}"
    assert not any(os.environ["STORY_KEY"] in value for value in call["headers"].values())


def test_unknown_fields_go_upstream_and_come_back(scripted):
    heard = scripted.ask("Does everything arrive?", extra_body={"x_new": {"deep": [1, 2.5, None]}}, logit_bias={"50256": -100})
    (call,) = calls("Does everything arrive?")
    assert call["body"]["x_new"] == {"deep": [1, 2.5, None]} and call["body"]["logit_bias"] == {"50256": -100}
    assert heard.answer.x_call == 1


def test_only_the_models_name_is_replaced(scripted):
    heard = scripted.ask("Which model am I?", model="priced")
    (call,) = calls("Which model am I?")
    assert call["body"]["model"] == "scripted"
    assert {key: value for key, value in call["body"].items() if key != "model"} == {
        "messages": [{"role": "user", "content": "Which model am I?"}],
        "seed": scripted.settings["seed"],
    }
    assert heard.words.endswith("Which model am I?")


def test_a_provider_is_named_with_a_slash(scripted):
    assert scripted.ask("Are you there?", model="scripted/scripted").headers["x-askonce-provider"] == "scripted"


def test_images_by_url_and_base64(scripted):
    def parts(image):
        text = {"type": "text", "text": "What is in this picture?"}
        return [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": image}}, text]}]

    outcomes = [
        scripted.ask(messages=parts(image)).outcome for image in (RED_DOT, "https://pictures.example/1.png", RED_DOT, RED_DOT[:-8] + "AAAA")
    ]
    assert outcomes == ["miss", "miss", "hit", "miss"], "another picture is another question"
    sent = [call["body"]["messages"][0]["content"][0]["image_url"]["url"] for call in calls("What is in this picture?")]
    assert sent == [RED_DOT, "https://pictures.example/1.png", RED_DOT[:-8] + "AAAA"]


def test_reasoning_is_kept_plain_and_streamed(scripted):
    question, more = "Think first, please", {"reasoning_effort": "high"}
    first = scripted.ask(question, **more)
    assert first.answer.choices[0].message.reasoning_content == "It thought about it."
    again = scripted.stream(question, **more)
    thoughts = [choice.delta.model_extra.get("reasoning_content") or "" for chunk in again.answer for choice in chunk.choices]
    assert again.outcome == "hit" and "".join(thoughts) == "It thought about it." and again.words == first.words


def test_a_tool_is_called_and_its_result_used(scripted):
    messages = [{"role": "user", "content": "What is the weather in Oslo?"}]
    for outcome in ("miss", "hit"):
        turn = scripted.ask(messages=messages, tools=[WEATHER])
        message = turn.answer.choices[0].message
        assert turn.outcome == outcome and turn.answer.choices[0].finish_reason == "tool_calls"
        assert message.content is None
        assert [(call.function.name, call.function.arguments) for call in message.tool_calls] == [("weather", '{"city": "Oslo"}')]
    messages += [message, {"role": "tool", "tool_call_id": message.tool_calls[0].id, "content": "Rain, 9 degrees"}]
    final = scripted.ask(messages=messages, tools=[WEATHER])
    assert final.outcome == "miss" and final.words.endswith("Rain, 9 degrees")
    assert scripted.ask(messages=messages, tools=[WEATHER]).outcome == "hit"
    messages[-1] = {**messages[-1], "content": "Sun, 20 degrees"}
    assert scripted.ask(messages=messages, tools=[WEATHER]).words.endswith("Sun, 20 degrees")


def test_streamed_tool_calls_add_up(scripted):
    for outcome in ("miss", "hit"):
        heard = scripted.stream("What is the weather in Bergen?", tools=[WEATHER])
        pieces = [call for chunk in heard.answer for choice in chunk.choices for call in choice.delta.tool_calls or ()]
        assert heard.outcome == outcome
        assert {piece.index for piece in pieces} == {0}
        assert [piece.function.name for piece in pieces if piece.function.name] == ["weather"]
        assert "".join(piece.function.arguments or "" for piece in pieces) == '{"city": "Bergen"}'
        assert [choice.finish_reason for chunk in heard.answer for choice in chunk.choices if choice.finish_reason] == ["tool_calls"]


def test_tool_calls_are_not_shared_by_meaning(scripted):
    scripted.ask("What is the weather in Oslo?", tools=[WEATHER])
    reworded = scripted.ask("How is the weather in Oslo?", tools=[WEATHER])
    assert reworded.outcome == "miss"


def test_a_rate_limit_is_waited_out(scripted):
    heard = scripted.ask("Are you busy?", model="busy")
    assert heard.words.endswith("Are you busy?") and len(calls("Are you busy?")) == 2


def test_the_next_target_answers_when_the_first_is_down(scripted):
    heard = scripted.ask("Is anybody there?", model="falls-back")
    assert heard.headers["x-askonce-provider"] == "scripted" and heard.words.endswith("Is anybody there?")
