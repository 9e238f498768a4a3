"""Errors, as the official client understands them."""

import json
import os
import urllib.error
import urllib.request

import openai
import pytest
from conftest import Voice, calls, client_of


def refused(kind, ask):
    with pytest.raises(kind) as error:
        ask()
    assert error.value.response.headers["x-request-id"] == error.value.request_id
    return error.value


def test_an_unknown_model(scripted):
    error = refused(openai.NotFoundError, lambda: scripted.ask("Hello", model="nobody-has-this"))
    assert error.code == "model_not_found" and error.param == "model" and "nobody-has-this" in error.message


def test_a_wrong_key(scripted):
    error = refused(openai.AuthenticationError, lambda: scripted.by(client_of("sk-not-a-key-of-this-gateway")).ask("Hello"))
    assert error.code == "invalid_api_key"
    refused(openai.AuthenticationError, lambda: client_of("sk-not-a-key-of-this-gateway").models.list())


@pytest.mark.parametrize(
    ("wrong", "param"),
    [
        ({"messages": "hello"}, "messages"),
        ({"messages": [{"content": "hello"}]}, "messages.[0].role"),
        ({"messages": [{"role": "user", "content": 7}]}, "messages.[0].content"),
        ({"stream_options": "usage"}, "stream_options"),
        ({"model": 7}, "model"),
    ],
)
def test_a_wrong_request(scripted, wrong, param):
    error = refused(openai.BadRequestError, lambda: scripted.ask("Hello", extra_body=wrong))
    assert error.param == param and error.type == "invalid_request_error"


@pytest.mark.parametrize(
    ("header", "value"),
    [("x-askonce-threshold", "high"), ("x-askonce-cache", "maybe"), ("x-askonce-ttl-s", "soon"), ("cache-control", "max-age=soon")],
)
def test_a_wrong_header(scripted, header, value):
    error = refused(openai.BadRequestError, lambda: scripted.ask("Hello", headers={header: value}))
    assert error.param == header and value.split("=")[-1] in error.message


def test_an_upstream_that_is_down(scripted):
    error = refused(openai.APIStatusError, lambda: scripted.ask("Hello", model="down"))
    assert error.status_code == 502 and "down" in error.message


def test_the_providers_own_error_passes(scripted):
    error = refused(openai.BadRequestError, lambda: scripted.ask("Do you like this?", model="picky"))
    assert (error.param, error.code) == ("temperature", "scripted_refusal")
    refused(openai.BadRequestError, lambda: scripted.ask("Do you like this?", model="picky"))
    assert len(calls("Do you like this?")) == 2, "an error is not stored"


def test_a_stream_that_breaks_off(scripted):
    for _ in range(2):
        with pytest.raises(openai.APIError):
            scripted.stream("Will you break?", model="broken")
    assert len(calls("Will you break?")) == 2, "half an answer is not stored"
    assert scripted.ask("Are you well?").words.endswith("Are you well?")


def post(body, **headers):
    """A request that no SDK would send."""
    headers = {"Authorization": f"Bearer {os.environ['STORY_KEY']}", "Content-Type": "application/json", **headers}
    request = urllib.request.Request(f"{os.environ['STORY_URL']}/v1/chat/completions", data=body, headers=headers)
    with pytest.raises(urllib.error.HTTPError) as error:
        urllib.request.urlopen(request, timeout=30)
    with error.value as reply:
        return reply.code, json.load(reply)["error"]


@pytest.mark.parametrize("body", [b"", b"{", b'{"model":"scripted"', b"\xff\xfe", b"[]", b"null", b'{"a":' * 5000, b'{"model":"scripted","model":"x"}'])
def test_what_is_not_a_request(body):
    status, error = post(body)
    assert status == 400 and error["type"] == "invalid_request_error" and error["message"]


def test_other_refusals_have_the_same_shape():
    assert post(b"{}", **{"Content-Type": "text/plain"})[0] == 415
    assert post(b"{}", **{"Authorization": "Basic eDp5"})[0] == 401


def test_a_path_that_is_not_there(client):
    with pytest.raises(openai.NotFoundError) as error:
        client.vector_stores.list()
    assert error.value.body["message"]
    with pytest.raises(openai.APIStatusError) as error:
        client.get("/chat/completions", cast_to=object)
    assert error.value.status_code == 405


def test_no_voice_is_lost(client, seed):
    """After all this, the gateway still works."""
    assert Voice(client, model="scripted", seed=seed).ask("Still there?").words.endswith("Still there?")
