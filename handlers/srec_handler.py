"""What TorchServe calls in its worker: a batch of requests in, a batch of answers out.

The only file that knows TorchServe's handler interface. Exactly one class may be defined here.
"""

import contextlib
import gc
import hmac
import logging
import os
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Any

import torch

from srec.api_key import given_api_key
from srec.errors import AccessError, RequestError
from srec.serving.artifact import Artifact
from srec.serving.contract import error_body
from srec.serving.exchange import Exchange, read_exchange
from srec.serving.forms import is_request_id
from srec.serving.frontend_reads import buffer_reads
from srec.serving.metrics import Sink
from srec.serving.observed import ObservedBatch
from srec.serving.predictor import Predictor
from srec.serving.telemetry import Telemetry, open_telemetry
from srec.stores.settings import StoreSettings

BAD_REQUEST, UNAUTHORIZED = (400, "InvalidRequest"), (401, "Unauthorized")


class SrecHandler:
    """Thin: parses, asks the predictor once for the whole batch, writes."""

    predictor: Predictor
    telemetry: Telemetry
    api_key: bytes
    """What clients must send; empty: nothing."""

    def initialize(self, context: Any) -> None:
        """Load the archive's model, check it against its golden sessions, open the neighbour store."""
        _quieten(logging.getLogger())
        torch.set_num_threads(1)
        with contextlib.suppress(RuntimeError):  # only the first call in a process may set it
            torch.set_num_interop_threads(1)
        self.api_key = given_api_key().encode()
        artifact = Artifact(Path(context.system_properties["model_dir"]))
        artifact.self_test()
        ours = (context.model_yaml_config or {}).get("srec") or {}  # a section may be there and empty
        if ours.get("buffered_reads", True):
            buffer_reads()
        self.predictor = artifact.predictor(
            redis_url=os.environ.get("SREC_REDIS_URL"),
            store_settings=StoreSettings.read(ours.get("redis") or {}, os.environ),
            version=context.manifest["model"]["modelVersion"],
        )
        ranker, info = self.predictor.ranker, self.predictor.info
        self.telemetry = open_telemetry(
            _metrics_sink(context.metrics),
            info.version,
            sources=self.predictor.sources,
            take_stages=ranker.stages.take,
            store=ranker.store,
            scorer=ranker.scorer,
        )
        gc.collect()
        gc.freeze()  # what is loaded stays: to look through it for garbage would hold a request up by 0.1 s

    def handle(self, rows: list[dict[str, Any]], context: Any) -> list[str]:
        """Answer every row with its own status; a malformed one never touches the others."""
        with self.telemetry.batch(len(rows)) as observed:
            return self._answer(rows, context, observed)

    def _answer(self, rows: list[dict[str, Any]], context: Any, observed: ObservedBatch) -> list[str]:
        headers = [_headers(context, index) for index in range(len(rows))]
        ids = [_request_id(known, context.get_request_id(index)) for index, known in enumerate(headers)]
        answers: list[str] = [""] * len(rows)
        asked: dict[int, Exchange] = {}
        for index, row in enumerate(rows):
            context.set_response_content_type(index, "application/json")
            try:
                asked[index] = self._read(row, headers[index])
            except RequestError as error:
                status, kind = UNAUTHORIZED if isinstance(error, AccessError) else BAD_REQUEST
                context.set_response_status(status, HTTPStatus(status).phrase, index)
                answers[index] = error_body(status, kind, str(error))
                observed.refused(ids[index], status, headers[index].get("traceparent"))
        observed.parsed()
        for index, forms in self._predict(asked, ids).items():
            answers[index] = asked[index].write(forms)
            for request, form in zip(asked[index].requests, forms, strict=True):
                observed.answered(
                    ids[index],
                    form["source"],
                    request.appids,
                    form["unknown_appids"],
                    truncated=form["truncated"],
                    traceparent=headers[index].get("traceparent"),
                )
        return answers

    def _read(self, row: dict[str, Any], headers: Mapping[str, str]) -> Exchange:
        """Read a row's body and check what only the loaded model can; ``RequestError`` where it is wrong."""
        given = headers.get("x-api-key", "").encode(errors="replace")
        if self.api_key and not hmac.compare_digest(given, self.api_key):
            raise AccessError("the header X-API-Key is missing or wrong: send the key of this service")
        # TorchServe tells its handlers the rest of the path behind /predictions/srec, and nothing of /v2.
        exchange = read_exchange(_body(row), open_inference="url_path" not in headers)
        for request in exchange.requests:
            self.predictor.check(request)
        return exchange

    def _predict(self, asked: Mapping[int, Exchange], ids: Sequence[str]) -> dict[int, list[dict[str, Any]]]:
        """Answer the requests of all rows at once; returns each row's answers."""
        rows = [index for index, exchange in asked.items() for _ in exchange.requests]
        requests = [request for exchange in asked.values() for request in exchange.requests]
        answers: dict[int, list[dict[str, Any]]] = {index: [] for index in asked}
        for index, answer in zip(
            rows, self.predictor.answer(requests, [ids[index] for index in rows]), strict=True
        ):
            answers[index].append(answer)
        return answers


def _quieten(root: logging.Logger) -> None:
    """No log line for every request, and no traceback of TorchServe's for every body that is not JSON."""
    root.setLevel(logging.WARNING)
    root.addFilter(lambda record: not str(record.msg).startswith("Failed json decoding"))


def _body(row: dict[str, Any]) -> object:
    """The body as TorchServe passes it on: parsed where the content type was JSON, else raw, or absent."""
    return row.get("body", row.get("data"))


def _headers(context: Any, index: int) -> dict[str, str]:
    """A request's headers by their names in lower case, whichever case they came in."""
    return {name.lower(): str(value) for name, value in context.get_all_request_header(index).items()}


def _request_id(headers: Mapping[str, str], made: str) -> str:
    """The client's own id where it is usable, else the one TorchServe made."""
    given = headers.get("x-request-id", "")
    return given if is_request_id(given) else made


def _metrics_sink(metrics: Any) -> Sink:
    """TorchServe's metrics: lines of the worker's output, of which only our own are let through.

    TorchServe would write a line of its own for every batch. What the server's metrics.yaml does not declare
    (an older server with a newer archive) is named once and left out.
    """
    lines = logging.getLogger("ts.metrics.caching_metric")
    lines.setLevel(logging.INFO)
    lines.addFilter(_is_our_metric)
    declared = {name: metric for kind in metrics.cache.values() for name, metric in kind.items()}
    missing: set[str] = set()

    def send(name: str, value: float, labels: Sequence[str]) -> None:
        if name in declared:
            declared[name].add_or_update(value, list(labels))
        elif name not in missing:
            missing.add(name)
            logging.warning("metric %s is not sent: the server's metrics.yaml does not declare it", name)

    return send


def _is_our_metric(record: logging.LogRecord) -> bool:
    return str(record.msg).startswith("[METRICS]srec_")
