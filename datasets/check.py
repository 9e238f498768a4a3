#!/usr/bin/env python3
"""Checks the data sets: that the files are as README.md says, and that no text is there twice under two meanings.

    python3 datasets/check.py                    schema, ids, texts, labels, and the counts of README.md
    python3 datasets/check.py --against DIR      also that none of our texts is in a JSON lines, CSV or text file below DIR

Prints what is wrong, one line each, and exits with 1; else prints a summary. `make_trace.py --check` looks after the
generated files. Needs Python 3.8 or newer and nothing else.
"""

import argparse
import csv
import gzip
import json
import re
import sys
from collections import Counter
from pathlib import Path

from draw import HERE, read_jsonl

TEXT, LIST, BOOL, NUMBER = str, list, bool, (int, float)
QA = {"id": TEXT, "group": TEXT, "question": TEXT, "answer": TEXT, "paraphrases": LIST}
REQUEST = {"id": int, "t": NUMBER, "group": TEXT, "scope": TEXT, "in_tok": int, "out_tok": int}
SCHEMAS = {
    "qa/general.jsonl": QA,
    "qa/shop.jsonl": {**QA, "as_typed": LIST},
    "qa/support_desk.jsonl": {**QA, "as_typed": LIST},
    "qa/coding_helper.jsonl": {**QA, "as_typed": LIST},
    "qa/one_offs.jsonl": {"id": TEXT, "scope": TEXT, "text": TEXT},
    "pairs/traps.jsonl": {"id": TEXT, "set": TEXT, "kind": TEXT, "a": TEXT, "b": TEXT, "same": BOOL},
    "conversations/conversations.jsonl": {
        **{"id": TEXT, "group": TEXT, "family": TEXT, "scope": TEXT, "turns_on": TEXT, "context": TEXT},
        **{"last": int, "turns": int, "standalone": TEXT, "messages": LIST},
    },
    "conversations/pairs.jsonl": {
        **{"id": TEXT, "family": TEXT, "kind": TEXT, "turns_on": TEXT, "a": LIST, "b": LIST, "same": BOOL}
    },
    "trace/demo.jsonl": {**REQUEST, "text": TEXT},
    "trace/tenants.jsonl": {**REQUEST, "text": TEXT, "kind": TEXT},
    "trace/hard_negatives.jsonl": {**REQUEST, "text": TEXT},
    "trace/conversations.jsonl": {**REQUEST, "messages": LIST},
}
QA_FILES = [name for name, schema in SCHEMAS.items() if "answer" in schema]
PARAPHRASES, TYPED = 4, (2, 3)
TURNS = range(2, 7)


def folded(text):
    """Letters and digits only, in lower case, with single spaces: what differs less than this counts as equal."""
    return " ".join(re.findall(r"\w+", text.lower().replace("_", " ")))


def words(text):
    return set(re.findall(r"[\w%$£€¥₩']+", text.lower()))


def distance(pair):
    """Share of the words of both that are not in both."""
    a, b = words(pair["a"]), words(pair["b"])
    return 1 - len(a & b) / len(a | b)


def check_rows(name, rows, wrong):
    schema = SCHEMAS[name]
    for number, row in enumerate(rows, 1):
        if set(row) != set(schema):
            wrong.append(f"{name}:{number}: expected the columns {', '.join(schema)}, found {', '.join(row)}")
            continue
        for key, kind in schema.items():
            value = row.get(key)
            if not isinstance(value, kind) or (isinstance(value, bool) and kind is not BOOL) or value in ("", []):
                wrong.append(f"{name}:{number}: {key} is {value!r}")
    ids = Counter(str(row.get("id")) for row in rows)
    wrong += [f"{name}: the id {name_of} occurs {times} times" for name_of, times in ids.items() if times > 1]


def wordings(row):
    return [row["question"], *row["paraphrases"], *row.get("as_typed", [])]


def check_questions(data, meanings, wrong):
    groups = Counter()
    for name in QA_FILES:
        for row in data[name]:
            groups[row["group"]] += 1
            if len(row["paraphrases"]) != PARAPHRASES or len(row.get("as_typed", "..")) not in TYPED:
                wrong.append(f"{name}: {row['id']} has another number of wordings than the card says")
            for text in wordings(row):
                meanings.append((text, row["group"], name))
    wrong += [f"the group {group} occurs {times} times" for group, times in groups.items() if times > 1]
    meanings += [(row["text"], row["id"], "qa/one_offs.jsonl") for row in data["qa/one_offs.jsonl"]]


def trap_meanings(pairs, wrong):
    """The meaning of each text by its labels; a contradiction between them is reported."""
    leader = {}

    def find(text):
        while leader.setdefault(text, text) != text:
            text = leader[text]
        return text

    for pair in pairs:
        if pair["same"]:
            leader[find(pair["a"])] = find(pair["b"])
    of_set = {}
    for pair in pairs:
        if not pair["same"] and find(pair["a"]) == find(pair["b"]):
            wrong.append(f"{pair['id']} is labelled as not the same, but other rows of {pair['set']} make it so")
        for text in (pair["a"], pair["b"]):
            if of_set.setdefault(text, pair["set"]) != pair["set"]:
                wrong.append(f"{pair['id']}: {text!r} is in {of_set[text]} too")
    return [(text, find(text), "pairs/traps.jsonl") for text in leader] + [
        (text, text, "pairs/traps.jsonl") for text in of_set if text not in leader
    ]


