"""Makes the sentences for `accuracy` from a labelled set: one a line, each once, in a random order that is always the same.

    sentences.py FILE... --fields question1 question2 --count 2000 > sentences.txt

FILE is JSON lines, or CSV or TSV with a header; each may be gzipped. Without --fields every text in a row is taken,
those in lists too.
"""

import argparse
import csv
import gzip
import json
import random
from pathlib import Path


def rows(path):
    """Every row as a dictionary of fields."""
    opened = gzip.open if path.suffix == ".gz" else open
    kind = Path(path.stem).suffix if path.suffix == ".gz" else path.suffix
    with opened(path, "rt", encoding="utf-8", newline="") as lines:
        if kind in (".csv", ".tsv"):
            yield from csv.DictReader(lines, delimiter="\t" if kind == ".tsv" else ",")
        else:
            yield from (json.loads(line) for line in lines if line.strip())


def texts(value):
    """The texts in a value, whitespace made plain."""
    if isinstance(value, str):
        yield " ".join(value.split())
    elif isinstance(value, list):
        for one in value:
            yield from texts(one)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE")
    parser.add_argument("--fields", nargs="+", default=None, metavar="NAME", help="which fields of a row hold sentences")
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()

    found = {}
    for path in args.files:
        for row in rows(path):
            for name in args.fields or row:
                if name not in row:
                    raise SystemExit(f"{path}: a row has no field {name}; it has {', '.join(row)}")
                # Neighbours in the file are often pairs: the random order below parts them, the set keeps them.
                found.update(dict.fromkeys(text for text in texts(row[name]) if len(text) > 3))
    chosen = list(found)
    random.Random(args.seed).shuffle(chosen)
    print("\n".join(chosen[: args.count]))


if __name__ == "__main__":
    main()
