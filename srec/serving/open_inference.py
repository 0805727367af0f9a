"""The same contract in the words of the open inference protocol (KServe's V2), for clients that speak it.

One session: an integer input ``appids`` of shape [n] or [1, n], the other fields as parameters. Several
sessions: an input ``request`` of BYTES, each element the JSON text of one request; each element of the
output ``answer`` is the JSON text of its answer.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from srec.errors import RequestError, nearest
from srec.serving.contract import Request, parse_json, parse_request, shown, unknown_name
from srec.serving.forms import BECAUSE

MAX_ID: Final = 128
MAX_SESSIONS: Final = 32  # in one request: as many as TorchServe hands to a worker at once
INTEGERS: Final = ("INT64", "INT32", "UINT64", "UINT32")
TENSORS: Final = ("appids", "scores", "names", "because")
ANSWERS: Final = ("answer",)
_FIELDS: Final = ("id", "parameters", "inputs", "outputs")
_TENSOR_FIELDS: Final = ("name", "shape", "datatype", "parameters", "data")
_INPUT: Final = (
    'send one input {"name": "appids", "shape": [2], "datatype": "INT64", "data": [620, 400]}, or one '
    'input "request" of BYTES with the JSON text of a request for each session'
)


class Inference(NamedTuple):
    """A request of the protocol, read.

    Attributes:
        requests: one a session.
        id: the client's own, returned with the answer; None without one.
        outputs: what is wanted of the answer, in this order.
        as_text: whether sessions came, and answers go, as JSON texts.
    """

    requests: list[Request]
    id: str | None
    outputs: Sequence[str]
    as_text: bool


def parse_inference(body: Mapping[str, Any]) -> Inference:
    """Read a request of the protocol.

    Raises:
        RequestError: the first thing that is wrong, with the value and the rule.
    """
    _check_names("field", body, _FIELDS)
    asked_id = body.get("id")
    if asked_id is not None and not _is_id(asked_id):
        raise RequestError(f"id is {shown(asked_id)}: id is a printable text of at most {MAX_ID} characters")
    tensor = _only_input(body.get("inputs"))
    as_text = tensor.get("name") == "request"
    if as_text:
        if body.get("parameters"):
            raise RequestError(
                "parameters stand beside an input request: each request's text holds its own fields"
            )
        requests = _from_texts(tensor)
    else:
        requests = [_from_tensor(tensor, body.get("parameters"))]
    return Inference(
        requests, asked_id, _outputs(body.get("outputs"), ANSWERS if as_text else TENSORS), as_text
    )


def form_inference(asked: Inference, answers: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The protocol's answer; ``answers`` are objects of the HTTP contract, one a session."""
    first = answers[0]
    if asked.as_text:
        texts = [json.dumps(answer, ensure_ascii=False) for answer in answers]
        outputs = {"answer": _tensor("answer", "BYTES", [len(texts)], texts)}
        parameters = {}
    else:
        outputs = _tensors(first["items"], explain=asked.requests[0].explain)
        unknown = ",".join(map(str, first["unknown_appids"]))
        parameters = {"source": first["source"], "truncated": first["truncated"], "unknown_appids": unknown}
    return {
        "model_name": first["model"]["name"],
        "model_version": first["model"]["version"],
        "id": first["request_id"] if asked.id is None else asked.id,
        "parameters": {**parameters, "graph": first["model"]["graph"], "request_id": first["request_id"]},
        "outputs": [outputs[name] for name in asked.outputs if name in outputs],
    }


def _is_id(value: object) -> bool:
    """Whether it can be sent back: lone surrogates, which no UTF-8 holds, are not printable."""
    return isinstance(value, str) and len(value) <= MAX_ID and value.isprintable()


def _only_input(inputs: object) -> dict[str, Any]:
    if not isinstance(inputs, list) or len(inputs) != 1 or not isinstance(inputs[0], dict):
        raise RequestError(f"inputs is {shown(inputs)}: {_INPUT}")
    tensor: dict[str, Any] = inputs[0]
    _check_names("field of an input", tensor, _TENSOR_FIELDS)
    name = tensor.get("name")
    if name not in ("appids", "request"):
        hint = nearest(name, ("appids", "request")) if isinstance(name, str) else ""
        raise RequestError(f"inputs[0].name is {shown(name)}{hint}: {_INPUT}")
    return tensor


