"""Pydantic AI: its models for OpenAI (chat completions and responses), below `/pydanticai`."""

import pytest
from conftest import KEY, SEEN, TOLD, URL, USAGE, Person, dot, fresh, weather
from pydantic_ai import Agent, BinaryContent, NativeOutput, ToolOutput
from pydantic_ai.exceptions import ModelHTTPError
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.providers.openai import OpenAIProvider


@pytest.fixture(params=["openai", "responses"])
def of(request, model):
    kind = OpenAIResponsesModel if request.param == "responses" else OpenAIChatModel
    return kind(model, provider=OpenAIProvider(base_url=f"{URL}/pydanticai/v1", api_key=KEY))


def test_an_answer(of):
    run = Agent(of, instructions="Be kind.").run_sync(fresh("How are you?"))
    assert run.output.startswith("Heard: How are you?")
    assert (run.usage.input_tokens, run.usage.output_tokens) == USAGE


def test_a_stream(of):
    with Agent(of).run_stream_sync(fresh("How are you?")) as run:
        pieces = list(run.stream_text(delta=True, debounce_by=None))
    assert "".join(pieces).startswith("Heard: How are you?") and len(pieces) > 3


def test_a_tool_is_called_and_its_result_used(of):
    assert Agent(of, tools=[weather]).run_sync(fresh("What is the weather in Oslo?")).output == "Heard: Rain in Oslo"


def test_structured_output_by_tool(of):
    run = Agent(of, output_type=ToolOutput(Person)).run_sync(fresh("Anna is 31 years old."))
    assert run.output == Person(name="Anna", age=31)


def test_structured_output_by_schema(of):
    run = Agent(of, output_type=NativeOutput(Person)).run_sync(fresh("Anna is 31 years old."))
    assert run.output == Person(name="Anna", age=31)


def test_a_picture(of):
    run = Agent(of).run_sync([fresh("What is this?"), BinaryContent(dot(), media_type="image/png")])
    assert run.output == SEEN


@pytest.mark.parametrize("status", [400, 404])
def test_errors(of, status):
    with pytest.raises(ModelHTTPError) as raised:
        Agent(of).run_sync(fresh(f"Do you work? #status-{status}"))
    assert raised.value.status_code == status and TOLD in str(raised.value.body)
