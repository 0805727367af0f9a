"""What TorchServe calls in its worker: a batch of requests in, a batch of answers out.

The only file that knows TorchServe's handler interface. Exactly one class may be defined here.
"""

import contextlib
import json
import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from srec.errors import RequestError
from srec.serving.artifact import Artifact
from srec.serving.contract import Request, error_body, parse_request
from srec.serving.frontend_reads import buffer_reads
from srec.serving.metrics import Sink
from srec.serving.observed import ObservedBatch
from srec.serving.predictor import POPULAR, Predictor
from srec.serving.telemetry import Telemetry, open_telemetry
from srec.stores.settings import StoreSettings

MAX_REQUEST_ID = 128


class SrecHandler:
    """Thin: parses, asks the predictor once for the whole batch, writes."""

    predictor: Predictor
    telemetry: Telemetry

    def initialize(self, context: Any) -> None:
        """Load the archive's model, check it against its golden sessions, open the neighbour store."""
        _quieten(logging.getLogger())
        torch.set_num_threads(1)
        with contextlib.suppress(RuntimeError):  # only the first call in a process may set it
            torch.set_num_interop_threads(1)
        artifact = Artifact(Path(context.system_properties["model_dir"]))
        artifact.self_test()
        ours = (context.model_yaml_config or {}).get("srec", {})
        if ours.get("buffered_reads", True):
            buffer_reads()
        self.predictor = artifact.predictor(
            redis_url=os.environ.get("SREC_REDIS_URL"),
            store_settings=StoreSettings.read(ours.get("redis", {}), os.environ),
            version=context.manifest["model"]["modelVersion"],
        )
        ranker, info = self.predictor.ranker, self.predictor.info
        self.telemetry = open_telemetry(
            _metrics_sink(context.metrics),
            info.version,
            sources=(info.source, POPULAR),
            take_stages=ranker.stages.take,
            store=ranker.store,
        )

    def handle(self, rows: list[dict[str, Any]], context: Any) -> list[str]:
        """Answer every row with its own status; a malformed one never touches the others."""
        with self.telemetry.batch(len(rows)) as observed:
            return self._answer(rows, context, observed)

    def _answer(self, rows: list[dict[str, Any]], context: Any, observed: ObservedBatch) -> list[str]:
        answers: list[str] = [""] * len(rows)
        requests: dict[int, Request] = {}
        for index, row in enumerate(rows):
            context.set_response_content_type(index, "application/json")
            try:
                requests[index] = parse_request(_body(row))
            except RequestError as error:
                context.set_response_status(400, "Bad Request", index)
                answers[index] = error_body(400, "InvalidRequest", str(error))
                observed.refused(_request_id(context, index), 400, _header(context, index, "traceparent"))
        ids = [_request_id(context, index) for index in requests]
        observed.parsed()
        for index, answer in zip(requests, self.predictor.answer(list(requests.values()), ids), strict=True):
            answers[index] = json.dumps(answer, ensure_ascii=False)
            observed.answered(
                answer["request_id"],
                answer["source"],
                requests[index].appids,
                answer["unknown_appids"],
                truncated=answer["truncated"],
                traceparent=_header(context, index, "traceparent"),
            )
        return answers


def _quieten(root: logging.Logger) -> None:
    """No log line for every request, and no traceback of TorchServe's for every body that is not JSON."""
    root.setLevel(logging.WARNING)
    root.addFilter(lambda record: not str(record.msg).startswith("Failed json decoding"))


def _body(row: dict[str, Any]) -> object:
    """The body as TorchServe passes it on: parsed where the content type was JSON, else raw, or absent."""
    return row.get("body", row.get("data"))


def _request_id(context: Any, index: int) -> str:
    """The client's own id where TorchServe passes the header on, else the one TorchServe gave."""
    return str(_header(context, index, "x-request-id") or context.get_request_id(index))[:MAX_REQUEST_ID]


def _header(context: Any, index: int, name: str) -> str | None:
    """A header of the request, whose name may come in any case."""
    for given, value in context.get_all_request_header(index).items():
        if given.lower() == name:
            return str(value)
    return None


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
