"""The cache, as a caller sees it: the same words again, what is near enough, and what never is."""

import os
import re
import time
import urllib.error

import openai
import pytest
from conftest import calls, purge

QUESTION = "How do I reset my password?"
REWORDED = "How can I reset my password?"


def ms(server_timing):
    return {name: float(took) for name, took in re.findall(r"(\w+);dur=([\d.]+)", server_timing)}


def test_the_second_ask_is_an_exact_hit(llm):
    first, second = llm.ask(QUESTION), llm.ask(QUESTION)
    assert (first.outcome, first.headers["x-askonce-reason"]) == ("miss", "absent")
    assert {"hash", "embed"} <= ms(first.headers["server-timing"]).keys()
    assert (second.outcome, second.tier) == ("hit", "exact")
    assert second.words == first.words and second.answer.usage == first.answer.usage
    assert second.answer.id != first.answer.id
    assert second.answer.choices == first.answer.choices
    assert int(second.headers["age"]) >= 0 and second.headers["x-askonce-provider"] == "llm"
    assert re.fullmatch("[0-9a-f]{16}", second.headers["x-askonce-entry"])
    assert ms(second.headers["server-timing"]).keys() == {"hash"}


def test_courtesies_and_case_do_not_matter(llm):
    first = llm.ask(QUESTION)
    second = llm.ask("Hello, how do I RESET   my password? Thanks!")
    assert (second.outcome, second.tier, second.words) == ("hit", "normalised", first.words)


def test_a_paraphrase_is_a_semantic_hit(llm):
    first, second = llm.ask(QUESTION), llm.ask(REWORDED)
    assert (second.outcome, second.tier, second.words) == ("hit", "semantic", first.words)
    assert 0.92 <= float(second.headers["x-askonce-similarity"]) <= 1
    assert {"hash", "embed", "search"} <= ms(second.headers["server-timing"]).keys()
    streamed = llm.stream(REWORDED)
    assert (streamed.outcome, streamed.tier, streamed.words) == ("hit", "semantic", first.words)


def test_another_question_is_a_miss(llm):
    llm.ask(QUESTION)
    other = llm.ask("How do I bake a chocolate cake?")
    assert (other.outcome, other.headers["x-askonce-reason"]) == ("miss", "over_budget")
    assert float(other.headers["x-askonce-similarity"]) < 0.5


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("How do I track the parcel of order 4711?", "How do I track the parcel of order 4712?"),
        ("Give me 3 tips for better sleep.", "Give me 4 tips for better sleep."),
        ("Are you open on Monday?", "Are you open on Tuesday?"),
    ],
)
def test_a_changed_number_or_day_is_a_miss(scripted, one, other):
    scripted.ask(one)
    changed = scripted.ask(other)
    assert changed.outcome == "miss" and changed.words.endswith(other)


def test_a_changed_number_is_vetoed_however_near(scripted):
    scripted.ask("How do I track the parcel of order 4711?")
    near = scripted.ask("How can I track the parcel of order 4711?")
    assert near.tier == "semantic"
    far = scripted.ask("How do I track the parcel of order 4712?")
    assert far.headers["x-askonce-reason"] == "vetoed" and float(far.headers["x-askonce-similarity"]) > 0.92


@pytest.mark.parametrize(
    "more",
    [
        {"temperature": 0.5},
        {"max_tokens": 30},
        {"seed": 1},
        {"model": "priced"},
        {"extra_body": {"x_new": 1}},
        {"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": QUESTION}]},
        {"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hi!"}, {"role": "user", "content": QUESTION}]},
        {"headers": {"x-askonce-scope": "user-7"}},
        {"headers": {"x-askonce-cache": "bypass"}},
    ],
    ids=str,
)
def test_whatever_else_differs_is_not_shared(scripted, more):
    scripted.ask(QUESTION)
    assert scripted.ask(QUESTION, **more).outcome in ("miss", "bypass")
    assert scripted.ask(QUESTION, user="u", metadata={"a": "b"}).outcome == "hit", "harmless fields do not count"


