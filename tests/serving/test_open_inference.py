"""The open inference protocol: what is read, what is refused, and the form of the answer."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from srec.errors import RequestError
from srec.serving.contract import Filters, Request
from srec.serving.exchange import read_exchange
from srec.serving.open_inference import form_inference, parse_inference
from tests.serving.small import make_predictor


def tensor(data: list[Any], *shape: int, name: str = "appids", datatype: str = "INT64") -> dict[str, Any]:
    return {"name": name, "shape": list(shape) or [len(data)], "datatype": datatype, "data": data}


def body(data: list[Any], *shape: int, **more: Any) -> dict[str, Any]:
    return {"inputs": [tensor(data, *shape)], **more}


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (body([620, 400]), Request(appids=[620, 400])),
        (body([]), Request(appids=[])),
        (body([620, 400], 1, 2), Request(appids=[620, 400])),
        (body([[620, 400]], 1, 2), Request(appids=[620, 400])),
        (body([1], parameters={"k": 3, "explain": True, "exclude_clicked": None}),
         Request(appids=[1], k=3, explain=True)),
        (body([1], parameters={"filters": {"free": True}}), Request(appids=[1], filters=Filters(free=True))),
        (body([1], parameters={"filters": '{"free": true}'}),
         Request(appids=[1], filters=Filters(free=True))),
        ({"inputs": [{**tensor([1]), "datatype": "UINT32", "parameters": {"content_type": "np"}}],
          "parameters": {}, "outputs": []}, Request(appids=[1])),
    ],
)  # fmt: skip
def test_reads_a_session(asked: dict[str, Any], expected: Request) -> None:
    assert parse_inference(asked).requests == [expected]


def test_reads_several_sessions_as_texts() -> None:
    texts = ['{"appids": [620], "k": 2}', "[400]"]
    inference = parse_inference({"inputs": [tensor(texts, name="request", datatype="BYTES")]})
    assert inference.requests == [Request(appids=[620], k=2), Request(appids=[400])]


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"inputs": []}, "inputs is []: send one input"),
        ({"inputs": [tensor([1]), tensor([1])]}, "inputs is [{"),
        ({"inputs": [tensor([1], name="appid")]},
         'inputs[0].name is "appid" (did you mean "appids"?): send one'),
        ({"inputs": [{**tensor([1]), "shapes": []}]},
         'unknown field of an input "shapes" (did you mean "shape"?)'),
        ({"inputs": [tensor([1.0], datatype="FP32")]}, 'inputs[0].datatype is "FP32": use INT64, INT32'),
        (body(["a"]), 'appids[0] is "a": every appid is an integer'),
        (body([1.5]), "appids[0] is 1.5: every appid is an integer"),
        (body([1, 2], 3), "inputs[0].shape is [3] for 2 entries of data: shape is [n] or [1, n]"),
        (body([1, 2, 3, 4], 2, 2), "inputs[0].shape is [2, 2] for 4 entries"),
        ({"inputs": [{"name": "appids", "datatype": "INT64"}]}, "inputs[0].data is null: data is a list"),
        (body([1], parameters={"kk": 3}), 'unknown field "kk" (did you mean "k"?)'),
        (body([1], parameters={"k": 0}), "k is 0: k is an integer from 1 to 100"),
        (body([1], parameters=[1]), "parameters is [1]: parameters is an object"),
        (body([1], parameters={"appids": [2]}), "parameters.appids: appids are the input"),
        (body([1], parameters={"filters": "{"}),
         'parameters.filters is "{": send an object, or its JSON text'),
        (body([1], id=7), "id is 7: id is a printable text of at most 128 characters"),
        (body([1], id="\ud800"), "id is "),
        (body([1], outputs=[{"name": "score"}]),
         'outputs[0]: unknown output "score" (did you mean "scores"?)'),
        (body([1], outputs="scores"), 'outputs is "scores": outputs is a list such as'),
        (body([1], instances=1), 'unknown field "instances"'),
        ({"inputs": [tensor(["[1]", "[0]"], name="request", datatype="BYTES")]},
         "inputs[0].data[1]: appids[0] is 0: every appid"),
        ({"inputs": [tensor([[1]], name="request", datatype="BYTES")]}, "inputs[0].data[0]: "),
        ({"inputs": [tensor(["[1]"], name="request")]}, 'inputs[0].datatype is "INT64": a request is BYTES'),
        ({"inputs": [tensor(["[1]"] * 33, name="request", datatype="BYTES")]}, "send 1 to 32 requests"),
        ({"inputs": [tensor(["[1]"], name="request", datatype="BYTES")], "parameters": {"k": 1}},
         "parameters stand beside an input request"),
    ],
)  # fmt: skip
def test_refuses_with_what_which_and_what_to_do(asked: dict[str, Any], message: str) -> None:
    with pytest.raises(RequestError) as refused:
        parse_inference(asked)
    assert message in str(refused.value)


def answer_to(asked: dict[str, Any]) -> dict[str, Any]:
    inference = parse_inference(asked)
    answers = make_predictor().answer(inference.requests, ["visit"] * len(inference.requests))
    return form_inference(inference, answers)


def test_golden_answer() -> None:
    assert answer_to(body([10, 999, 30], id="42", parameters={"k": 3, "explain": True})) == {
        "model_name": "srec",
        "model_version": "1.0",
        "id": "42",
        "parameters": {
            "source": "last-click",
            "truncated": False,
            "unknown_appids": "999",
            "graph": "abc",
            "request_id": "visit",
        },
        "outputs": [
            {"name": "appids", "shape": [3], "datatype": "INT64", "data": [20, 40, 50]},
            {"name": "scores", "shape": [3], "datatype": "FP32", "data": [-1.0, -1.0, -2.0]},
            {"name": "names", "shape": [3], "datatype": "BYTES", "data": ["game 20", "", "game 50"]},
            {"name": "because", "shape": [3, 3], "datatype": "INT64", "data": [0, 0, 0, 30, 0, 0, 30, 0, 0]},
        ],
    }


def test_outputs_asked_for_in_their_order() -> None:
    answer = answer_to(body([30], outputs=[{"name": "scores"}, {"name": "appids"}]))
    assert [output["name"] for output in answer["outputs"]] == ["scores", "appids"]
    assert answer["id"] == "visit"


def test_no_game_left_has_its_outputs_too() -> None:
    asked = body([10], parameters={"explain": True, "filters": {"exclude_appids": [20, 30, 40, 50, 60]}})
    shapes = {output["name"]: output["shape"] for output in answer_to(asked)["outputs"]}
    assert shapes == {"appids": [0], "scores": [0], "names": [0], "because": [0, 3]}


def test_several_sessions_are_answered_in_their_order() -> None:
    texts = ['{"appids": [30], "k": 1}', "[]"]
    (output,) = answer_to({"inputs": [tensor(texts, name="request", datatype="BYTES")]})["outputs"]
    assert (output["name"], output["shape"], output["datatype"]) == ("answer", [2], "BYTES")
    predictor = make_predictor()
    requests = [Request(appids=[30], k=1), Request(appids=[])]
    assert [json.loads(text) for text in output["data"]] == predictor.answer(requests, ["visit"] * 2)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=8,
)
tensors = st.fixed_dictionaries(
    {
        "name": st.sampled_from(["appids", "request"]) | anything,
        "data": st.lists(st.integers(1, 99)) | anything,
    },
    optional={"shape": anything, "datatype": st.sampled_from(["INT64", "BYTES"]) | anything},
)
bodies = st.fixed_dictionaries(
    {"inputs": st.lists(tensors, max_size=2) | anything},
    optional={"id": anything, "parameters": anything, "outputs": anything},
)


@settings(deadline=None)
@given(bodies)
def test_whatever_arrives_is_read_or_refused(asked: dict[str, Any]) -> None:
    for arrived in (asked, json.dumps(asked)):
        try:
            exchange = read_exchange(arrived, open_inference=True)
        except RequestError as refused:
            json.dumps(str(refused)).encode()
        else:
            assert 1 <= len(exchange.requests) <= 32
