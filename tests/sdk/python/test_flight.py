"""Many at once: identical questions that arrive together share one upstream call."""

import asyncio
import os

import openai
import pytest
from conftest import calls, words_of

MANY = 32


def gather(ask):
    """Runs `ask(client, number)` MANY times at once."""

    async def run():
        async with openai.AsyncOpenAI(
            base_url=f"{os.environ['STORY_URL']}/v1", api_key=os.environ["STORY_KEY"], max_retries=0, timeout=60
        ) as client:
            return await asyncio.gather(*(ask(client, number) for number in range(MANY)))

    return asyncio.run(run())


def request(question, seed):
    return {"model": "slow", "seed": seed, "messages": [{"role": "user", "content": question}]}


async def plain(client, question, seed):
    raw = await client.chat.completions.with_raw_response.create(**request(question, seed))
    answer = raw.parse()
    return raw.headers["x-askonce-cache"], raw.headers.get("x-askonce-tier"), answer.choices[0].message.content, answer.id


async def streamed(client, question, seed):
    opened = client.chat.completions.with_streaming_response.create(stream=True, **request(question, seed))
    async with opened as raw:
        chunks = [chunk async for chunk in await raw.parse()]
    return raw.headers["x-askonce-cache"], raw.headers.get("x-askonce-tier"), words_of(chunks), chunks[0].id


@pytest.mark.parametrize("form", ["plain", "streamed", "mixed"])
def test_identical_questions_share_one_call(form, seed):
    question = f"Who pays for this {form} answer?"
    forms = {"plain": [plain], "streamed": [streamed], "mixed": [plain, streamed]}[form]
    heard = gather(lambda client, number: forms[number % len(forms)](client, question, seed))
    assert len(calls(question)) == 1
    assert {words for _, _, words, _ in heard} == {f"The scripted upstream heard: {question}"}
    assert sorted(outcome for outcome, *_ in heard) == ["hit"] * (MANY - 1) + ["miss"]
    assert {tier for outcome, tier, *_ in heard if outcome == "hit"} <= {"flight", "exact"}
    assert len({id for *_, id in heard}) == MANY, "each has an id of its own"


def test_different_questions_do_not(seed):
    heard = gather(lambda client, number: plain(client, f"What is {number} times {seed}?", seed))
    assert [words for _, _, words, _ in heard] == [f"The scripted upstream heard: What is {number} times {seed}?" for number in range(MANY)]


def test_an_answer_is_finished_for_the_cache_when_the_caller_hangs_up(scripted):
    question = "Who hears the end of this? " + "And what comes then? " * 40
    with scripted.client.chat.completions.create(stream=True, **scripted.request(question)) as chunks:
        begun = words_of([next(chunks) for _ in range(3)])
    whole = f"The scripted upstream heard: {question}"
    assert begun and whole.startswith(begun) and begun != whole
    # Joins what is left of the first call, or finds it stored.
    again = scripted.ask(question)
    assert (again.outcome, again.words, len(calls(question))) == ("hit", whole, 1)
