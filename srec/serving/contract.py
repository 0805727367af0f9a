"""The HTTP contract: what a request may say, what an answer says, and how a refusal reads."""

import json
from collections.abc import Mapping
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from srec.errors import RequestError, nearest

MAX_APPID: Final = 2**31 - 1
MAX_K: Final = 100
DEFAULT_K: Final = 10
SHOWN: Final = 60  # characters of a refused value that its message repeats

Appid = Annotated[int, Field(strict=True, ge=1, le=MAX_APPID)]


class Request(BaseModel):
    """One visitor's clicks.

    Attributes:
        appids: clicked games in click order, the newest last; repeats are kept.
        k: how many games to answer.
        exclude_clicked: leave the clicked games out of the answer.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    appids: list[Appid]
    k: Annotated[int, Field(strict=True, ge=1, le=MAX_K)] = DEFAULT_K
    exclude_clicked: Annotated[bool, Field(strict=True)] = True


_HOW: Final = 'send a JSON object such as {"appids": [620, 400]} with Content-Type: application/json'
_RULES: Final[Mapping[str, str]] = {
    "appids": "appids is a list of integers in click order, the newest last",
    "appid": f"every appid is an integer from 1 to {MAX_APPID}",
    "k": f"k is an integer from 1 to {MAX_K}",
    "exclude_clicked": "exclude_clicked is true or false",
}


def parse_request(body: object) -> Request:
    """Read a request's body: an object, a bare list of appids, or either as JSON text.

    Raises:
        RequestError: the first thing that is wrong, with the value and the rule.
    """
    if isinstance(body, (bytes, bytearray, str)) and body:
        body = _parse_json(body)
    if isinstance(body, list):
        body = {"appids": body}
    if not isinstance(body, dict):
        what = _shown(body) if body else "empty"
        raise RequestError(f"the body is {what}: {_HOW}")
    for name in body:
        if name not in Request.model_fields:
            known = f"{nearest(name, Request.model_fields)}: known are {', '.join(Request.model_fields)}"
            raise RequestError(f"unknown field {_shown(name)}{known}")
    given = {name: value for name, value in body.items() if value is not None}
    try:
        return Request.model_validate(given)
    except ValidationError as error:
        raise RequestError(_explain(error, given)) from None


def error_body(status: int, kind: str, message: str) -> str:
    """A refusal in TorchServe's own form; ASCII, since a refused text need not be valid Unicode."""
    return json.dumps({"code": status, "type": kind, "message": message})


def _parse_json(text: bytes | bytearray | str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        shown = text.decode(errors="replace") if isinstance(text, (bytes, bytearray)) else text
        raise RequestError(f"the body is not JSON: {_shown(shown)}; {_HOW}") from None


def _explain(error: ValidationError, given: dict[str, Any]) -> str:
    first = error.errors(include_url=False)[0]
    field, *index = first["loc"]
    if first["type"] == "missing":
        return f"appids is missing: {_RULES['appids']}"
    if index:
        return f"{field}[{index[0]}] is {_shown(first['input'])}: {_RULES['appid']}"
    return f"{field} is {_shown(given[str(field)])}: {_RULES[str(field)]}"


def _shown(value: object) -> str:
    try:
        text = json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError, RecursionError):
        text = repr(type(value).__name__)
    return text if len(text) <= SHOWN else text[:SHOWN] + "..."