def _from_tensor(tensor: Mapping[str, Any], parameters: object) -> Request:
    if tensor.get("datatype") not in INTEGERS:
        raise RequestError(
            f"inputs[0].datatype is {shown(tensor.get('datatype'))}: use {', '.join(INTEGERS)}"
        )
    if parameters is not None and not isinstance(parameters, dict):
        raise RequestError(f'parameters is {shown(parameters)}: parameters is an object such as {{"k": 10}}')
    data, shape = tensor.get("data"), tensor.get("shape")
    # [1, n] is one session, too; its data may come flat or as a list in a list.
    if isinstance(data, list) and len(data) == 1 and isinstance(data[0], list):
        data = data[0]
    _check_shape(shape, data, "[n] or [1, n], with n appids in data", ([1],))
    fields = dict(parameters or {})
    if "appids" in fields:
        raise RequestError("parameters.appids: appids are the input, not a parameter")
    if isinstance(fields.get("filters"), str):  # the protocol's parameters are texts, numbers and booleans
        fields["filters"] = _from_text(fields["filters"])
    return parse_request({"appids": data, **fields})


def _from_text(filters: str) -> object:
    try:
        return parse_json(filters)
    except RequestError:
        raise RequestError(
            f"parameters.filters is {shown(filters)}: send an object, or its JSON text"
        ) from None


def _from_texts(tensor: Mapping[str, Any]) -> list[Request]:
    if tensor.get("datatype") != "BYTES":
        raise RequestError(f"inputs[0].datatype is {shown(tensor.get('datatype'))}: a request is BYTES")
    texts = tensor.get("data")
    _check_shape(tensor.get("shape"), texts, "[n], with n texts in data", ())
    if not isinstance(texts, list) or not 1 <= len(texts) <= MAX_SESSIONS:
        raise RequestError(f"inputs[0].data is {shown(texts)}: send 1 to {MAX_SESSIONS} requests")
    requests = []
    for index, text in enumerate(texts):
        try:
            if not isinstance(text, str):
                raise RequestError(f"it is {shown(text)}, not the JSON text of a request")
            requests.append(parse_request(text))
        except RequestError as error:
            raise RequestError(f"inputs[0].data[{index}]: {error}") from None
    return requests


def _check_shape(shape: object, data: object, rule: str, before: Sequence[list[int]]) -> None:
    if not isinstance(data, list):
        raise RequestError(f"inputs[0].data is {shown(data)}: data is a list")
    if shape not in ([len(data)], *([*one, len(data)] for one in before)):
        raise RequestError(
            f"inputs[0].shape is {shown(shape)} for {len(data)} entries of data: shape is {rule}"
        )


def _outputs(wanted: object, known: Sequence[str]) -> Sequence[str]:
    """The outputs to answer with: those asked for, or all."""
    if wanted is None or wanted == []:
        return known
    if not isinstance(wanted, list) or not all(isinstance(one, dict) for one in wanted):
        raise RequestError(
            f'outputs is {shown(wanted)}: outputs is a list such as [{{"name": "{known[0]}"}}]'
        )
    names = [one.get("name") for one in wanted]
    for index, name in enumerate(names):
        if name not in known:
            raise RequestError(
                f"outputs[{index}]: {unknown_name('output', str(name), known)}: {', '.join(known)}"
            )
    return list(dict.fromkeys(names))


def _check_names(what: str, given: Mapping[str, Any], known: Sequence[str]) -> None:
    for name in given:
        if name not in known:
            raise RequestError(f"{unknown_name(what, str(name), known)}: known are {', '.join(known)}")


def _tensors(items: Sequence[Mapping[str, Any]], *, explain: bool) -> dict[str, dict[str, Any]]:
    """The recommendations, a tensor a column; reasons only where they were asked for."""
    n = len(items)
    tensors = {
        "appids": _tensor("appids", "INT64", [n], [item["appid"] for item in items]),
        "scores": _tensor("scores", "FP32", [n], [item["score"] for item in items]),
        "names": _tensor("names", "BYTES", [n], [item["name"] or "" for item in items]),
    }
    if explain:
        rows = [item["because"] + [0] * (BECAUSE - len(item["because"])) for item in items]
        tensors["because"] = _tensor(
            "because", "INT64", [n, BECAUSE], [appid for row in rows for appid in row]
        )
    return tensors


def _tensor(name: str, datatype: str, shape: list[int], data: list[Any]) -> dict[str, Any]:
    return {"name": name, "shape": shape, "datatype": datatype, "data": data}
