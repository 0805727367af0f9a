"""The HTTP contract: its forms (from ``forms``), and a body -> a request, or a refusal with value and rule.

The work is bounded by the body's size, whatever stands in it: a list is left at its first bad entry, a shown
value is read no further than it is shown, and nesting ends where JSON's own reader gives up.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

from pydantic import ValidationError

from srec.errors import RequestError, nearest
from srec.serving.forms import (
    MAX_APPID,
    MAX_K,
    MAX_PRICE,
    MAX_TAG,
    MAX_TAGS,
    Answer,
    ErrorBody,
    Filters,
    Recommendation,
    Request,
)

__all__ = [
    "Answer",
    "ErrorBody",
    "Filters",
    "Recommendation",
    "Request",
    "error_body",
    "parse_json",
    "parse_request",
    "shown",
    "unknown_name",
]

SHOWN: Final = 60  # characters of a refused value that its message repeats
_DIGITS: Final = 20  # of an integer: with more it is out of every range, whatever follows

_HOW: Final = 'send a JSON object such as {"appids": [620, 400]} with Content-Type: application/json'
_APPID: Final = f"every appid is an integer from 1 to {MAX_APPID}"
_TAG: Final = f"every tag is a text of 1 to {MAX_TAG} characters"
_RULES: Final[Mapping[str, str]] = {
    "appids": "appids is a list of integers in click order, the newest last",
    "k": f"k is an integer from 1 to {MAX_K}",
    "exclude_clicked": "exclude_clicked is true or false",
    "explain": "explain is true or false",
    "filters": 'filters is an object such as {"tags_any": ["Puzzle"], "max_price": 20}',
    "popularity_penalty": "popularity_penalty is a number from 0 to 1",
    "tags_any": f"tags_any is a list of at most {MAX_TAGS} tags",
    "tags_none": f"tags_none is a list of at most {MAX_TAGS} tags",
    "max_price": f"max_price is a number from 0 to {MAX_PRICE:.0f}",
    "free": "free is true (only free games) or false (only paid ones)",
    "exclude_appids": "exclude_appids is a list of integers",
}
_RULES_OF_ENTRIES: Final[Mapping[str, str]] = {
    "appids": _APPID, "exclude_appids": _APPID, "tags_any": _TAG, "tags_none": _TAG
}  # fmt: skip


def parse_request(body: object) -> Request:
    """Read a request's body: an object, a bare list of appids, or either as JSON text.

    Raises:
        RequestError: the first thing that is wrong, with the value and the rule.
    """
    if isinstance(body, (bytes, bytearray, str)) and body:
        body = parse_json(body)
    if isinstance(body, list):
        body = {"appids": body}
    if not isinstance(body, dict):
        what = "empty" if body in (None, "", b"") else shown(body)
        raise RequestError(f"the body is {what}: {_HOW}")
    given = _given(body, "field", Request.model_fields)
    if isinstance(given.get("filters"), dict):
        given["filters"] = _given(given["filters"], "filter", Filters.model_fields)
    try:
        return Request.model_validate(given)
    except ValidationError as error:
        raise RequestError(_explain(error)) from None


def parse_json(text: bytes | bytearray | str) -> object:
    """Read JSON text; ``RequestError`` where it is none, or nested too deeply to be a request."""
    try:
        return json.loads(text, parse_int=_integer)
    except (ValueError, RecursionError):
        start = text[: 4 * SHOWN]
        start = start.decode(errors="replace") if isinstance(start, (bytes, bytearray)) else start
        raise RequestError(f"the body is not JSON: {shown(start)}; {_HOW}") from None


def error_body(status: int, kind: str, message: str) -> str:
    """A refusal in TorchServe's own form; ASCII, since a refused text need not be valid Unicode."""
    return json.dumps({"code": status, "type": kind, "message": message})


def unknown_name(what: str, name: str, known: Iterable[str]) -> str:
    """The message for a name that is not known, with the nearest that is."""
    return f"unknown {what} {shown(name)}{nearest(name[:SHOWN], known)}"


def shown(value: object) -> str:
    """The start of a value as JSON, at a cost that does not grow with the value."""
    text = ""
    try:
        for piece in _ENCODER.iterencode(value[: SHOWN + 1] if isinstance(value, str) else value):
            text += piece[: SHOWN + 1]
            if len(text) > SHOWN:
                return text[:SHOWN] + "..."
    except (TypeError, ValueError, RecursionError):
        return repr(type(value).__name__)
    return text


_ENCODER: Final = json.JSONEncoder(ensure_ascii=False)


def _integer(digits: str) -> int:
    return int(digits[:_DIGITS])


def _given(fields: dict[str, Any], what: str, known: Mapping[str, object]) -> dict[str, Any]:
    for name in fields:
        if name not in known:
            raise RequestError(f"{unknown_name(what, str(name), known)}: known are {', '.join(known)}")
    return {name: value for name, value in fields.items() if value is not None}


def _explain(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_context=False)[0]
    path = [part for part in first["loc"] if isinstance(part, str)]
    index = [part for part in first["loc"] if isinstance(part, int)]
    if first["type"] == "missing":
        return f"appids is missing: {_RULES['appids']}"
    where = ".".join(path)
    if index:
        return f"{where}[{index[0]}] is {shown(first['input'])}: {_RULES_OF_ENTRIES[path[-1]]}"
    what = (
        f"has {len(first['input'])} entries" if first["type"] == "too_long" else f"is {shown(first['input'])}"
    )
    return f"{where} {what}: {_RULES[path[-1]]}"
