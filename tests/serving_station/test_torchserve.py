"""A real TorchServe with a tiny handler: its start, its answers, its failures and its end."""

import http.client
import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from srec.errors import DataError, HostError
from srec.serve_config import client, ports, processes
from srec.serve_config.configuration import Ports, TorchServeSettings
from srec.serve_config.folders import run_folder
from srec.serve_config.torchserve import TorchServe

START_LIMIT = 120.0


def some_ports() -> Ports:
    return Ports(**dict(zip(Ports.model_fields, ports.free_ports([None] * 5), strict=True)))


@pytest.fixture(scope="module")
def server(echo_mar: Path) -> Iterator[TorchServe]:
    with run_folder() as folder:
        settings = TorchServeSettings(
            folder=folder,
            model_store=echo_mar.parent,
            ports=some_ports(),
            workers=2,
            redis_url="redis://there:1",
        )
        with TorchServe(settings) as running:
            running.wait_ready(START_LIMIT)
            yield running
        assert processes.members(running.pid) == []


class TestRunning:
    def test_predictions_come_from_the_archive_with_its_own_library(self, server: TorchServe) -> None:
        answer = client.post(server.settings.predictions_url, b"{}")
        assert answer.status == 200
        assert json.loads(answer.body) == {"size": 16384, "redis": "redis://there:1"}

    def test_there_are_as_many_workers_as_asked_for_in_one_group(self, server: TorchServe) -> None:
        (model,) = client.get_json(f"{server.settings.management_url}/models/srec")
        workers = [worker["pid"] for worker in model["workers"]]
        assert sorted(processes.members(server.pid)) == sorted([server.pid, *workers])
        assert (model["batchSize"], model["maxBatchDelay"], model["responseTimeout"]) == (32, 1, 10)

    def test_metrics_are_prometheus(self, server: TorchServe) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", server.settings.ports.metrics, timeout=10)
        connection.request("GET", "/metrics")
        text = connection.getresponse().read().decode()
        connection.close()
        assert "ts_inference_requests_total{" in text

    def test_no_request_leaves_a_line_in_the_log(self, server: TorchServe) -> None:
        before = server.log_tail(1000)
        for _ in range(5):
            client.post(server.settings.predictions_url, b"{}")
        new = server.log_tail(1000).removeprefix(before)
        assert new == ""

    def test_a_port_in_use_is_named_before_anything_starts(self, server: TorchServe, tmp_path: Path) -> None:
        taken = server.settings.ports.management
        second = some_ports().model_copy(update={"management": taken})
        settings = server.settings.model_copy(update={"folder": tmp_path, "ports": second})
        with pytest.raises(HostError, match=f"port {taken} .*management.* is in use: .*another port"):
            TorchServe(settings).start()
        assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("handler", "message"),
    [
        ("broken", "ValueError: the golden session 3 is answered differently"),
        ("import", "No module named 'a_package_that_nobody_wrote'"),
    ],
)
def test_a_worker_that_cannot_load_is_reported_with_its_own_error(
    archive_of: Callable[[str], Path], handler: str, message: str
) -> None:
    with run_folder() as folder:
        store = archive_of(handler).parent
        server = TorchServe(TorchServeSettings(folder=folder, model_store=store, ports=some_ports()))
        with server, pytest.raises(DataError, match=message):
            server.wait_ready(START_LIMIT)
        assert processes.members(server.pid) == []


def test_java_that_ends_is_reported_at_once_and_not_an_earlier_runs_error(
    echo_mar: Path, tmp_path: Path
) -> None:
    (tmp_path / "torchserve.log").write_text("Backend worker process died.\n")
    with run_folder() as folder:
        settings = TorchServeSettings(
            folder=folder, model_store=echo_mar.parent, ports=some_ports(), logs=tmp_path
        )
        server = TorchServe(settings)
        with server:
            os.kill(server.pid, signal.SIGKILL)
            with pytest.raises(HostError, match="Java ended"):
                server.wait_ready(START_LIMIT)
    assert (tmp_path / "torchserve.previous.log").exists()
