"""The handler with a fake context: the real TorchServe stands in tests/line."""

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from srec.errors import DataError, InputError
from srec.handlers.srec_handler import SrecHandler
from srec.serving import ranker
from srec.serving.contract import Answer, ErrorBody
from srec.serving.metrics import Metrics
from tests.conftest import Line


class FakeContext:
    """What the handler uses of TorchServe's context."""

    def __init__(self, model_dir: Path, headers: list[dict[str, str]] | None = None) -> None:
        self.system_properties = {"model_dir": str(model_dir)}
        self.model_yaml_config = {"srec": {"redis": {"deadline_ms": 20}}}
        self.manifest = {"model": {"modelVersion": "7.0"}}
        self.metrics = SimpleNamespace(cache={})  # what metrics.yaml declares: here nothing is sent
        self.headers = headers or []
        self.status: dict[int, int] = {}
        self.content_types: dict[int, str] = {}

    def set_response_status(self, code: int, phrase: str, idx: int) -> None:
        self.status[idx] = code

    def set_response_content_type(self, idx: int, value: str) -> None:
        self.content_types[idx] = value

    def get_all_request_header(self, idx: int) -> dict[str, str]:
        return self.headers[idx] if idx < len(self.headers) else {}

    def get_request_id(self, idx: int) -> str:
        return f"own-{idx}"


