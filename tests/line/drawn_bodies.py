"""Hooks of Schemathesis (SCHEMATHESIS_HOOKS): rules of the contract that a JSON schema cannot say."""

from typing import Any

import schemathesis

KNOWN_TAGS = ("Puzzle", "Co-op")  # of the demo's catalogue


@schemathesis.hook
def map_body(context: object, body: Any) -> Any:
    """Whole numbers are written without a fraction, and a tag is one that the catalogue knows.

    To a schema 620.0 is an integer, and any text a tag; the service answers both with 400.
    """
    if isinstance(body, dict):
        return {name: _known(name, map_body(context, value)) for name, value in body.items()}
    if isinstance(body, list):
        return [map_body(context, value) for value in body]
    return int(body) if isinstance(body, float) and body.is_integer() else body


def _known(name: str, value: Any) -> Any:
    if name not in {"tags_any", "tags_none"} or not isinstance(value, list):
        return value
    return [
        KNOWN_TAGS[len(tag) % len(KNOWN_TAGS)] if isinstance(tag, str) and 1 <= len(tag) <= 100 else tag
        for tag in value
    ]
