#!/usr/bin/env python3
"""Makes every generated file: the traces of trace/ and the pairs of conversations/.

    python3 datasets/make_trace.py            write them
    python3 datasets/make_trace.py --check    exit 1 if a file on disk differs from what would be written

The output is the same, byte for byte, on every run and platform; draw.py says why. trace/demo.jsonl is made here, from
the first edition of the question files, so that its figures stay comparable; streams.py makes the other traces and
conversation_pairs.py the pairs. Needs Python 3.8 or newer and nothing else.
"""

import argparse
import random
import sys
from pathlib import Path

from conversation_pairs import conversation_pairs
from draw import EDITS, HERE, below, read_jsonl, shuffled, to_jsonl, tokens, zipf_sampler
from streams import conversation_stream, hard_negative_stream, tenants_stream

SEED = 20240229
REQUESTS = 2000
FIRST_EDITION = {"general": 72, "shop": 67, "support_desk": 69, "coding_helper": 77}  # rows from the top of each file
FIRST_EDITION_TRAPS = 279
TRAP_PAIRS = 120  # each contributes two requests
CANONICAL_SHARE = 0.3  # how often a group is asked by its first wording; else by one of its paraphrases
EDIT_SHARE = 0.2  # how often a wording gets a trivial edit
RANK_OFFSET = 10  # added to every rank, so that no single group makes up a tenth of the stream
MEAN_GAP_MS = 900  # gaps between arrivals are uniform between 1 ms and twice this


def qa_groups():
    """Every group of the first edition: name, scope, wordings and the size of its answer."""
    groups = []
    for name, rows in FIRST_EDITION.items():
        for row in read_jsonl(f"qa/{name}.jsonl")[:rows]:
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
    pairs = shuffled(rng, read_jsonl("pairs/traps.jsonl")[:FIRST_EDITION_TRAPS])[:TRAP_PAIRS]
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


def demo_stream():
    rng = random.Random(SEED)
    draw = zipf_sampler(rng, qa_groups(), RANK_OFFSET)
    traps = place_traps(rng, trap_requests(rng))
    rows, now_ms = [], 0
    for number in range(REQUESTS):
        request = traps.get(number) or qa_request(rng, draw)
        rows.append(
            {
                "id": number,
                "t": now_ms / 1000,
                "text": request["text"],
                "group": request["group"],
                "scope": request["scope"],
                "in_tok": tokens(request["text"]),
                "out_tok": request["out_tok"],
            }
        )
        now_ms += 1 + below(rng, 2 * MEAN_GAP_MS)
    return rows


MADE = {
    "trace/demo.jsonl": demo_stream,
    "trace/tenants.jsonl": tenants_stream,
    "trace/hard_negatives.jsonl": hard_negative_stream,
    "trace/conversations.jsonl": conversation_stream,
    "conversations/pairs.jsonl": conversation_pairs,
}


def main():
    parser = argparse.ArgumentParser(description="Makes the generated files of datasets/ from the written ones.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if a file on disk differs")
    arguments = parser.parse_args()
    stale = []
    for name, make in MADE.items():
        path, rows = HERE / name, make()
        made = to_jsonl(rows)
        if not arguments.check:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(made)
            print(f"wrote {name}: {len(rows)} rows, {len(made)} bytes")
        elif not path.exists() or path.read_bytes() != made:
            stale.append(name)
    for name in stale:
        print(f"{name} is not what {Path(__file__).name} makes; run the script and commit its output", file=sys.stderr)
    if arguments.check and not stale:
        print(f"{len(MADE)} generated files are up to date")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
