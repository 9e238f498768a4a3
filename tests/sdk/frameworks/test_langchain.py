"""LangChain: `ChatOpenAI` (chat completions and responses) and `ChatAnthropic`, at every provider."""

import anthropic
import openai
import pytest
from conftest import DOT, KEY, SEEN, TOLD, URL, USAGE, Person, fresh, weather
from langchain_anthropic import ChatAnthropic
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_openai import ChatOpenAI, OpenAIEmbeddings


@pytest.fixture(params=["openai", "responses", "anthropic"])
def chat(request, model):
    if request.param == "anthropic":
        return ChatAnthropic(model=model, base_url=f"{URL}/langchain", api_key=KEY, max_retries=0, max_tokens=1000)
    responses = request.param == "responses"
    return ChatOpenAI(
        model=model, base_url=f"{URL}/langchain/v1", api_key=KEY, max_retries=0, use_responses_api=responses, stream_usage=True
    )


def test_an_answer(chat):
    answer = chat.invoke(fresh("How are you?"))
    assert answer.text.startswith("Heard: How are you?")
    assert (answer.usage_metadata["input_tokens"], answer.usage_metadata["output_tokens"]) == USAGE


def test_a_stream(chat):
    chunks = list(chat.stream(fresh("How are you?")))
    whole = sum(chunks[1:], chunks[0])
    assert whole.text.startswith("Heard: How are you?") and len(chunks) > 3
    assert (whole.usage_metadata["input_tokens"], whole.usage_metadata["output_tokens"]) == USAGE


@pytest.mark.parametrize("stream", [False, True], ids=["chat", "stream"])
def test_a_tool_is_called_and_its_result_used(chat, stream):
    able = chat.bind_tools([weather])
    ask = lambda messages: sum(chunks[1:], chunks[0]) if stream and (chunks := list(able.stream(messages))) else able.invoke(messages)
    messages = [HumanMessage(fresh("What is the weather in Oslo?"))]
    turn = ask(messages)
    assert [(call["name"], call["args"]) for call in turn.tool_calls] == [("weather", {"city": "Oslo"})]
    messages += [turn, ToolMessage(weather("Oslo"), tool_call_id=turn.tool_calls[0]["id"])]
    assert ask(messages).text == "Heard: Rain in Oslo"


@pytest.mark.parametrize("method", ["json_schema", "function_calling"])
def test_structured_output(chat, method):
    assert chat.with_structured_output(Person, method=method).invoke(fresh("Anna is 31 years old.")) == Person(name="Anna", age=31)


def test_a_picture(chat):
    picture = {"type": "image", "base64": DOT, "mime_type": "image/png"}
    assert chat.invoke([HumanMessage([{"type": "text", "text": fresh("What is this?")}, picture])]).text == SEEN


@pytest.mark.parametrize(("status", "name"), [(400, "BadRequestError"), (429, "RateLimitError"), (503, "InternalServerError")])
def test_errors(chat, status, name):
    vendor = anthropic if isinstance(chat, ChatAnthropic) else openai
    with pytest.raises(getattr(vendor, name)) as raised:
        chat.invoke(fresh(f"Do you work? #status-{status}"))
    assert raised.value.status_code == status and TOLD in str(raised.value)


def test_embeddings():
    embeddings = OpenAIEmbeddings(model="any-openai-embedding", base_url=f"{URL}/langchain/v1", api_key=KEY, check_embedding_ctx_length=False)
    assert embeddings.embed_documents(["one", "three"]) == [[1.0, 0.0, 3.0], [1.0, 0.0, 5.0]]