@pytest.fixture(scope="module", autouse=True)
def no_sending_in_the_background() -> Iterator[None]:
    """Metrics reach a real server in tests/line."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Metrics, "start", lambda _: None)
        yield


@pytest.fixture(scope="module")
def handler(line: Line) -> SrecHandler:
    threads = torch.get_num_threads()
    made = SrecHandler()
    made.initialize(FakeContext(line.artifact))
    assert torch.get_num_threads() == 1
    torch.set_num_threads(threads)
    return made


def handle(handler: SrecHandler, rows: list[Any], context: FakeContext | None = None) -> list[dict[str, Any]]:
    return [json.loads(text) for text in handler.handle(rows, context or FakeContext(Path()))]


def test_a_bad_row_never_touches_the_others(handler: SrecHandler) -> None:
    context = FakeContext(Path())
    rows = [
        {"body": {"appids": [620]}},
        {"body": {"appids": ["x"]}},
        {},
        {"body": bytearray(b"[400, 620]")},
        {"data": b"{"},
        {"body": []},
    ]
    answers = handle(handler, rows, context)
    assert context.status == {1: 400, 2: 400, 4: 400}
    assert set(context.content_types.values()) == {"application/json"}
    assert len(context.content_types) == len(rows)
    assert answers[1] == {
        "code": 400,
        "type": "InvalidRequest",
        "message": 'appids[0] is "x": every appid is an integer from 1 to 2147483647',
    }
    alone = handle(handler, [rows[0]])[0]
    assert [item["appid"] for item in answers[0]["items"]] == [item["appid"] for item in alone["items"]]
    assert answers[3]["source"] == "gce-gnn"
    assert answers[5]["source"] == "popular"


def test_a_batch_of_bad_rows_asks_the_model_nothing(handler: SrecHandler) -> None:
    assert [answer["code"] for answer in handle(handler, [{}, {"body": "nope"}])] == [400, 400]


def test_version_graph_and_request_id(handler: SrecHandler, line: Line) -> None:
    given = ["from client", "y" * 128, "y" * 129, "two\nlines", "sch\u00f6n", ""]
    headers = [*({"X-Request-Id": text} for text in given), {"x-request-id": "low"}, {}]
    rows = [{"body": [620]}] * len(headers)
    answers = handle(handler, rows, FakeContext(Path(), headers))
    assert [answer["request_id"] for answer in answers] == [
        "from client", "y" * 128, "own-2", "own-3", "own-4", "own-5", "low", "own-7",
    ]  # fmt: skip
    graph = json.loads((line.artifact / "manifest.json").read_text())["graph"]
    assert answers[0]["model"] == {"name": "srec", "version": "7.0", "graph": graph[:12]}


def test_a_filter_that_only_the_model_can_refuse_touches_no_other_row(handler: SrecHandler) -> None:
    context = FakeContext(Path())
    wrong = {"appids": [620], "filters": {"tags_any": ["Puzle"]}}
    fine = {"appids": [620], "explain": True, "filters": {"tags_any": ["Puzzle"], "max_price": 20}}
    answers = handle(handler, [{"body": fine}, {"body": wrong}, {"body": [620]}], context)
    assert context.status == {1: 400}
    assert answers[1]["message"] == 'filters.tags_any[0]: unknown tag "Puzle" (did you mean "Puzzle"?)'
    assert all(item["because"] == [620] for item in answers[0]["items"])
    assert len(answers[2]["items"]) == 10


@pytest.mark.parametrize("header", ["X-API-Key", "x-api-key"])
def test_a_key_is_asked_of_every_row(
    handler: SrecHandler, monkeypatch: pytest.MonkeyPatch, header: str
) -> None:
    monkeypatch.setattr(handler, "api_key", b"right")
    context = FakeContext(Path(), [{header: "right"}, {header: "wrong"}, {}, {header: "\ud800"}])
    answers = handle(
        handler, [{"body": [620]}, {"body": [620]}, {"body": "nonsense"}, {"body": [1]}], context
    )
    assert answers[0]["source"] == "gce-gnn"
    assert context.status == {1: 401, 2: 401, 3: 401}
    assert answers[1] == {
        "code": 401,
        "type": "Unauthorized",
        "message": "the header X-API-Key is missing or wrong: send the key of this service",
    }
    ErrorBody.model_validate(answers[1], strict=True)


def test_the_key_comes_from_the_environment(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SREC_API_KEY", "k")
    made = SrecHandler()
    made.initialize(FakeContext(line.artifact))
    assert made.api_key == b"k"
    monkeypatch.setenv("SREC_API_KEY", "k\n")
    with pytest.raises(InputError, match="a line break"):
        made.initialize(FakeContext(line.artifact))


def test_both_protocols_in_one_batch(handler: SrecHandler) -> None:
    """/v2 and /predictions share batches; only what did not come by /predictions may be of the protocol."""
    v2 = {"id": "42", "inputs": [{"name": "appids", "shape": [2], "datatype": "INT64", "data": [620, 400]}]}
    texts = {"inputs": [{"name": "request", "shape": [2], "datatype": "BYTES", "data": ["[620]", "[]"]}]}
    context = FakeContext(Path(), [{}, {"url_path": ""}, {"url_path": ""}, {}, {}])
    bodies = [v2, [620, 400], v2, json.dumps(texts).encode(), {"inputs": []}]
    answers = handle(handler, [{"body": body} for body in bodies], context)
    assert context.status == {2: 400, 4: 400}
    assert answers[0]["outputs"][0]["data"] == [item["appid"] for item in answers[1]["items"]]
    assert (answers[0]["id"], answers[0]["model_version"]) == ("42", "7.0")
    assert answers[2]["message"].startswith('unknown field "id"')
    sources = [json.loads(text)["source"] for text in answers[3]["outputs"][0]["data"]]
    assert sources == ["gce-gnn", "popular"]


def test_real_answers_keep_the_form(handler: SrecHandler) -> None:
    bodies = [
        [620, 400, 7],
        {"appids": [620] * 60, "explain": True, "k": 100},
        [],
        {"appids": [], "explain": True},
    ]
    for answer in handle(handler, [{"body": body} for body in bodies]):
        Answer.model_validate(answer, strict=True)


def test_text_that_is_no_unicode_is_refused_in_sendable_text(handler: SrecHandler) -> None:
    context = FakeContext(Path())
    bodies = [{"appids": [1], "\ud800": 1}, b"\xff\xfe", {"appids": ["\ud800"]}, "\ud800"]
    for text in handler.handle([{"body": body} for body in bodies], context):
        text.encode("utf-8")
    assert context.status == dict.fromkeys(range(4), 400)


def test_wrong_golden_answers_stop_the_start(
    line: Line, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An intact archive whose model answers otherwise than at export must not become ready."""
    real = ranker.Ranker.rank

    def one_off(self: ranker.Ranker, *arguments: Any) -> Any:
        return [ranking._replace(scores=ranking.scores + 0.1) for ranking in real(self, *arguments)]

    monkeypatch.setattr(ranker.Ranker, "rank", one_off)
    with pytest.raises(DataError, match=r"golden session .* export again"):
        SrecHandler().initialize(FakeContext(line.artifact))


def test_a_body_that_is_no_json_leaves_no_traceback_in_the_log(
    handler: SrecHandler, caplog: pytest.LogCaptureFixture
) -> None:
    logging.warning("Failed json decoding of input data. Forwarding encoded payload")
    logging.warning("something else")
    assert [record.message for record in caplog.records] == ["something else"]


@pytest.mark.parametrize("content", [None, {"srec": None}, {"srec": {"redis": None}}])
def test_without_model_yaml_or_with_empty_sections(line: Line, content: dict[str, Any] | None) -> None:
    context = FakeContext(line.artifact)
    context.model_yaml_config = content  # type: ignore[assignment]
    SrecHandler().initialize(context)
