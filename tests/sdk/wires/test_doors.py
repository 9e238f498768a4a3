"""Where each SDK may be pointed, and how each shows its key."""

import os
import secrets

import anthropic
import boto3
import cohere
import httpx2
import ollama
import openai
import pytest
from botocore import UNSIGNED
from botocore.config import Config
from google import genai
from google.genai import types
from sdks import SDKS
from sdks.spoken import Ask

BASES = {
    "openai-chat": ["", "/v1", "/openai", "/openai/v1", "/litellm", "/litellm/v1", "/langchain", "/langchain/v1", "/pydanticai", "/pydanticai/v1"],
    "openai-responses": ["", "/v1", "/openai", "/openai/v1", "/litellm/v1", "/langchain/v1", "/pydanticai/v1"],
    "anthropic": ["", "/anthropic", "/litellm", "/langchain", "/pydanticai"],
    "google-genai": ["", "/genai", "/litellm", "/langchain", "/pydanticai"],
    "boto3": ["", "/bedrock", "/litellm", "/langchain", "/pydanticai"],
    "cohere": ["", "/cohere", "/litellm", "/langchain", "/pydanticai"],
    "mistralai": ["", "/openai", "/litellm"],
    "ollama": ["", "/ollama", "/litellm", "/langchain", "/pydanticai"],
}


@pytest.mark.parametrize(("name", "base"), [(name, base) for name, bases in BASES.items() for base in bases])
def test_a_prefix(name, base):
    sdk = SDKS[name](os.environ["STORY_WIRES_URL"] + base, os.environ["STORY_KEY"])
    question = f"Am I at the right door? ({secrets.token_hex(4)})"
    assert sdk.chat(Ask(question, "any-openai")).text == f"Heard: {question}"
    assert sdk.stream(Ask(question, "any-anthropic")).text == f"Heard: {question}"


@pytest.mark.parametrize("version", ["v1", "v1beta", "v1beta1"])
def test_versions_of_gemini(version):
    options = types.HttpOptions(base_url=os.environ["STORY_WIRES_URL"] + "/genai", api_version=version)
    client = genai.Client(api_key=os.environ["STORY_KEY"], http_options=options)
    question = f"Which version is this? ({secrets.token_hex(4)})"
    assert client.models.generate_content(model="any-gemini", contents=question).text == f"Heard: {question}"
    assert client.models.generate_content(model="gemini/gemini-2.5-flash", contents=question).text == f"Heard: {question}"


def test_a_bearer_token_of_bedrock():
    # boto3 itself sends one only over TLS.
    body = {"messages": [{"role": "user", "content": [{"text": "Is a token enough?"}]}]}
    headers = {"authorization": f"Bearer {os.environ['STORY_KEY']}"}
    answer = httpx2.post(f"{os.environ['STORY_WIRES_URL']}/model/any-bedrock/converse", json=body, headers=headers).json()
    assert answer["output"]["message"]["content"] == [{"text": "Heard: Is a token enough?"}]


@pytest.mark.parametrize("name", SDKS)
def test_a_wrong_key(name):
    for way in ("chat", "stream"):
        sdk = SDKS[name](os.environ["STORY_WIRES_URL"] + SDKS[name].PATH, "sk-not-a-key-of-this-gateway")
        with pytest.raises(sdk.ERRORS[401]) as raised:
            getattr(sdk, way)(Ask("Who am I?", "any-openai"))
        assert sdk.status(raised.value) in (401, 403)


def test_no_key():
    client = boto3.client("bedrock-runtime", endpoint_url=os.environ["STORY_WIRES_URL"], region_name="us-east-1", config=Config(signature_version=UNSIGNED))
    with pytest.raises(client.exceptions.ClientError):
        client.converse(modelId="any-bedrock", messages=[{"role": "user", "content": [{"text": "Who am I?"}]}])


@pytest.mark.parametrize("name", SDKS)
def test_an_unknown_model(name):
    sdk = SDKS[name](os.environ["STORY_WIRES_URL"] + SDKS[name].PATH, os.environ["STORY_KEY"])
    for way in (sdk.chat, sdk.stream):
        with pytest.raises(sdk.ERRORS[404]) as raised:
            way(Ask("Who are you?", "nobody-has-this"))
        assert sdk.status(raised.value) == 404 and "nobody-has-this" in sdk.message(raised.value)


def test_lists_of_models():
    url, key = os.environ["STORY_WIRES_URL"], os.environ["STORY_KEY"]
    wanted = {"any-openai", "any-gemini", "any-cohere"}
    assert wanted <= {model.id for model in openai.OpenAI(base_url=f"{url}/v1", api_key=key).models.list()}
    assert wanted <= {model.id for model in anthropic.Anthropic(base_url=f"{url}/anthropic", api_key=key).models.list(limit=100)}
    google = genai.Client(api_key=key, http_options=types.HttpOptions(base_url=f"{url}/genai"))
    assert wanted <= {model.name.removeprefix("models/") for model in google.models.list()}
    assert wanted <= {model.name for model in cohere.ClientV2(api_key=key, base_url=f"{url}/cohere").models.list().models}
    headers = {"authorization": f"Bearer {key}"}
    assert wanted <= {model.model for model in ollama.Client(host=f"{url}/ollama", headers=headers).list().models}


def test_models_that_ollama_lists():
    listed = {"qwen3:8b", "embeddinggemma:latest"}
    direct = ollama.Client(host=os.environ["STORY_VENDORS_URL"] + "/ollama").list().models
    assert {model.model for model in direct} == listed and all(model.size and model.modified_at for model in direct)
    url, key = os.environ["STORY_WIRES_URL"], os.environ["STORY_KEY"]
    assert listed <= {model.id for model in openai.OpenAI(base_url=f"{url}/v1", api_key=key).models.list()}
    question = f"Who is here? ({secrets.token_hex(4)})"
    for name in ("ollama", "openai-chat"):
        assert SDKS[name](url + SDKS[name].PATH, key).chat(Ask(question, "qwen3:8b")).text == f"Heard: {question}"


def test_what_ollama_has_and_askonce_has_not():
    client = ollama.Client(host=os.environ["STORY_WIRES_URL"], headers={"authorization": f"Bearer {os.environ['STORY_KEY']}"})
    for call in (lambda: client.generate("any-ollama", "Hello?"), lambda: client.show("any-ollama"), client.ps):
        with pytest.raises(ollama.ResponseError) as refused:
            call()
        assert refused.value.status_code == 404 and "/api/" in refused.value.error


def test_the_array_that_gemini_streams_without_sse():
    url = f"{os.environ['STORY_WIRES_URL']}/v1beta/models/any-anthropic:streamGenerateContent"
    question = f"Is this an array? ({secrets.token_hex(4)})"
    body = {"contents": [{"parts": [{"text": question}]}]}
    reply = httpx2.post(url, json=body, headers={"x-goog-api-key": os.environ["STORY_KEY"]})
    pieces = [part["text"] for one in reply.json() for part in one["candidates"][0]["content"]["parts"]]
    assert "".join(pieces) == f"Heard: {question}" and len(pieces) > 3


def test_tokens_are_counted():
    url, key = os.environ["STORY_WIRES_URL"], os.environ["STORY_KEY"]
    messages = [{"role": "user", "content": "How long is this?"}]
    assert anthropic.Anthropic(base_url=url, api_key=key).messages.count_tokens(model="any-anthropic", messages=messages).input_tokens == 42
