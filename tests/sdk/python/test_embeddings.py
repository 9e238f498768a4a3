"""Embeddings, served on the host by the sentence model or passed to a provider."""

import math
import os

import ollama
import openai
import pytest

MODEL = "all-MiniLM-L6-v2"


def cosine(one, other):
    return sum(a * b for a, b in zip(one, other, strict=True))


def test_the_sdks_default_form_and_plain_floats_agree(client):
    text = "How do I reset my password?"
    packed = client.embeddings.create(model=MODEL, input=text)  # the SDK asks for base64, and unpacks it
    plain = client.embeddings.create(model=MODEL, input=text, encoding_format="float")
    assert packed.object == "list" and packed.data[0].object == "embedding" and packed.model == MODEL
    vector = packed.data[0].embedding
    assert len(vector) == 384 and vector == pytest.approx(plain.data[0].embedding, abs=1e-6)
    assert math.isclose(cosine(vector, vector), 1, abs_tol=1e-4), "unit norm"
    assert packed.usage.prompt_tokens > 0 and packed.usage.total_tokens == packed.usage.prompt_tokens


def test_base64_that_is_asked_for_stays_base64(client):
    raw = client.embeddings.create(model=MODEL, input="hello", encoding_format="base64").data[0].embedding
    assert isinstance(raw, str) and len(raw) == 384 * 4 * 4 // 3


def test_a_batch_equals_its_singles(client):
    texts = ["Where is my parcel?", "How do I boil an egg?", "Where is my parcel now?"]
    batch = client.embeddings.create(model=MODEL, input=texts)
    assert [item.index for item in batch.data] == [0, 1, 2]
    for text, item in zip(texts, batch.data, strict=True):
        single = client.embeddings.create(model=MODEL, input=text).data[0].embedding
        assert cosine(single, item.embedding) > 0.9999
    near = cosine(batch.data[0].embedding, batch.data[2].embedding)
    far = cosine(batch.data[0].embedding, batch.data[1].embedding)
    assert near > 0.9 > 0.4 > far


def test_dimensions(client):
    assert len(client.embeddings.create(model=MODEL, input="hello", dimensions=384).data[0].embedding) == 384
    with pytest.raises(openai.BadRequestError) as refused:
        client.embeddings.create(model=MODEL, input="hello", dimensions=256)
    assert refused.value.param == "dimensions" and "384" in refused.value.message


@pytest.mark.parametrize("wrong", [{"input": []}, {"input": [1, 2, 3]}, {"input": ""}, {"input": "x", "encoding_format": "hex"}])
def test_wrong_input_is_refused(client, wrong):
    with pytest.raises(openai.BadRequestError) as refused:
        client.embeddings.create(model=MODEL, **wrong)
    assert refused.value.param in ("input", "encoding_format") and refused.value.message


def test_an_unknown_model(client):
    with pytest.raises(openai.NotFoundError) as refused:
        client.embeddings.create(model="nobody-has-this", input="hello")
    assert refused.value.code == "model_not_found"


def test_a_providers_embeddings_pass(client):
    ask = lambda: client.embeddings.with_raw_response.create(model="scripted-embedding", input=["four"], encoding_format="float")
    first, second = ask(), ask()
    assert first.parse().data[0].embedding == [1.0, 0.0, 4.0] and first.headers["x-askonce-provider"] == "scripted"
    assert second.headers["x-askonce-cache"] == "hit" and second.parse().data[0].embedding == [1.0, 0.0, 4.0]


@pytest.fixture
def ollamas():
    """Ollama's client, which leaves the headers of its last reply in `headers`."""
    headers = {}
    hooks = {"response": [lambda reply: headers.update(reply.headers)]}
    key = {"authorization": f"Bearer {os.environ['STORY_KEY']}"}
    speaker = ollama.Client(host=os.environ["STORY_URL"], headers=key, event_hooks=hooks, timeout=60)
    speaker.headers = headers
    return speaker


def test_ollamas_client_gets_a_providers_vectors(ollamas):
    for outcome in ("miss", "hit"):
        answer = ollamas.embed(model="scripted-embedding", input=["one to Ollama", "another"])
        assert ollamas.headers["x-askonce-cache"] == outcome
        assert answer.embeddings == [[1.0, 0.0, 13.0], [1.0, 0.0, 7.0]] and answer.prompt_eval_count > 0
        assert answer.model == "scripted-embedding"
    assert ollamas.embed(model="scripted-embedding", input="alone").embeddings == [[1.0, 0.0, 5.0]]


def test_ollamas_client_is_told_what_is_wrong(ollamas):
    for model, text, status in (("nobody-has-this", "hello", 404), ("scripted-embedding", [], 400)):
        with pytest.raises(ollama.ResponseError) as refused:
            ollamas.embed(model=model, input=text)
        assert refused.value.status_code == status and refused.value.error
