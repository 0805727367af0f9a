"""One row of a batch: the requests that its body holds, and how its answer is written."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from srec.serving.contract import Request, parse_json, parse_request
from srec.serving.open_inference import form_inference, parse_inference


class Exchange(NamedTuple):
    """What was asked, and how to answer it.

    Attributes:
        requests: at least one.
        write: objects of the HTTP contract, one a request -> the text to send.
    """

    requests: list[Request]
    write: Callable[[Sequence[Mapping[str, Any]]], str]


def read_exchange(body: object, *, open_inference: bool) -> Exchange:
    """Read a body: of the HTTP contract or, where it may be, of the open inference protocol.

    Raises:
        RequestError: the first thing that is wrong, with the value and the rule.
    """
    if open_inference:
        parsed = parse_json(body) if isinstance(body, (bytes, bytearray, str)) and body else body
        if isinstance(parsed, dict) and "inputs" in parsed:
            inference = parse_inference(parsed)
            return Exchange(inference.requests, lambda answers: _text(form_inference(inference, answers)))
    return Exchange([parse_request(body)], lambda answers: _text(answers[0]))


_text: Final = json.JSONEncoder(ensure_ascii=False, check_circular=False).encode