def test_tenants_share_within_and_never_across(scripted, colleague, stranger):
    first = scripted.ask(QUESTION)
    assert scripted.by(colleague).ask(QUESTION).words == first.words
    assert scripted.by(colleague).ask(QUESTION).outcome == "hit"
    for question in (QUESTION, REWORDED):
        assert scripted.by(stranger).ask(question, headers={"cache-control": "no-store"}).outcome == "miss"


def test_a_plain_answer_is_replayed_as_a_stream(llm):
    first = llm.ask("How do I boil an egg?")
    streamed = llm.stream("How do I boil an egg?")
    assert (streamed.outcome, streamed.tier, streamed.words) == ("hit", "exact", first.words)
    assert streamed.headers["content-type"].startswith("text/event-stream")
    assert len({chunk.id for chunk in streamed.answer}) == 1 and streamed.answer[0].id != first.answer.id
    assert streamed.answer[0].choices[0].delta.role == "assistant"
    assert all(chunk.usage is None for chunk in streamed.answer)
    with_usage = llm.stream("How do I boil an egg?", stream_options={"include_usage": True})
    assert with_usage.outcome == "hit" and with_usage.answer[-1].usage == first.answer.usage


def test_a_stream_is_replayed_as_a_plain_answer(llm):
    streamed = llm.stream("How do I boil an egg?")
    plain = llm.ask("How do I boil an egg?")
    assert (plain.outcome, plain.tier, plain.words) == ("hit", "exact", streamed.words)
    assert plain.answer.object == "chat.completion" and plain.answer.choices[0].finish_reason == "stop"
    assert plain.answer.usage.completion_tokens > 0
    assert llm.stream("How do I boil an egg?").words == streamed.words


def test_a_truncated_answer_is_not_stored(llm):
    cut = llm.ask("Tell me a long story about the sea", max_tokens=3)
    assert cut.answer.choices[0].finish_reason == "length"
    assert llm.ask("Tell me a long story about the sea", max_tokens=3).outcome == "miss"


def test_saved_dollars(scripted):
    scripted.ask(QUESTION, model="priced")
    # 1,000 tokens at a dollar a million and 500 at two dollars.
    assert scripted.ask(QUESTION, model="priced").headers["x-askonce-saved-usd"] == "0.002000"


def test_cache_control_no_store(scripted):
    assert scripted.ask(QUESTION, headers={"cache-control": "no-store"}).outcome == "miss"
    assert scripted.ask(QUESTION).outcome == "miss"
    assert scripted.ask(QUESTION, headers={"cache-control": "no-store"}).outcome == "hit", "it says nothing about reading"


def test_cache_control_no_cache_refreshes(scripted):
    first = scripted.ask(QUESTION)
    fresh = scripted.ask(QUESTION, headers={"cache-control": "no-cache"})
    assert (fresh.outcome, fresh.headers["x-askonce-reason"]) == ("bypass", "no_cache")
    assert fresh.answer.x_call > first.answer.x_call
    assert scripted.ask(QUESTION).answer.x_call == fresh.answer.x_call, "the fresh answer takes the place of the old one"


def test_cache_control_only_if_cached(scripted):
    with pytest.raises(openai.APIStatusError) as refused:
        scripted.ask(QUESTION, headers={"cache-control": "only-if-cached"})
    assert refused.value.status_code == 504 and refused.value.code == "not_cached"
    scripted.ask(QUESTION)
    assert scripted.ask(QUESTION, headers={"cache-control": "only-if-cached"}).outcome == "hit"


def test_cache_control_max_age(scripted):
    scripted.ask(QUESTION)
    assert scripted.ask(QUESTION, headers={"cache-control": "max-age=60"}).outcome == "hit"
    time.sleep(0.05)
    old = scripted.ask(QUESTION, headers={"cache-control": "max-age=0"})
    assert (old.outcome, old.headers["x-askonce-reason"]) == ("miss", "expired")


def test_a_time_to_live(scripted):
    brief = {"x-askonce-ttl-s": "2"}
    scripted.ask(QUESTION, headers=brief)
    assert scripted.ask(QUESTION).outcome == "hit"
    time.sleep(2.1)
    assert scripted.ask(QUESTION).outcome == "miss"


