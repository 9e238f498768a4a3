"""What reaches each vendor: its path, its key, its signature; and the clouds that speak a wire of somebody else."""

import os
import secrets
import urllib.parse

import cohere
import ollama
import openai
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from conftest import vendor_calls
from google import genai
from google.genai import types
from sdks import SDKS
from sdks.spoken import WEATHER, Ask

URL, KEY = os.environ.get("STORY_WIRES_URL", ""), os.environ.get("STORY_KEY", "")
CLAUDE = urllib.parse.quote("anthropic.claude-sonnet-4-5-20250929-v1:0", safe="")


def sent(model, name="openai-chat", way="chat"):
    """One request through one SDK, as it reached the vendor."""
    sdk = SDKS[name](URL + SDKS[name].PATH, KEY)
    question = f"What reaches you? ({secrets.token_hex(4)})"
    assert getattr(sdk, way)(Ask(question, model)).text == f"Heard: {question}"
    (call,) = vendor_calls(question)
    assert KEY not in str(call), "the caller's key stays here"
    return call


def ollama_client():
    return ollama.Client(host=URL, headers={"authorization": f"Bearer {KEY}"})


def test_openai():
    call = sent("any-openai")
    assert call["path"] == "/openai/v1/chat/completions"
    assert call["headers"]["authorization"] == f"Bearer {os.environ['STORY_UPSTREAM_KEY']}"
    assert sent("any-responses")["path"] == "/openai/v1/responses"
    assert sent("any-openai", "openai-responses")["path"] == "/openai/v1/responses", "it has this wire itself"
    assert sent("any-chat", "openai-responses")["path"] == "/openai/v1/chat/completions"


def test_anthropic():
    call = sent("any-anthropic")
    assert call["path"] == "/anthropic/v1/messages"
    assert call["headers"]["x-api-key"] == os.environ["STORY_UPSTREAM_KEY"] and call["headers"]["anthropic-version"] == "2023-06-01"


def test_gemini():
    call = sent("any-gemini")
    assert call["path"] == "/gemini/v1beta/models/gemini-2.5-flash:generateContent"
    assert call["headers"]["x-goog-api-key"] == os.environ["STORY_UPSTREAM_KEY"]
    assert sent("any-gemini", way="stream")["path"] == "/gemini/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse"


def test_cohere():
    call = sent("any-cohere")
    assert call["path"] == "/cohere/v2/chat" and call["headers"]["authorization"] == f"Bearer {os.environ['STORY_UPSTREAM_KEY']}"


def test_ollama():
    for name, way in (("openai-chat", "chat"), ("anthropic", "stream"), ("ollama", "chat"), ("ollama", "stream")):
        call = sent("any-ollama", name, way)
        assert call["path"] == "/ollama/api/chat" and call["headers"]["authorization"] == f"Bearer {os.environ['STORY_UPSTREAM_KEY']}"
        assert (call["body"]["model"], call["body"]["stream"]) == ("qwen3:8b", way == "stream")


def test_what_only_ollama_has():
    options, question = {"num_ctx": 8192, "min_p": 0.05, "mirostat": 2, "stop": ["END"]}, f"What has it all? ({secrets.token_hex(4)})"
    request = {"messages": [{"role": "user", "content": question}], "options": options, "keep_alive": "10m", "think": False}
    client = ollama_client()
    assert client.chat("any-ollama", **request).message.content == f"Heard: {question}"
    (call,) = vendor_calls(question)
    assert call["body"] == {**request, "model": "qwen3:8b", "stream": False, "tools": []}
    openai_client = openai.OpenAI(base_url=f"{URL}/v1", api_key=KEY, max_retries=0)
    more = {"num_ctx": 8192, "min_p": 0.05, "keep_alive": "10m"}
    openai_client.chat.completions.create(model="any-ollama", messages=request["messages"], stop=["END"], extra_body=more)
    call = vendor_calls(question)[-1]
    assert call["body"]["options"] == {"num_ctx": 8192, "min_p": 0.05, "stop": ["END"]} and call["body"]["keep_alive"] == "10m"


def test_what_only_ollama_has_is_named_where_it_goes_elsewhere():
    headers = {}
    hooks = {"response": [lambda reply: headers.update(reply.headers)]}
    question = f"What is lost? ({secrets.token_hex(4)})"
    client = ollama.Client(host=URL, headers={"authorization": f"Bearer {KEY}"}, event_hooks=hooks)
    messages, options = [{"role": "user", "content": question}], {"num_ctx": 8192, "num_predict": 50}
    client.chat("any-anthropic", messages=messages, options=options, keep_alive="10m")
    (call,) = vendor_calls(question)
    assert call["body"]["max_tokens"] == 50 and "options" not in call["body"]
    assert set(headers["x-askonce-dropped"].replace(" ", "").split(",")) == {"options.num_ctx", "keep_alive"}


def test_a_model_is_loaded_each_time():
    for _ in range(2):
        answer = SDKS["ollama"](URL, KEY)
        loaded = answer.client.chat("any-ollama", keep_alive="10m")
        assert (loaded.done_reason, loaded.message.content, answer.headers["x-askonce-cache"]) == ("load", "", "miss")


