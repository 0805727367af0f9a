"""What is wrong with an answer."""

import json
from typing import Any

import pytest

from srec.loadtest.answers import fault
from tests.loadtest.small import answer_of


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (answer_of([1, 2, 3]), None),
        (answer_of([1, 2]), "the answer does not hold 3 items"),
        (answer_of([1, 2, 3], 0), "the ranks are not 1 to 3"),
        (answer_of([1, 2, 2]), "an appid is recommended twice"),
        (answer_of([1, 7, 3]), "a clicked appid is recommended"),
        ({"code": 200}, "the answer holds no list of items with rank and appid"),
        ([1, 2, 3], "the answer holds no list of items with rank and appid"),
        ({"items": [{"rank": 1, "appid": []}]}, "the answer holds no list of items with rank and appid"),
    ],
)
def test_fault_names_what_is_wrong(answer: Any, expected: str | None) -> None:
    assert fault(json.dumps(answer).encode(), [7, 9], 3) == expected


def test_fault_survives_bytes_that_are_no_json() -> None:
    for body in (b"", b"<html>", b"\xff\xfe\xff", b"[" * 100_000):
        assert fault(body, [7], 3) == "the answer is not JSON"