def test_bypass_and_exact(scripted):
    scripted.ask(QUESTION)
    bypassed = scripted.ask(QUESTION, headers={"x-askonce-cache": "bypass"})
    assert (bypassed.outcome, bypassed.headers["x-askonce-reason"]) == ("bypass", "no_cache")
    assert scripted.ask(REWORDED, headers={"x-askonce-cache": "exact", "cache-control": "no-store"}).outcome == "miss"
    assert scripted.ask(REWORDED).tier == "semantic"


def test_a_caller_can_raise_the_bar_and_not_lower_it(scripted):
    ask = lambda text, threshold: scripted.ask(text, headers={"x-askonce-threshold": threshold, "cache-control": "no-store"})
    scripted.ask("What is the capital of France?")
    near = "Which city is the capital of France?"
    assert ask(near, "0.5").tier == "semantic"
    assert ask(near, "0.99").headers["x-askonce-reason"] == "below_threshold"
    scripted.ask("What are the opening hours of the library?")
    assert ask("When was the library founded?", "0.5").outcome == "miss"


def test_a_wrong_answer_leaves_at_the_word_of_its_tenant(scripted, colleague, stranger):
    say = lambda client, answer, right: client.post("/feedback", cast_to=object, body={"id": answer, "right": right})
    first = scripted.ask(QUESTION)
    hit = scripted.ask(REWORDED)
    assert (hit.outcome, hit.tier) == ("hit", "semantic") and 0 < float(hit.headers["x-askonce-probability"]) < 1
    with pytest.raises(openai.NotFoundError, match="No answer of this id"):
        say(stranger, hit.answer.id, False)
    told = say(colleague, hit.answer.id, False)
    assert (told["tier"], told["evicted"], told["entry"]) == ("semantic", True, hit.headers["x-askonce-entry"])
    fresh = scripted.ask(QUESTION)
    assert fresh.outcome == "miss" and fresh.answer.id != first.answer.id
    again = scripted.ask(QUESTION, headers={"x-askonce-feedback": f"{fresh.headers['x-request-id']}=wrong"})
    assert again.outcome == "miss", "the word came before the question"


def test_purge_by_tag_entry_and_everything(scripted):
    tagged = {"x-askonce-tags": f"shop, tag-{scripted.settings['seed']}"}
    scripted.ask(QUESTION, headers=tagged)
    scripted.ask("Where is my parcel?", headers=tagged)
    scripted.ask("How do I boil an egg?")
    tag = {"tag": tagged["x-askonce-tags"].split(", ")[1]}
    would = purge({**tag, "dry_run": True})
    assert would["would_purge"] == 2 and "purged" not in would
    purged = purge(tag)
    assert purged["purged"] == 2
    assert {entry["question"] for entry in purged["entries"]} == {QUESTION, "Where is my parcel?"}
    assert [scripted.ask(text, headers={"cache-control": "no-store"}).outcome for text in (QUESTION, REWORDED, "Where is my parcel?")] == ["miss"] * 3
    hit = scripted.ask("How do I boil an egg?")
    assert hit.outcome == "hit"
    assert purge({"entry": hit.headers["x-askonce-entry"]})["purged"] == 1
    assert scripted.ask("How do I boil an egg?").outcome == "miss"
    assert scripted.ask("How do I boil an egg?").outcome == "hit"
    assert purge({"all": True})["purged"] > 0
    assert scripted.ask("How do I boil an egg?").outcome == "miss"


@pytest.mark.parametrize("key", ["", "sk-not-the-admins-key", os.environ["STORY_KEY"]], ids=["none", "wrong", "caller's"])
def test_purge_needs_the_admin_key(key):
    with pytest.raises(urllib.error.HTTPError) as refused:
        purge({"all": True}, key=key)
    assert refused.value.code == 401


def test_each_answer_was_paid_once(scripted):
    question = "How many calls does this take?"
    for _ in range(5):
        scripted.ask(question)
        scripted.stream(question)
    assert len(calls(question)) == 1