@pytest.mark.parametrize("provider", ["openai", "responses", "anthropic", "gemini", "bedrock", "cohere", "ollama"])
def test_results_that_ollamas_client_tells_by_names(provider):
    question = f"What is the weather in Oslo, and the time? ({secrets.token_hex(4)})"
    call = lambda name: {"function": {"name": name, "arguments": {"city": "Oslo"}}}
    result = lambda name, text: {"role": "tool", "tool_name": name, "content": text}
    messages = [
        {"role": "user", "content": question},
        {"role": "assistant", "content": "", "tool_calls": [call("weather"), call("clock"), call("weather")]},
        *(result(name, text) for name, text in (("clock", "Noon"), ("weather", "Rain"), ("weather", "Sun"))),
    ]
    assert ollama_client().chat(f"any-{provider}", messages=messages).message.content == "Heard: Noon; Rain; Sun"
    (seen,) = vendor_calls(question)
    if provider == "openai":
        ids = {message["content"]: message["tool_call_id"] for message in seen["body"]["messages"] if message["role"] == "tool"}
        calls = seen["body"]["messages"][1]["tool_calls"]
        assert [call["id"] for call in calls] == [ids["Rain"], ids["Noon"], ids["Sun"]] and len(set(ids.values())) == 3


def test_how_much_ollama_is_to_think():
    question = f"How deep? ({secrets.token_hex(4)})"
    messages = [{"role": "user", "content": question}]
    assert ollama_client().chat("any-openai", messages=messages, think="high").message.thinking
    (call,) = vendor_calls(question)
    assert call["body"]["reasoning_effort"] == "high"
    raw = openai.OpenAI(base_url=f"{URL}/v1", api_key=KEY, max_retries=0).chat.completions.with_raw_response
    reply = raw.create(model="any-ollama", messages=messages, reasoning_effort="high")
    assert vendor_calls(question)[-1]["body"]["think"] is True and reply.headers["x-askonce-dropped"] == "reasoning.effort"


@pytest.mark.parametrize("name", ["openai-chat", "boto3"])
@pytest.mark.parametrize(("way", "method"), [("chat", "converse"), ("stream", "converse-stream")])
def test_bedrocks_signature_is_the_one_that_botocore_makes(name, way, method):
    call = sent("any-bedrock", name, way)
    assert call["path"] == f"/bedrock/model/{CLAUDE}/{method}"
    headers = call["headers"]
    told = dict(part.strip().split("=", 1) for part in headers["authorization"].removeprefix("AWS4-HMAC-SHA256 ").split(","))
    signed = {name: headers[name] for name in told["SignedHeaders"].split(";")}
    assert {"host", "x-amz-date"} <= signed.keys()
    request = AWSRequest("POST", f"http://{headers['host']}{call['path']}", data=call["text"].encode(), headers=signed)
    request.context["timestamp"] = headers["x-amz-date"]
    oracle = SigV4Auth(Credentials("AKIASCRIPTED", os.environ["STORY_UPSTREAM_KEY"]), "bedrock", "eu-central-1")
    if "x-amz-content-sha256" in headers:
        assert oracle.payload(request) == headers["x-amz-content-sha256"]
    signature = oracle.signature(oracle.string_to_sign(request, oracle.canonical_request(request)), request)
    assert told["Signature"] == signature


@pytest.mark.parametrize("name", ["openai-chat", "anthropic", "google-genai"])
@pytest.mark.parametrize("way", ["chat", "stream"])
def test_azure(name, way):
    call = sent("any-azure", name, way)
    assert call["path"] == "/azure/openai/deployments/my-deployment/chat/completions?api-version=2024-10-21"
    assert call["headers"]["api-key"] == os.environ["STORY_UPSTREAM_KEY"]


@pytest.mark.parametrize("name", ["openai-chat", "anthropic", "google-genai"])
@pytest.mark.parametrize("way", ["chat", "stream"])
def test_vertex(name, way):
    call = sent("any-vertex", name, way)
    method = "generateContent" if way == "chat" else "streamGenerateContent?alt=sse"
    assert call["path"] == f"/vertex/v1/projects/our-project/locations/europe-west4/publishers/google/models/gemini-2.5-pro:{method}"
    assert call["headers"]["authorization"] == "Bearer scripted-access-token"


def test_tools_reach_azure_and_vertex():
    for model in ("any-azure", "any-vertex"):
        sdk = SDKS["anthropic"](URL, KEY)
        ask = Ask(f"What is the weather in Oslo? ({secrets.token_hex(4)})", model, tools=[WEATHER])
        turn = sdk.stream(ask)
        assert sdk.chat(ask.to(history=sdk.results(turn, ["Rain"]))).text == "Heard: Rain"


def test_embeddings_in_every_wire():
    expected = [[1.0, 0.0, 3.0], [1.0, 0.0, 5.0]]
    google = genai.Client(api_key=KEY, http_options=types.HttpOptions(base_url=URL))
    coherent = cohere.ClientV2(api_key=KEY, base_url=URL)
    client = openai.OpenAI(base_url=f"{URL}/v1", api_key=KEY, max_retries=0)
    for model in ("openai/text-embedding-3-small", "cohere/embed-v4.0", "ollama/embeddinggemma:latest"):
        answer = client.embeddings.create(model=model, input=["one", "three"], encoding_format="float")
        assert [row.embedding for row in answer.data] == expected, model
        answer = google.models.embed_content(model=model, contents=["one", "three"])
        assert [row.values for row in answer.embeddings] == expected, model
        answer = coherent.embed(model=model, texts=["one", "three"], input_type="search_document", embedding_types=["float"])
        assert answer.embeddings.float_ == expected, model
        assert ollama_client().embed(model=model, input=["one", "three"]).embeddings == expected, model


def test_rerank():
    answer = cohere.ClientV2(api_key=KEY, base_url=URL).rerank(model="cohere/rerank-v3.5", query="Which?", documents=["a", "abc", "ab"], top_n=2)
    assert [result.index for result in answer.results] == [1, 2]
