"""What a new version must answer over HTTP before it answers visitors."""

from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from srec.errors import DataError
from srec.export.pipeline import ShortSessionRun, export_run
from srec.serve_config.checks import check_golden
from srec.serving.artifact import Artifact
from srec.serving.exchange import read_exchange
from srec.serving.predictor import Predictor
from srec.training.run import Run
from tests.conftest import Line
from tests.web import in_a_thread


@contextmanager
def served(predictor: Predictor) -> Iterator[str]:
    """The URL at which a predictor answers as the worker does."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            exchange = read_exchange(body, open_inference=False)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(exchange.write(predictor.answer(exchange.requests, ["id"])).encode())

        def log_message(self, *_: object) -> None:
            pass

    with in_a_thread(Handler) as url:
        yield f"{url}/predictions/srec/new"


@pytest.fixture(scope="module")
def with_second(line: Line, markov: Path, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """An artifact whose golden sessions of one or two clicks are answered by a second model."""
    out = tmp_path_factory.mktemp("second") / "artifact"
    export_run(Run(line.run), out, "torchscript", ShortSessionRun(Run(markov), 2))
    return Artifact(out)


def test_all_that_an_archive_answers_with_counts(with_second: Artifact) -> None:
    with served(with_second.predictor()) as url:
        assert check_golden(url, with_second) == 16


def test_another_source_or_order_is_found(line: Line, with_second: Artifact) -> None:
    told = "over HTTP by gce-gnn with .* by the archive itself by short-session"
    with served(Artifact(line.artifact).predictor()) as url, pytest.raises(DataError, match=told):
        check_golden(url, with_second)
    forgetful = Artifact(line.artifact).predictor()
    forgetful.ranker.max_clicks = 1
    with served(forgetful) as url, pytest.raises(DataError, match="over HTTP by gce-gnn with"):
        check_golden(url, Artifact(line.artifact))
