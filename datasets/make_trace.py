#!/usr/bin/env python3
"""Makes trace/demo.jsonl, a replayable stream of requests, from qa/ and pairs/.

    python3 datasets/make_trace.py            write the trace
    python3 datasets/make_trace.py --check    exit 1 if the trace on disk differs from what would be written

The output is the same, byte for byte, on every run and platform: the only source of chance is Random.random(), whose
sequence for a given seed Python promises to keep, and all arithmetic on it is exact or correctly rounded (no logarithm
or power, whose last digit depends on the C library). Needs Python 3.8 or newer and nothing else.
"""

import argparse
import json
import random
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
TRACE = HERE / "trace" / "demo.jsonl"
QA_FILES = ("general", "shop", "support_desk", "coding_helper")

SEED = 20240229
REQUESTS = 2000
TRAP_PAIRS = 120  # each contributes two requests
CANONICAL_SHARE = 0.3  # how often a group is asked by its first wording; else by one of its paraphrases
EDIT_SHARE = 0.2  # how often a wording gets a trivial edit
RANK_OFFSET = 10  # added to every rank, so that no single group makes up a tenth of the stream
MEAN_GAP_MS = 900  # gaps between arrivals are uniform between 1 ms and twice this

# Edits that change no word of the question. The last two change it a little more than the normalised tier folds away.
EDITS = (
    lambda text: text.lower(),
    lambda text: text.upper(),
    lambda text: text.rstrip("?."),
    lambda text: text.rstrip("?.") + " ?",
    lambda text: text + "  ",
    lambda text: text.replace(" ", "  ", 1),
    lambda text: "Hi, " + text,
    lambda text: "Hello! " + text,
    lambda text: text + " Thanks!",
    lambda text: text + " Thank you.",
    lambda text: "Please tell me: " + text,
    lambda text: "Quick question: " + text,
)


def read_jsonl(path):
    with path.open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def tokens(text):
    """A rough count, four characters a token: enough to weigh requests, not a tokenizer's figure."""
    return (len(text) + 3) // 4


def below(rng, n):
    """A whole number from 0 to n - 1."""
    return int(rng.random() * n)


def shuffled(rng, items):
    items = list(items)
    for last in range(len(items) - 1, 0, -1):
        other = below(rng, last + 1)
        items[last], items[other] = items[other], items[last]
    return items


def zipf_sampler(rng, items):
    """Draws from items with the weight 1 / (rank + RANK_OFFSET), after shuffling so that rank does not follow file order."""
    ranked = shuffled(rng, items)
    sums, total = [], 0.0
    for rank in range(1, len(ranked) + 1):
        total += 1.0 / (rank + RANK_OFFSET)
        sums.append(total)

    def draw():
        point = rng.random() * total
        low, high = 0, len(sums) - 1
        while low < high:
            middle = (low + high) // 2
            if sums[middle] > point:
                high = middle
            else:
                low = middle + 1
        return ranked[low]

    return draw


def qa_groups():
    """Every group of the question files: name, scope, wordings and the size of its answer."""
    groups = []
    for name in QA_FILES:
        for row in read_jsonl(HERE / "qa" / f"{name}.jsonl"):
            groups.append(
                {
                    "group": row["group"],
                    "scope": name,
                    "wordings": [row["question"], *row["paraphrases"]],
                    "out_tok": tokens(row["answer"]),
                }
            )
    return groups


def qa_request(rng, draw):
    group = draw()
    canonical, *paraphrases = group["wordings"]
    text = canonical
    if rng.random() >= CANONICAL_SHARE:
        text = paraphrases[below(rng, len(paraphrases))]
    if rng.random() < EDIT_SHARE:
        text = EDITS[below(rng, len(EDITS))](text)
    return {"text": text, "group": group["group"], "scope": group["scope"], "out_tok": group["out_tok"]}


def trap_requests(rng):
    """Two requests a pair, first a and then b; the two share a group only if the pair is labelled the same."""
    pairs = shuffled(rng, read_jsonl(HERE / "pairs" / "traps.jsonl"))[:TRAP_PAIRS]
    requests = []
    for pair in pairs:
        out_tok = 20 + below(rng, 120)
        first = pair["id"] + "-a"
        second = first if pair["same"] else pair["id"] + "-b"
        requests.append(
            [
                {"text": pair["a"], "group": first, "scope": "traps", "out_tok": out_tok},
                {"text": pair["b"], "group": second, "scope": "traps", "out_tok": out_tok},
            ]
        )
    return requests


def place_traps(rng, requests):
    """Spreads the trap requests over the stream: a slot number for each, a always before b."""
    slots = shuffled(rng, range(REQUESTS))
    placed = {}
    for index, (first, second) in enumerate(requests):
        one, two = sorted(slots[2 * index : 2 * index + 2])
        placed[one], placed[two] = first, second
    return placed


def make_trace():
    rng = random.Random(SEED)
    draw = zipf_sampler(rng, qa_groups())
    traps = place_traps(rng, trap_requests(rng))
    lines, now_ms = [], 0
    for number in range(REQUESTS):
        request = traps.get(number) or qa_request(rng, draw)
        row = {
            "id": number,
            "t": now_ms / 1000,
            "text": request["text"],
            "group": request["group"],
            "scope": request["scope"],
            "in_tok": tokens(request["text"]),
            "out_tok": request["out_tok"],
        }
        lines.append(json.dumps(row, ensure_ascii=False) + "\n")
        now_ms += 1 + below(rng, 2 * MEAN_GAP_MS)
    return "".join(lines).encode("utf-8")


def main():
    parser = argparse.ArgumentParser(description="Makes datasets/trace/demo.jsonl from the question and trap files.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if the file on disk differs")
    arguments = parser.parse_args()
    trace = make_trace()
    if not arguments.check:
        TRACE.parent.mkdir(parents=True, exist_ok=True)
        TRACE.write_bytes(trace)
        print(f"wrote {TRACE.name}: {REQUESTS} requests, {len(trace)} bytes")
        return 0
    if not TRACE.exists() or TRACE.read_bytes() != trace:
        print(f"{TRACE} is not what {Path(__file__).name} makes; run the script and commit its output", file=sys.stderr)
        return 1
    print(f"{TRACE.name} is up to date")
    return 0


if __name__ == "__main__":
    sys.exit(main())
