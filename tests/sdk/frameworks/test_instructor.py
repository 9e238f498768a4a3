"""instructor: structured answers over the clients of OpenAI and Anthropic."""

import anthropic
import instructor
import openai
import pytest
from conftest import KEY, TOLD, URL, Person, fresh


@pytest.fixture(params=[instructor.Mode.TOOLS, instructor.Mode.JSON_SCHEMA, instructor.Mode.ANTHROPIC_TOOLS], ids=lambda mode: mode.value)
def client(request):
    if request.param == instructor.Mode.ANTHROPIC_TOOLS:
        return instructor.from_anthropic(anthropic.Anthropic(base_url=f"{URL}/anthropic", api_key=KEY, max_retries=0), mode=request.param)
    return instructor.from_openai(openai.OpenAI(base_url=f"{URL}/v1", api_key=KEY, max_retries=0), mode=request.param)


def ask(client, model, question, **more):
    messages = [{"role": "user", "content": fresh(question)}]
    return client.chat.completions.create(model=model, messages=messages, response_model=Person, max_tokens=500, max_retries=1, **more)


def test_a_type_comes_back(client, model):
    assert ask(client, model, "Anna is 31 years old.").model_dump() == {"name": "Anna", "age": 31}


def test_a_type_streams_in(client, model):
    messages = [{"role": "user", "content": fresh("Anna is 31 years old.")}]
    *_, last = client.chat.completions.create_partial(model=model, messages=messages, response_model=Person, max_tokens=500)
    assert (last.name, last.age) == ("Anna", 31)


def test_errors(client, model):
    with pytest.raises(Exception) as raised:
        ask(client, model, "Do you work? #status-400")
    assert TOLD in str(raised.value)
