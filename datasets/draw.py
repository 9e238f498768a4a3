"""What the generated files share: reading rows, chance that is the same on every platform, and trivial edits.

The only source of chance is Random.random(), whose sequence for a given seed Python promises to keep, and all arithmetic
on it is exact or correctly rounded (no logarithm or power, whose last digit depends on the C library).
"""

import json
from pathlib import Path

HERE = Path(__file__).resolve().parent

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


def read_jsonl(name):
    """The rows of a file, named from the folder of this script."""
    with (HERE / name).open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def to_jsonl(rows):
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode("utf-8")


def tokens(text):
    """A rough count, four characters a token: enough to weigh requests, not a tokenizer's figure."""
    return (len(text) + 3) // 4


def below(rng, n):
    """A whole number from 0 to n - 1."""
    return int(rng.random() * n)


def pick(rng, items):
    return items[below(rng, len(items))]


def shuffled(rng, items):
    items = list(items)
    for last in range(len(items) - 1, 0, -1):
        other = below(rng, last + 1)
        items[last], items[other] = items[other], items[last]
    return items


def zipf_sampler(rng, items, rank_offset):
    """Draws from items with the weight 1 / (rank + rank_offset), after shuffling so that rank does not follow file order."""
    ranked = shuffled(rng, items)
    sums, total = [], 0.0
    for rank in range(1, len(ranked) + 1):
        total += 1.0 / (rank + rank_offset)
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
