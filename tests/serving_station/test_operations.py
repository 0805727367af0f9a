"""A real service: ready only when every worker is, a bounded queue, a drain that loses nothing."""

import json
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest

from srec.serve_config import client
from tests.serving_station.serving import Child
from tests.waiting import LIMIT, wait_until

QUEUE = 32  # what a latency target of 1 ms leaves: one batch


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("door")


@pytest.fixture(scope="module")
def child(
    archive_of: Callable[[str], Path], door: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Child]:
    running = Child(
        archive_of("gate"),
        tmp_path_factory.mktemp("t"),
        workers=2,
        DOOR=str(door),
        SREC_RESPONSE_TIMEOUT="300",
        SREC_LATENCY_TARGET_MS="1",
    )
    yield running
    running.process.kill()
    running.end()


class TestOperations:
    """In this order, on one service."""

    def test_not_ready_before_every_worker_is(self, child: Child, door: Path) -> None:
        wait_until(lambda: len(child.workers()) == 1, "one worker")
        status, body = child.ready()
        assert (status, body["ready"], body["reason"]) == (503, False, "the service is starting")
        assert client.request("GET", f"{child.operations}/live").status == 200
        (door / "open").touch()
        wait_until(lambda: child.ready()[0] == 200, "ready")
        status, body = child.ready()
        assert body == {
            "ready": True,
            "reason": None,
            "phase": "serving",
            "version": child.model()["modelVersion"],
            "workers": {"ready": 2, "wanted": 2},
        }

    def test_a_killed_worker_is_replaced_and_ready_tells(self, child: Child, door: Path) -> None:
        (door / "open").unlink()
        before = child.workers()
        psutil.Process(before[0]).kill()
        wait_until(lambda: child.ready()[1]["reason"] == "1 of 2 workers are ready", "the reason")
        assert child.ready()[0] == 503
        (door / "open").touch()
        wait_until(lambda: child.ready()[0] == 200, "ready")
        assert before[0] not in child.workers()

    def test_paths_and_methods(self, child: Child) -> None:
        answer = client.request("GET", f"{child.operations}/openapi.json")
        assert answer.status == 200
        assert json.loads(answer.body)["openapi"].startswith("3.1")
        assert client.request("GET", f"{child.operations}/metrics").status == 404
        connection = HTTPConnection(urlsplit(child.operations).netloc, timeout=LIMIT)
        connection.request("DELETE", "/ready")
        refused = connection.getresponse()
        assert (refused.status, refused.getheader("Allow")) == (405, "GET")
        assert json.loads(refused.read())["type"] == "MethodNotAllowed"
        connection.close()

    def test_a_silent_client_delays_nobody(self, child: Child) -> None:
        silent = HTTPConnection(urlsplit(child.operations).netloc, timeout=LIMIT)
        silent.connect()
        assert child.ready()[0] == 200
        silent.close()

    def test_full_queue_is_refused_and_what_is_in_flight_is_finished(self, child: Child, door: Path) -> None:
        assert child.model()["responseTimeout"] == 300
        (door / "hold").touch()
        with ThreadPoolExecutor(2 + QUEUE + 10) as pool:
            held = []
            for _ in range(2):
                held.append(pool.submit(child.predict))
                wait_until(lambda: len(list(door.glob("held-*"))) == len(held), "one more worker")
            # Both are busy: of what comes now, the queue takes what it can, and the rest is refused at once.
            asked = [pool.submit(child.predict) for _ in range(QUEUE + 10)]
            wait_until(lambda: sum(one.done() for one in asked) == 10, "ten refusals")
            assert [one.result().status for one in asked if one.done()] == [503] * 10
            assert child.model()["jobQueueStatus"]["pendingRequests"] == QUEUE
            assert child.predict().status == 503  # at once, while nothing moves
            held += [one for one in asked if not one.done()]
            child.process.send_signal(signal.SIGTERM)
            wait_until(lambda: child.ready()[1]["phase"] == "draining", "the drain")
            assert child.ready()[0] == 503
            assert client.request("GET", f"{child.operations}/live").status == 200
            (door / "hold").unlink()
            assert len(held) > QUEUE
            assert [one.result().status for one in held] == [200] * len(held)
        assert child.end() == 0
        assert child.left_behind() == []
        assert list(child.temporary.iterdir()) == []
