"""The OpenAPI document: valid, committed as it is made, and true of the parser that serves."""

import json
from typing import Any

import jsonschema_rs
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator, validate

from srec.errors import RequestError
from srec.serving import forms
from srec.serving.contract import parse_request
from srec.serving.open_inference import form_inference, parse_inference
from srec.serving.openapi import document
from srec.serving.openapi_inference import EXAMPLES
from tests.conftest import ROOT, srec_ok

OPERATION: dict[str, Any] = document()["paths"]["/predictions/srec"]["post"]
BODY: dict[str, Any] = OPERATION["requestBody"]["content"]["application/json"]
ANSWERED: dict[str, Any] = OPERATION["responses"]["200"]["content"]["application/json"]["examples"][
    "two-clicks"
]["value"]
INFERRED = list(EXAMPLES.values())
ASKED = [example["value"] for example in BODY["examples"].values()]


def accepts(body: object) -> bool:
    schema = {**BODY["schema"], "components": document()["components"]}
    return jsonschema_rs.is_valid(schema, body)


def test_it_is_an_openapi_document_and_the_committed_one() -> None:
    validate(document(), cls=OpenAPIV31SpecValidator)
    committed = (ROOT / "docs" / "openapi.json").read_text()
    assert json.loads(committed) == document(), "write it anew: make openapi"
    assert srec_ok("openapi") == committed


@pytest.mark.parametrize("body", ASKED, ids=list(BODY["examples"]))
def test_example_requests_are_accepted(body: object) -> None:
    assert accepts(body)
    assert parse_request(json.dumps(body)) == parse_request(body)


@pytest.mark.parametrize("body", INFERRED, ids=str)
def test_example_requests_of_the_open_inference_protocol_are_accepted(body: dict[str, Any]) -> None:
    schema = {"$ref": "#/components/schemas/InferenceRequest", "components": document()["components"]}
    assert jsonschema_rs.is_valid(schema, body)
    requests = parse_inference(body).requests
    answer = json.dumps(form_inference(parse_inference(body), [ANSWERED] * len(requests)))
    schema["$ref"] = "#/components/schemas/InferenceAnswer"
    assert jsonschema_rs.is_valid(schema, json.loads(answer))


def test_example_answers_have_the_answers_form() -> None:
    content = OPERATION["responses"]["200"]["content"]["application/json"]
    for example in content["examples"].values():
        forms.Answer.model_validate(example["value"], strict=True)


@pytest.mark.parametrize(
    "body",
    [
        {},
        "620",
        None,
        7,
        [620, "400"],
        [[620]],
        [0],
        [2**31],
        [True],
        [1.5],
        {"appids": [620], "k": 0},
        {"appids": [620], "k": 101},
        {"appids": [620], "k": "10"},
        {"appids": [620], "explain": 1},
        {"appids": [620], "popularity_penalty": 1.5},
        {"appids": [620], "filters": []},
        {"appids": [620], "filters": {"max_price": -1}},
        {"appids": [620], "filters": {"tags_any": [""]}},
        {"appids": [620], "filters": {"tags_none": ["x" * 101]}},
        {"appids": [620], "filters": {"tags_any": ["x"] * 101}},
        {"appids": [620], "filters": {"tag_any": ["Puzzle"]}},
        {"appids": [620], "K": 3},
    ],
    ids=str,
)
def test_what_the_document_forbids_the_parser_refuses(body: object) -> None:
    assert not accepts(body)
    with pytest.raises(RequestError):
        parse_request(json.dumps(body))


@pytest.mark.parametrize(
    "body",
    [
        {"appids": [1, 2**31 - 1, 1]},
        {"appids": [620], "k": None, "filters": None, "explain": None},
        {"appids": [620], "k": 100, "popularity_penalty": 1, "exclude_clicked": False},
        {"appids": [620], "filters": {"tags_any": None, "max_price": 0, "free": None}},
        {"appids": [620], "filters": {}},
    ],
    ids=str,
)
def test_what_the_document_allows_the_parser_accepts(body: object) -> None:
    assert accepts(body)
    parse_request(json.dumps(body))


def test_every_field_of_the_forms_is_described() -> None:
    schemas = document()["components"]["schemas"]
    assert {"Request", "Filters", "Answer", "Recommendation", "ErrorBody"} <= set(schemas)
    for name, schema in schemas.items():
        for field, rules in schema["properties"].items():
            assert rules.get("description") or "$ref" in rules, f"{name}.{field}"
