"""What was stored is still there after a restart, however it came about. With an askonce of its own."""

import concurrent.futures
import os
import time

import pytest
from conftest import Voice, calls, client_of
from gateway import Gateway

CONFIG = """\
auth: {keys: [{name: tester, key: "${STORY_KEY}"}]}
providers:
  - name: scripted
    kind: openai_compatible
    base_url: "${STORY_UPSTREAM_URL}/v1"
    api_key: "${STORY_UPSTREAM_KEY}"
    models: [scripted, slow]
embedding: {deadline_ms: 10000}
"""

QUESTION = "How do I cancel my subscription?"
REWORDED = "How can I cancel my subscription?"


@pytest.fixture
def gateway(tmp_path):
    gateway = Gateway(tmp_path, CONFIG).start()
    yield gateway
    gateway.close()


def voice(gateway, model="scripted"):
    return Voice(client_of(os.environ["STORY_KEY"], gateway.url), model=model)


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_entries_survive(gateway, end):
    first = voice(gateway).ask(QUESTION)
    streamed = voice(gateway).stream("How do I delete my account?")
    assert first.outcome == streamed.outcome == "miss"
    if end == "stop":
        assert gateway.stop() == 0
    else:
        gateway.kill()
    gateway.start()
    again = voice(gateway).ask(QUESTION)
    assert (again.outcome, again.tier, again.words) == ("hit", "exact", first.words)
    assert voice(gateway).ask("How do I delete my account?").words == streamed.words
    reworded = voice(gateway).ask(REWORDED)
    assert (reworded.outcome, reworded.tier, reworded.words) == ("hit", "semantic", first.words)
    assert voice(gateway).ask("How do I cancel my 2 subscriptions?").outcome == "miss"


def test_requests_in_flight_finish_at_a_stop(gateway):
    slow = voice(gateway, "slow")
    forms = {"Will this still be answered?": slow.ask, "And will this be streamed?": slow.stream}
    with concurrent.futures.ThreadPoolExecutor() as pool:
        late = {question: pool.submit(form, question) for question, form in forms.items()}
        while not all(calls(question) for question in late):
            time.sleep(0.01)
        assert not any(heard.done() for heard in late.values())
        assert gateway.stop() == 0
        for question, heard in late.items():
            assert heard.result().words == f"The scripted upstream heard: {question}"


def test_a_torn_cache_file_is_survived(gateway, tmp_path):
    voice(gateway).ask(QUESTION)
    voice(gateway).ask("How do I delete my account?")
    gateway.kill()
    files = [path for path in (tmp_path / "data" / "cache").rglob("*") if path.is_file() and path.stat().st_size > 64]
    assert files, "there are cache files"
    for path in files:
        os.truncate(path, path.stat().st_size - 7)
    gateway.start()
    assert voice(gateway).ask("Is anybody there?").words.endswith("Is anybody there?")
    assert voice(gateway).ask(QUESTION).words.endswith(QUESTION)
    assert voice(gateway).ask(QUESTION).outcome == "hit"