def check_conversations(rows, wrong):
    """Turns alternate, and a group is one context with one meaning; returns the standalone texts with theirs."""
    seen, meanings = Counter(), {}
    for row in rows:
        roles = [message["role"] for message in row["messages"]]
        users = roles.count("user")
        if roles != ["user", "assistant"] * (users - 1) + ["user"] or users != row["turns"] or users not in TURNS:
            wrong.append(f"{row['id']}: expected {row['turns']} turns, user first and last, found {roles}")
        seen[json.dumps(row["messages"])] += 1
        if meanings.setdefault(row["standalone"], row["group"]) != row["group"]:
            wrong.append(f"{row['id']}: its standalone question belongs to {meanings[row['standalone']]} too")
    wrong += [f"a conversation occurs {times} times: {text[:80]}" for text, times in seen.items() if times > 1]
    return [(text, group, "conversations/conversations.jsonl") for text, group in meanings.items()]


def check_meanings(meanings, wrong):
    """Texts that differ only in case, spaces or the end mark must mean the same. Other signs may decide: 5 €, 5 $."""
    found = {}
    for text, meaning, name in meanings:
        other = found.setdefault(" ".join(text.lower().split()).rstrip("?!. "), (meaning, name))
        if other[0] != meaning:
            wrong.append(f"{name}: {text!r} of {meaning} stands under {other[0]} in {other[1]} too")


def card_numbers(card, heading):
    """The rows of the tables under a heading: first column -> the whole numbers of the others."""
    numbers, inside = {}, False
    for line in card.splitlines():
        if line.startswith("#"):
            inside = line.strip("# ") == heading
        cells = [cell.strip(" `") for cell in line.strip("|").split("|")]
        figures = [int(cell.replace(",", "")) for cell in cells[1:] if re.fullmatch(r"[\d,]+", cell)]
        if inside and line.startswith("|") and figures:
            numbers[cells[0]] = figures
    return numbers


def by_label(rows, key):
    counts = {}
    for row in rows:
        counts.setdefault(row[key], [0, 0])[0 if row["same"] else 1] += 1
    counts["all"] = [sum(pair[side] for pair in counts.values()) for side in (0, 1)]
    return counts


def check_card(data, wrong):
    card = (HERE / "README.md").read_text(encoding="utf-8")
    stated = {
        "Data sets": {name: [len(rows)] for name, rows in data.items()},
        "`pairs/traps.jsonl`": by_label(data["pairs/traps.jsonl"], "kind"),
        "`conversations/pairs.jsonl`": by_label(data["conversations/pairs.jsonl"], "kind"),
    }
    for heading, counts in stated.items():
        said = card_numbers(card, heading)
        for key in sorted(set(counts) | set(said)):
            if said.get(key) != counts.get(key):
                wrong.append(f"README.md, {heading}, {key}: says {said.get(key)}, counted {counts.get(key)}")


def closeness(pairs):
    """The chance that of two pairs with either label the one that is the same has more words in common."""
    same = sorted(distance(pair) for pair in pairs if pair["same"])
    others = [distance(pair) for pair in pairs if not pair["same"]]
    won = 0.0
    for other in others:
        won += sum(1.0 if one < other else 0.5 if one == other else 0.0 for one in same)
    return won / (len(same) * len(others))


def strings(value):
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from strings(item)
    elif isinstance(value, dict):
        for item in value.values():
            yield from strings(item)


def foreign_texts(folder):
    """Every text of the files below a folder that can be read: JSON lines, CSV and plain lines, gzipped or not."""
    for path in sorted(folder.rglob("*")):
        kind = path.name[: -len(".gz")] if path.name.endswith(".gz") else path.name
        if not path.is_file() or not kind.endswith((".jsonl", ".csv", ".txt")):
            continue
        opener = gzip.open if path.name.endswith(".gz") else open
        with opener(path, "rt", encoding="utf-8", newline="") as lines:
            if kind.endswith(".csv"):
                texts = (cell for row in csv.reader(lines) for cell in row)
            elif kind.endswith(".txt"):
                texts = iter(lines)
            else:
                texts = (text for line in lines if line.strip() for text in strings(json.loads(line)))
            for text in texts:
                yield text, path


def check_against(folder, data, wrong):
    """Every question, answer and message of ours against every text below the folder."""
    columns = ("question", "answer", "paraphrases", "as_typed", "text", "a", "b", "standalone", "messages")
    ours = {}
    for name, rows in data.items():
        for row in rows:
            for text in (text for column in columns if column in row for text in strings(row[column])):
                if text not in ("user", "assistant"):
                    ours.setdefault(folded(text), name)
    compared = 0
    for text, path in foreign_texts(folder):
        compared += 1
        name = ours.pop(folded(text), None)
        if name:
            wrong.append(f"{name}: {text!r} is in {path} too")
    return f"{compared} texts below {folder} compared"


def main():
    parser = argparse.ArgumentParser(description="Checks the files of datasets/.")
    parser.add_argument("--against", type=Path, metavar="DIR", help="a folder whose texts must not occur in ours")
    arguments = parser.parse_args()
    data = {name: read_jsonl(name) for name in SCHEMAS}
    wrong = []
    for name, rows in data.items():
        check_rows(name, rows, wrong)
    if not wrong:
        meanings = trap_meanings(data["pairs/traps.jsonl"], wrong)
        meanings += check_conversations(data["conversations/conversations.jsonl"], wrong)
        check_questions(data, meanings, wrong)
        check_meanings(meanings, wrong)
        check_card(data, wrong)
    compared = check_against(arguments.against, data, wrong) if arguments.against else None
    for line in wrong:
        print(line, file=sys.stderr)
    if wrong:
        return 1
    print(f"{sum(map(len, data.values()))} rows in {len(data)} files are as README.md says")
    print(f"traps: likeness of words tells the labels apart with {closeness(data['pairs/traps.jsonl']):.2f}, chance is 0.50")
    if compared:
        print(f"no text of ours is there: {compared}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
