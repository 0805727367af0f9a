"""Requests: what is accepted, and how each refusal reads."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from srec.errors import RequestError
from srec.serving.contract import Filters, Request, error_body, parse_request, shown

HOW = 'send a JSON object such as {"appids": [620, 400]} with Content-Type: application/json'
KNOWN = "known are appids, k, exclude_clicked, explain, filters, popularity_penalty"
FILTERS = "known are tags_any, tags_none, max_price, free, exclude_appids"
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
        ({"appids": [1], "explain": True}, Request(appids=[1], explain=True)),
        ({"appids": [1], "popularity_penalty": 1}, Request(appids=[1], popularity_penalty=1.0)),
        ({"appids": [1], "filters": None, "explain": None, "popularity_penalty": None}, Request(appids=[1])),
        (
            {"appids": [1], "filters": {"tags_any": ["Puzzle"], "max_price": 2, "free": False}},
            Request(appids=[1], filters=Filters(tags_any=["Puzzle"], max_price=2.0, free=False)),
        ),
        (
            {"appids": [1], "filters": {"tags_any": None, "max_price": None, "exclude_appids": [7, 7]}},
            Request(appids=[1], filters=Filters(exclude_appids=[7, 7])),
        ),
        ({"appids": [1], "filters": {}}, Request(appids=[1], filters=Filters())),
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
        ("false", f"the body is false: {HOW}"),
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
        (b'{"appids": [' + b"9" * 9999 + b"]}", f"appids[0] is {'9' * 20}: {APPID}"),
        (b'{"appids": ' + b"[" * 500 + b"]" * 500 + b"}", f"appids[0] is {'[' * 60}...: {APPID}"),
        ({"appids": [1], "explain": "yes"}, 'explain is "yes": explain is true or false'),
        ({"appids": [1], "popularity_penalty": 1.5},
         "popularity_penalty is 1.5: popularity_penalty is a number from 0 to 1"),
        ({"appids": [1], "popularity_penalty": True},
         "popularity_penalty is true: popularity_penalty is a number from 0 to 1"),
        ({"appids": [1], "filters": ["Puzzle"]},
         'filters is ["Puzzle"]: filters is an object such as {"tags_any": ["Puzzle"], "max_price": 20}'),
        ({"appids": [1], "filters": {"tag_any": ["x"]}},
         f'unknown filter "tag_any" (did you mean "tags_any"?): {FILTERS}'),
        ({"appids": [1], "filters": {"tags_any": "Puzzle"}},
         'filters.tags_any is "Puzzle": tags_any is a list of at most 100 tags'),
        ({"appids": [1], "filters": {"tags_none": ["Puzzle", 3]}},
         "filters.tags_none[1] is 3: every tag is a text of 1 to 100 characters"),
        ({"appids": [1], "filters": {"tags_any": ["a"] * 101}},
         "filters.tags_any has 101 entries: tags_any is a list of at most 100 tags"),
        ({"appids": [1], "filters": {"max_price": "20"}},
         'filters.max_price is "20": max_price is a number from 0 to 1000000000'),
        (b'{"appids": [1], "filters": {"max_price": NaN}}',
         "filters.max_price is NaN: max_price is a number from 0 to 1000000000"),
        ({"appids": [1], "filters": {"free": 1}},
         "filters.free is 1: free is true (only free games) or false (only paid ones)"),
        ({"appids": [1], "filters": {"exclude_appids": [0]}}, f"filters.exclude_appids[0] is 0: {APPID}"),
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


def test_a_long_list_of_bad_entries_makes_one_complaint() -> None:
    """The cost of a refusal does not grow with what is refused: no error for each of 60,000 entries."""
    with pytest.raises(RequestError) as refused:
        parse_request({"appids": ["x"] * 60_000})
    assert str(refused.value) == f'appids[0] is "x": {APPID}'


def test_a_value_is_read_no_further_than_it_is_shown() -> None:
    class Endless(dict[str, int]):
        def items(self) -> Any:
            return ((str(number), number) for number in iter(int, 1))

    assert shown({"a": Endless(x=1)}).endswith("...")


def test_a_name_as_long_as_a_body_is_refused_by_its_start() -> None:
    with pytest.raises(RequestError) as refused:
        parse_request({"appids": [1], "appids" * 40_000: 1})
    assert str(refused.value).endswith(KNOWN)
    assert len(str(refused.value)) < 300


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=10,
)
shape = st.fixed_dictionaries(
    {"appids": st.lists(st.integers(1, 2**31 - 1) | anything, max_size=4) | anything},
    optional={
        "k": anything | st.integers(1, 100),
        "explain": anything,
        "popularity_penalty": anything | st.floats(0, 1),
        "filters": anything
        | st.fixed_dictionaries({}, optional=dict.fromkeys(Filters.model_fields, anything | st.just([]))),
    },
)


@given(anything | st.binary(max_size=40) | shape | shape.map(json.dumps) | st.text())
def test_whatever_arrives_is_read_or_refused_in_sendable_text(body: object) -> None:
    try:
        request = parse_request(body)
    except RequestError as refused:
        message = str(refused)
    else:
        assert all(type(appid) is int and 1 <= appid < 2**31 for appid in request.appids)
        assert type(request.k) is int
        assert 1 <= request.k <= 100
        assert 0 <= request.popularity_penalty <= 1
        return
    sent = error_body(400, "InvalidRequest", message).encode("utf-8")
    assert json.loads(sent)["message"] == message


def test_a_schema_says_that_null_equals_absent() -> None:
    schema = Request.model_json_schema()
    assert schema["required"] == ["appids"]
    assert {"type": "null"} not in schema["properties"]["appids"].get("anyOf", [])
    optional = [*schema["properties"].items(), *schema["$defs"]["Filters"]["properties"].items()][1:]
    for name, field in optional:
        assert {"type": "null"} in field["anyOf"], name
        assert field["description"], name
