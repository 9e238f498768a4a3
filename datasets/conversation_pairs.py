"""Makes conversations/pairs.jsonl: labelled pairs of the conversations of one family.

A family has one last turn in three wordings and two or three contexts, most of them told in two ways. What a pair keeps
and what it changes decides its label.
"""

from itertools import combinations

from draw import read_jsonl

# (told in the same way, same wording of the last turn) -> kind, for one context and for two.
SAME_CONTEXT = {
    (True, False): "last_turn_reworded",
    (False, True): "context_reworded",
    (False, False): "both_reworded",
}
OTHER_CONTEXT = {
    (True, True): "same_last_turn_other_context",
    (False, True): "same_last_turn_other_context_reworded",
    (True, False): "other_context_last_turn_reworded",
}


def families():
    found = {}
    for row in read_jsonl("conversations/conversations.jsonl"):
        found.setdefault(row["family"], []).append(row)
    return found


def kind_of(one, two):
    """What the pair is called, or None where it would only repeat what other pairs show."""
    context, told = one["context"][0] == two["context"][0], one["context"][1] == two["context"][1]
    last = one["last"] == two["last"]
    if context:
        return SAME_CONTEXT.get((told, last))
    if one["turns_on"] == "independent":
        return "context_does_not_matter"
    return OTHER_CONTEXT.get((told, last))


def alone(text):
    return [{"role": "user", "content": text}]


def with_standalone(rows):
    """Each context's first conversation beside its own question put in one sentence, and beside those of the others."""
    firsts = {}
    for row in rows:
        firsts.setdefault(row["context"][0], row)
    for row in firsts.values():
        for other in firsts.values():
            same = row["group"] == other["group"]
            if same and row is not other:
                continue
            kind = "standalone" if same else "standalone_of_other_context"
            yield kind, row["messages"], alone(other["standalone"]), same, row["turns_on"]


def conversation_pairs():
    found = []
    for name, rows in families().items():
        for one, two in combinations(rows, 2):
            kind = kind_of(one, two)
            # Pairs that differ in both are many and alike; some of them will do.
            if kind is None or (kind == "both_reworded" and (one["last"], two["last"]) != (2, 3)):
                continue
            if kind == "other_context_last_turn_reworded" and one["last"] > two["last"]:
                continue
            if kind == "context_does_not_matter" and one["last"] > two["last"]:
                continue
            found.append((name, kind, one["messages"], two["messages"], one["group"] == two["group"], one["turns_on"]))
        found += [(name, *pair) for pair in with_standalone(rows)]
    return [
        {"id": f"cpair-{number:04d}", "family": name, "kind": kind, "turns_on": turns_on, "a": a, "b": b, "same": same}
        for number, (name, kind, a, b, same, turns_on) in enumerate(found, 1)
    ]
