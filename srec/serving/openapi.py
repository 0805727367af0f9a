"""The HTTP contract as an OpenAPI 3.1 document, made from the forms that requests are validated by."""

from http import HTTPStatus
from typing import Any, Final

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode, models_json_schema

from srec import __version__
from srec.serving import openapi_inference
from srec.serving.forms import Answer, ErrorBody, Request

PREDICTIONS: Final = "/predictions/srec"
_SCHEMA: Final = "#/components/schemas/"

_INTRODUCTION: Final = """\
Clicked games of an anonymous visitor in, games to look at next out. docs/http.md says
more. A field that may be absent may be null. Integers are written without a fraction.

The server takes GET, PUT and DELETE for POST, but only POST is the contract. It closes the connection after
every status from 400 on. Compressed bodies are not decoded."""

_ASKED: Final = {
    "two clicks": {"appids": [620, 400], "k": 3},
    "a bare list": [620, 400],
    "nothing known of the visitor": {"appids": []},
    "with every field": {
        "appids": [620, 400],
        "k": 10,
        "exclude_clicked": True,
        "explain": True,
        "filters": {"tags_any": ["Puzzle"], "tags_none": [], "max_price": 20, "exclude_appids": [220]},
        "popularity_penalty": 0.2,
    },
}
_ANSWERED: Final = {
    "items": [
        {"rank": 1, "appid": 26800, "score": 5.139226, "name": "Braid"},
        {"rank": 2, "appid": 257510, "score": 4.56972, "name": "The Talos Principle"},
        {"rank": 3, "appid": 48000, "score": 4.41113, "name": "LIMBO"},
    ],
    "source": "gce-gnn",
    "unknown_appids": [],
    "truncated": False,
    "model": {"name": "srec", "version": "0cadbfef797d", "graph": "b755202a536f"},
    "request_id": "4e113b28-c845-4d4c-846f-d8da5d3a6fb1",
}
_REFUSALS: Final = {
    HTTPStatus.BAD_REQUEST: "The body breaks the contract: what, which value and which rule.",
    HTTPStatus.UNAUTHORIZED: "The service has a key, and the header X-API-Key is missing or wrong.",
    HTTPStatus.NOT_FOUND: "The server has no model of this name.",
    HTTPStatus.INTERNAL_SERVER_ERROR: "The worker that had this request died; it is back within seconds.",
    HTTPStatus.SERVICE_UNAVAILABLE: "The queue is full, or no worker is ready: ask again, a little later.",
    HTTPStatus.INSUFFICIENT_STORAGE: "As 500: TorchServe tells of a dead worker by the one or the other.",
}


class _WithoutTitles(GenerateJsonSchema):
    """A field's title would be its name again."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


def document() -> dict[str, Any]:
    """The document, as JSON-compatible values; the same at every call."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "srec",
            "summary": "Session-based game recommendations",
            "description": _INTRODUCTION,
            "version": __version__,
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "http://127.0.0.1:8080", "description": "`srec serve` on this machine"}],
        "security": [{}, {"apiKey": []}],
        "paths": {PREDICTIONS: {"post": _predict()}, openapi_inference.PATH: {"post": _infer()}},
        "components": {
            "schemas": _schemas() | openapi_inference.inference_schemas(),
            "securitySchemes": {
                "apiKey": {
                    "type": "apiKey",
                    "in": "header",
                    "name": "X-API-Key",
                    "description": "Needed where the service runs with SREC_API_KEY.",
                }
            },
        },
    }


def _predict() -> dict[str, Any]:
    body = {"oneOf": openapi_inference.contract_bodies()}
    return {
        "operationId": "recommend",
        "summary": "The games to look at next",
        **_exchange(_json(body, _ASKED), _json(_form(Answer), {"two clicks": _ANSWERED})),
    }


def _infer() -> dict[str, Any]:
    asked = _json(openapi_inference.inference_body(), openapi_inference.EXAMPLES)
    return openapi_inference.inference_operation(
        _exchange(asked, _json(openapi_inference.inference_answer()))
    )


def _exchange(asked: dict[str, Any], answered: dict[str, Any]) -> dict[str, Any]:
    """What every operation has: a request id, a body, an answer, refusals."""
    return {
        "parameters": [_request_id()],
        "requestBody": {"required": True, "content": asked},
        "responses": {
            "200": {"description": "Games, best first.", "content": answered},
            **{str(status.value): _refusal(text) for status, text in _REFUSALS.items()},
            "413": {"description": "The body is larger than 64 KiB; this response has no body."},
        },
    }


def _request_id() -> dict[str, Any]:
    return {
        "name": "X-Request-Id",
        "in": "header",
        "description": "Names the request in logs and in its answer: 1 to 128 printable ASCII characters, "
        "else the service takes an id of its own.",
        "schema": {"type": "string"},
        "example": "visit-1",
    }


def _refusal(text: str) -> dict[str, Any]:
    return {"description": text, "content": _json(_form(ErrorBody))}


def _form(model: type[Request | Answer | ErrorBody]) -> dict[str, Any]:
    return {"$ref": _SCHEMA + model.__name__}


def _json(schema: dict[str, Any], examples: dict[str, Any] | None = None) -> dict[str, Any]:
    content: dict[str, Any] = {"schema": schema}
    if examples:
        content["examples"] = {
            name.replace(" ", "-"): {"summary": name, "value": v} for name, v in examples.items()
        }
    return {"application/json": content}


def _schemas() -> dict[str, Any]:
    forms: list[tuple[Any, JsonSchemaMode]] = [
        (Request, "validation"), (Answer, "serialization"), (ErrorBody, "serialization")
    ]  # fmt: skip
    _, definitions = models_json_schema(
        forms, ref_template=_SCHEMA + "{model}", schema_generator=_WithoutTitles
    )
    schemas: dict[str, Any] = definitions["$defs"]
    return schemas
