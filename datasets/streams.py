"""Makes the traces other than trace/demo.jsonl: four tenants over three days, all traps, and all conversations."""

import random

from draw import EDITS, below, pick, read_jsonl, shuffled, tokens, zipf_sampler

DAY_S = 86_400
DAYS = 3
RANK_OFFSET = 1
FIRST_WORDING_SHARE = 0.25
EXACT_SHARE = 0.08  # repeats of an earlier text of the scope, letter by letter
EDIT_SHARE = 0.06  # repeats of an earlier text with a trivial edit
RECENT = 300  # repeats look back over so many requests of the scope

# Requests of each scope and its day: the weight of each hour from midnight on.
OFFICE = (1, 1, 1, 1, 1, 2, 4, 9, 16, 20, 20, 17, 12, 16, 18, 17, 14, 9, 5, 3, 3, 2, 2, 1)
EVENING = (4, 2, 1, 1, 1, 1, 2, 4, 6, 8, 9, 9, 10, 9, 8, 8, 9, 11, 14, 18, 20, 18, 13, 8)
LATE = (9, 6, 4, 3, 2, 1, 1, 2, 5, 10, 14, 14, 10, 13, 15, 15, 14, 12, 9, 10, 13, 15, 14, 12)
TENANTS = {
    "support_desk": (1200, OFFICE),
    "shop": (1200, EVENING),
    "coding_helper": (1200, LATE),
    "assistant": (1600, EVENING),
}
# Hours in which one question is on everybody's lips: scope, day from 0, hour, group, share of that hour's requests.
INCIDENTS = (
    ("support_desk", 1, 9, "desk-service-down", 0.6),
    ("support_desk", 1, 10, "desk-service-down", 0.35),
    ("support_desk", 2, 14, "desk-payment-failed", 0.4),
    ("shop", 0, 20, "shop-discount-code-fails", 0.5),
    ("shop", 2, 12, "shop-tracking-not-updating", 0.4),
)


def qa_groups(scope):
    groups = []
    for row in read_jsonl(f"qa/{scope}.jsonl"):
        wordings = [row["question"], *row["paraphrases"], *row.get("as_typed", [])]
        groups.append({"group": row["group"], "wordings": wordings, "out_tok": tokens(row["answer"])})
    return groups


def trap_groups(rng):
    """The texts of the trap file by what answers them: pairs that are the same join their texts."""
    groups, of_text = [], {}
    for pair in read_jsonl("pairs/traps.jsonl"):
        for text in (pair["a"], pair["b"]):
            if text not in of_text:
                of_text[text] = {"set": pair["set"], "wordings": [text], "out_tok": 20 + below(rng, 120)}
                groups.append(of_text[text])
        one, two = of_text[pair["a"]], of_text[pair["b"]]
        if pair["same"] and one is not two:
            one["wordings"] += two["wordings"]
            for text in two["wordings"]:
                of_text[text] = one
            groups.remove(two)
    for number, group in enumerate(groups):
        group["group"] = f"{group.pop('set')}-{number:04d}"
    return groups


def one_offs(rng, scope):
    """Questions that nobody asks again. The general assistant gets a wording or two of each group of the traps."""
    if scope != "assistant":
        rows = [row for row in read_jsonl("qa/one_offs.jsonl") if row["scope"] == scope]
        return [(row["text"], row["id"], 20 + below(rng, 120), "one_off") for row in rows]
    found = []
    for group in shuffled(rng, trap_groups(rng))[:1000]:
        count = 2 if len(group["wordings"]) > 1 and rng.random() < 0.15 else 1
        for text in shuffled(rng, group["wordings"])[:count]:
            found.append((text, group["group"], group["out_tok"], "trap"))
    return found


def arrivals(rng, count, hours):
    """`count` moments of DAYS days in milliseconds, in order; hours are drawn by weight, moments in them evenly."""
    total, moments = sum(hours), []
    for _ in range(count):
        day, point, hour = below(rng, DAYS), below(rng, total), 0
        while point >= hours[hour]:
            point -= hours[hour]
            hour += 1
        moments.append((day * 24 + hour) * 3_600_000 + below(rng, 3_600_000))
    return sorted(moments)


