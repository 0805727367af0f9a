"""What TorchServe calls in its worker: a batch of requests in, a batch of answers out.

The only file that knows TorchServe's handler interface. Exactly one class may be defined here.
"""

import contextlib
import json
import logging
import os
from pathlib import Path
from typing import Any

import torch

from srec.errors import RequestError
from srec.serving.artifact import Artifact
from srec.serving.contract import Request, error_body, parse_request
from srec.serving.predictor import Predictor

MAX_REQUEST_ID = 128


class SrecHandler:
    """Thin: parses, asks the predictor once for the whole batch, writes."""

    predictor: Predictor

    def initialize(self, context: Any) -> None:
        """Load the archive's model, check it against its golden sessions, open the neighbour store."""
        _quieten(logging.getLogger())
        torch.set_num_threads(1)
        with contextlib.suppress(RuntimeError):  # only the first call in a process may set it
            torch.set_num_interop_threads(1)
        artifact = Artifact(Path(context.system_properties["model_dir"]))
        artifact.self_test()
        settings = (context.model_yaml_config or {}).get("srec", {}).get("redis", {})
        self.predictor = artifact.predictor(
            redis_url=os.environ.get("SREC_REDIS_URL"),
            deadline_ms=settings.get("deadline_ms", 20),
            version=context.manifest["model"]["modelVersion"],
        )

    def handle(self, rows: list[dict[str, Any]], context: Any) -> list[str]:
        """Answer every row with its own status; a malformed one never touches the others."""
        answers: list[str] = [""] * len(rows)
        requests: dict[int, Request] = {}
        for index, row in enumerate(rows):
            context.set_response_content_type(index, "application/json")
            try:
                requests[index] = parse_request(_body(row))
            except RequestError as error:
                context.set_response_status(400, "Bad Request", index)
                answers[index] = error_body(400, "InvalidRequest", str(error))
        ids = [_request_id(context, index) for index in requests]
        for index, answer in zip(requests, self.predictor.answer(list(requests.values()), ids), strict=True):
            answers[index] = json.dumps(answer, ensure_ascii=False)
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
    headers = {name.lower(): value for name, value in context.get_all_request_header(index).items()}
    return str(headers.get("x-request-id") or context.get_request_id(index))[:MAX_REQUEST_ID]
