"""Hooks of Schemathesis (SCHEMATHESIS_HOOKS): rules of the contract that a JSON schema cannot say."""

from typing import Any

import schemathesis

KNOWN_TAGS = ("Puzzle", "Co-op")  # of the demo's catalogue


@schemathesis.hook
def before_call(context: object, case: schemathesis.Case[Any], kwargs: dict[str, Any]) -> None:
    """Write whole numbers without a fraction, and put tags that the catalogue knows for those it does not.

    To a schema 620.0 is an integer, and any text a tag; the service answers both with 400.
    """
    case.body = _said(case.body)


def _said(body: Any) -> Any:
    if isinstance(body, dict):
        return {name: _known(name, _said(value)) for name, value in body.items()}
    if isinstance(body, list):
        return [_said(value) for value in body]
    return int(body) if isinstance(body, float) and body.is_integer() else body


def _known(name: str, value: Any) -> Any:
    if name not in {"tags_any", "tags_none"} or not isinstance(value, list):
        return value
    return [
        KNOWN_TAGS[len(tag) % len(KNOWN_TAGS)] if isinstance(tag, str) and 1 <= len(tag) <= 100 else tag
        for tag in value
    ]