def tenant(rng, scope, count, hours):
    """The requests of one scope, as (moment, text, group, kind, out_tok)."""
    groups = qa_groups("general" if scope == "assistant" else scope)
    by_name = {group["group"]: group for group in groups}
    popular = [zipf_sampler(rng, groups, RANK_OFFSET) for _ in range(DAYS)]
    incidents = {(day, hour): (by_name[name], share) for of, day, hour, name, share in INCIDENTS if of == scope}
    singles = shuffled(rng, one_offs(rng, scope))
    places = dict(zip(shuffled(rng, range(count)), singles))
    done = []
    for number, moment in enumerate(arrivals(rng, count, hours)):
        done.append((moment, *one_request(rng, places.get(number), done, popular, incidents, moment)))
    return done


def one_request(rng, single, done, popular, incidents, moment):
    if single:
        text, group, out_tok, kind = single
        return text, group, kind, out_tok
    day, hour = moment // (DAY_S * 1000), moment // 3_600_000 % 24
    chance = rng.random()
    if done and chance < EXACT_SHARE + EDIT_SHARE:
        _, text, group, _, out_tok = done[len(done) - 1 - below(rng, min(len(done), RECENT))]
        if chance < EXACT_SHARE:
            return text, group, "exact", out_tok
        return pick(rng, EDITS)(text), group, "trivial_edit", out_tok
    hot, share = incidents.get((day, hour), (None, 0.0))
    # The favourites of the first day last; each later day has its own beside them.
    draw = popular[0] if rng.random() < 0.7 else popular[day]
    group = hot if rng.random() < share else draw()
    text = group["wordings"][0] if rng.random() < FIRST_WORDING_SHARE else pick(rng, group["wordings"][1:])
    return text, group["group"], "wording", group["out_tok"]


def tenants_stream():
    rng = random.Random(20240301)
    merged = []
    for scope, (count, hours) in TENANTS.items():
        merged += [(moment, scope, *rest) for moment, *rest in tenant(rng, scope, count, hours)]
    merged.sort(key=lambda request: request[:2])
    return [
        {
            "id": number,
            "t": moment / 1000,
            "text": text,
            "group": group,
            "scope": scope,
            "kind": kind,
            "in_tok": tokens(text),
            "out_tok": out_tok,
        }
        for number, (moment, scope, text, group, kind, out_tok) in enumerate(merged)
    ]


def hard_negative_stream():
    """Every text of the trap file once, in random order, in one scope."""
    rng = random.Random(20240302)
    texts = [(text, group) for group in trap_groups(rng) for text in group["wordings"]]
    rows, now_ms = [], 0
    for number, (text, group) in enumerate(shuffled(rng, texts)):
        sizes = {"in_tok": tokens(text), "out_tok": group["out_tok"]}
        rows.append({"id": number, "t": now_ms / 1000, "text": text, "group": group["group"], "scope": "traps", **sizes})
        now_ms += 1 + below(rng, 4000)
    return rows


def conversation_stream():
    """Every conversation and every standalone question once, in random order; `messages` instead of `text`."""
    rng = random.Random(20240303)
    requests, alone = [], set()
    for row in read_jsonl("conversations/conversations.jsonl"):
        requests.append((row["messages"], row))
        if row["standalone"] not in alone:
            alone.add(row["standalone"])
            requests.append(([{"role": "user", "content": row["standalone"]}], row))
    rows, now_ms, sizes = [], 0, {}
    for number, (messages, row) in enumerate(shuffled(rng, requests)):
        out_tok = sizes.setdefault(row["group"], 20 + below(rng, 120))
        rows.append(
            {
                "id": number,
                "t": now_ms / 1000,
                "messages": messages,
                "group": row["group"],
                "scope": row["scope"],
                "in_tok": tokens("".join(message["content"] for message in messages)),
                "out_tok": out_tok,
            }
        )
        now_ms += 1 + below(rng, 20_000)
    return rows
