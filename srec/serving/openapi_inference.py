"""The open inference protocol in the OpenAPI document: the same contract in KServe's words."""

from typing import Any, Final

from srec.serving.forms import Request
from srec.serving.open_inference import ANSWERS, INTEGERS, MAX_ID, MAX_SESSIONS, TENSORS

PATH: Final = "/v2/models/srec/infer"
_REF: Final = "#/components/schemas/"

EXAMPLES: Final[dict[str, Any]] = {
    "one session": {
        "inputs": [{"name": "appids", "shape": [2], "datatype": "INT64", "data": [620, 400]}],
        "parameters": {"k": 3},
    },
    "two sessions": {
        "inputs": [
            {
                "name": "request",
                "shape": [2],
                "datatype": "BYTES",
                "data": ['{"appids": [620, 400], "k": 3}', '{"appids": []}'],
            }
        ]
    },
}
_DESCRIPTION: Final = f"""\
One session: the input `appids`, all other fields as parameters. Up to {MAX_SESSIONS} sessions: the input
`request`, each element the JSON text of a request; the output `answer` then holds the JSON text of each.
Shape and number of elements must agree. A body of /predictions/srec is answered here as it is there."""


def inference_schemas() -> dict[str, Any]:
    """The protocol's request and answer, for the document's components."""
    return {
        "InferenceRequest": _object(
            {
                "id": {"type": ["string", "null"], "maxLength": MAX_ID, "description": "Comes back."},
                "parameters": {
                    "description": "Fields of a request but appids; filters also as their JSON text.",
                    "anyOf": [
                        _object({name: {} for name in Request.model_fields if name != "appids"}),
                        _NULL,
                    ],
                },
                "inputs": {
                    "type": "array",
                    "minItems": 1,
                    "maxItems": 1,
                    "items": {"oneOf": [_appids(), _requests()]},
                    "description": "One input: appids or request.",
                },
                "outputs": {
                    "description": "Which outputs are wanted; absent: all.",
                    "anyOf": [{"type": "array", "items": _output_name()}, _NULL],
                },
            },
            "inputs",
        ),
        "InferenceAnswer": _object(
            {
                "model_name": {"type": "string", "description": "The model's name on this server."},
                "model_version": {"type": "string", "description": "The archive's version."},
                "id": {"type": "string", "description": "The request's, else its request id."},
                "parameters": {
                    "type": "object",
                    "description": "Of one session: source, truncated, unknown_appids; graph, request_id.",
                },
                "outputs": {
                    "type": "array",
                    "items": _tensor([*TENSORS, *ANSWERS], ["INT64", "FP32", "BYTES"], {}),
                    "description": f"{', '.join(TENSORS)}; or {', '.join(ANSWERS)}.",
                },
            },
            *("model_name", "model_version", "id", "parameters", "outputs"),
        ),
    }


def inference_body() -> dict[str, Any]:
    """What a body may be: the protocol's form, or one of the contract."""
    return {"anyOf": [{"$ref": f"{_REF}InferenceRequest"}, *contract_bodies()]}


def inference_answer() -> dict[str, Any]:
    """What is answered, to either."""
    return {"anyOf": [{"$ref": f"{_REF}InferenceAnswer"}, {"$ref": f"{_REF}Answer"}]}


def contract_bodies() -> list[dict[str, Any]]:
    """The two forms of the contract's own body: an object, and a bare list of appids."""
    return [{"$ref": f"{_REF}Request"}, {"$ref": f"{_REF}Request/properties/appids"}]


def inference_operation(describe: dict[str, Any]) -> dict[str, Any]:
    """The operation, from what it shares with that of the contract."""
    return {
        "operationId": "infer",
        "summary": "The same for KServe's clients",
        "description": _DESCRIPTION,
    } | describe


_NULL: Final = {"type": "null"}


def _appids() -> dict[str, Any]:
    appids = {"$ref": f"{_REF}Request/properties/appids"}
    nested = {"type": "array", "items": appids, "minItems": 1, "maxItems": 1}
    return _tensor(["appids"], list(INTEGERS), {"anyOf": [appids, nested]})


def _requests() -> dict[str, Any]:
    texts = {"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": MAX_SESSIONS}
    return _tensor(["request"], ["BYTES"], texts)


def _tensor(names: list[str], datatypes: list[str], data: dict[str, Any]) -> dict[str, Any]:
    fields = {
        "name": {"enum": names},
        "shape": {"type": "array", "items": {"type": "integer", "minimum": 0}, "minItems": 1, "maxItems": 2},
        "datatype": {"enum": datatypes},
        "parameters": {},
        "data": data,
    }
    return _object(fields, "name", "shape", "datatype", "data")


def _output_name() -> dict[str, Any]:
    return {"type": "object", "properties": {"name": {"enum": [*TENSORS, *ANSWERS]}}, "required": ["name"]}


def _object(properties: dict[str, Any], *required: str) -> dict[str, Any]:
    rules = {"type": "object", "properties": properties, "additionalProperties": False}
    return rules | ({"required": list(required)} if required else {})
