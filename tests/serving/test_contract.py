"""Requests: what is accepted, and how each refusal reads."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from srec.errors import RequestError
from srec.serving.contract import Request, error_body, parse_request

HOW = 'send a JSON object such as {"appids": [620, 400]} with Content-Type: application/json'
KNOWN = "known are appids, k, exclude_clicked"
APPID = "every appid is an integer from 1 to 2147483647"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"appids": [620, 400]}, Request(appids=[620, 400])),
        ([620, 400], Request(appids=[620, 400])),
        (b"[620, 620]", Request(appids=[620, 620])),
        ('{"appids": [], "k": null}', Request(appids=[])),
        (bytearray(b'{"appids":[1],"k":100}'), Request(appids=[1], k=100)),
        ({"appids": [1], "exclude_clicked": False}, Request(appids=[1], exclude_clicked=False)),
        ({"appids": [2147483647]}, Request(appids=[2147483647])),
    ],
)  # fmt: skip
def test_accepts(body: object, expected: Request) -> None:
    assert parse_request(body) == expected


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (None, f"the body is empty: {HOW}"),
        (b"", f"the body is empty: {HOW}"),
        (b"appids=620", f'the body is not JSON: "appids=620"; {HOW}'),
        (b"[" * 100_000, "the body is not JSON: \"" + "[" * 59 + f"...; {HOW}"),
        ("12", f"the body is 12: {HOW}"),
        ({"k": 5}, "appids is missing: appids is a list of integers in click order, the newest last"),
        ({"appids": "620"}, 'appids is "620": appids is a list of integers in click order, the newest last'),
        ({"appids": None}, "appids is missing: appids is a list of integers in click order, the newest last"),
        ({"appids": [620, 400, "abc"]}, f'appids[2] is "abc": {APPID}'),
        ({"appids": ["620"]}, f'appids[0] is "620": {APPID}'),
        ({"appids": [1, True]}, f"appids[1] is true: {APPID}"),
        ({"appids": [1.0]}, f"appids[0] is 1.0: {APPID}"),
        ({"appids": [None]}, f"appids[0] is null: {APPID}"),
        ({"appids": [0]}, f"appids[0] is 0: {APPID}"),
        ({"appids": [-5]}, f"appids[0] is -5: {APPID}"),
        ({"appids": [2147483648]}, f"appids[0] is 2147483648: {APPID}"),
        (b'{"appids": [NaN]}', f"appids[0] is NaN: {APPID}"),
        (b'{"appids": [1e999]}', f"appids[0] is Infinity: {APPID}"),
        ({"appids": [1], "k": 0}, "k is 0: k is an integer from 1 to 100"),
        ({"appids": [1], "k": 101}, "k is 101: k is an integer from 1 to 100"),
        ({"appids": [1], "k": True}, "k is true: k is an integer from 1 to 100"),
        ({"appids": [1], "k": "10"}, 'k is "10": k is an integer from 1 to 100'),
        ({"appids": [1], "exclude_clicked": 1}, "exclude_clicked is 1: exclude_clicked is true or false"),
        ({"apids": [1]}, f'unknown field "apids" (did you mean "appids"?): {KNOWN}'),
        ({"appids": [1], "zzz": 1}, f'unknown field "zzz": {KNOWN}'),
    ],
)  # fmt: skip
def test_refuses_with_what_which_and_what_to_do(body: object, message: str) -> None:
    with pytest.raises(RequestError) as refused:
        parse_request(body)
    assert str(refused.value) == message


def test_a_long_value_is_shown_in_part() -> None:
    with pytest.raises(RequestError) as refused:
        parse_request({"appids": ["x" * 10_000]})
    assert len(str(refused.value)) < 200


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=10,
)


@given(anything | st.binary(max_size=40) | st.fixed_dictionaries({"appids": anything, "k": anything}))
def test_whatever_arrives_is_read_or_refused_in_sendable_text(body: object) -> None:
    try:
        request = parse_request(body)
    except RequestError as refused:
        message = str(refused)
    else:
        assert all(1 <= appid < 2**31 for appid in request.appids)
        assert 1 <= request.k <= 100
        return
    sent = error_body(400, "InvalidRequest", message).encode("utf-8")
    assert json.loads(sent)["message"] == message
