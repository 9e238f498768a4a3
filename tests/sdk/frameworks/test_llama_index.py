"""LlamaIndex: `OpenAILike`."""

import openai
import pytest
from conftest import KEY, SEEN, TOLD, URL, Person, dot, fresh, weather
from llama_index.core.base.llms.types import ChatMessage, ImageBlock, TextBlock
from llama_index.core.tools import FunctionTool
from llama_index.llms.openai_like import OpenAILike


@pytest.fixture
def llm(model):
    return OpenAILike(
        model=model, api_base=f"{URL}/openai/v1", api_key=KEY, is_chat_model=True, is_function_calling_model=True,
        should_use_structured_outputs=True, max_retries=0, context_window=16000,
    )


def said(text):
    return [ChatMessage(role="user", content=fresh(text))]


def test_an_answer(llm):
    assert llm.chat(said("How are you?")).message.content.startswith("Heard: How are you?")
    assert llm.complete(fresh("How are you?")).text.startswith("Heard: How are you?")


def test_a_stream(llm):
    pieces = list(llm.stream_chat(said("How are you?")))
    assert pieces[-1].message.content.startswith("Heard: How are you?") and len(pieces) > 3


def test_a_tool_is_called_and_its_result_used(llm):
    tool = FunctionTool.from_defaults(weather)
    history = said("What is the weather in Oslo?")
    turn = llm.chat_with_tools([tool], chat_history=history)
    (call,) = llm.get_tool_calls_from_response(turn)
    assert (call.tool_name, call.tool_kwargs) == ("weather", {"city": "Oslo"})
    result = ChatMessage(role="tool", content=weather("Oslo"), additional_kwargs={"tool_call_id": call.tool_id})
    final = llm.chat_with_tools([tool], chat_history=[*history, turn.message, result])
    assert final.message.content == "Heard: Rain in Oslo"


def test_structured_output(llm):
    answer = llm.as_structured_llm(Person).chat(said("Anna is 31 years old."))
    assert answer.raw == Person(name="Anna", age=31)


def test_a_picture(llm):
    blocks = [TextBlock(text=fresh("What is this?")), ImageBlock(image=dot(), image_mimetype="image/png")]
    assert llm.chat([ChatMessage(role="user", blocks=blocks)]).message.content == SEEN


def test_errors(llm):
    with pytest.raises(openai.BadRequestError) as raised:
        llm.chat(said("Do you work? #status-400"))
    assert TOLD in str(raised.value)
