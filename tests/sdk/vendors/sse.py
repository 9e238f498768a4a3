"""Server-sent events, as the vendors write them."""

import json


def event(data, name=None):
    """One event with JSON, named or not."""
    head = f"event: {name}\n" if name else ""
    return f"{head}data: {json.dumps(data, ensure_ascii=False)}\n\n".encode()


def typed(data):
    """One event that is named by its `type`."""
    return event(data, data["type"])
