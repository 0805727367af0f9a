"""What a service survives without a person: a hung worker, a dead Java, a dead Redis, its own death."""

import os
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import redis

from srec.serve_config.folders import remove_stale, run_folder
from srec.stores.record import mark_key
from tests.serving_station.serving import Child
from tests.waiting import wait_until


@pytest.fixture(scope="module")
def child(echo_mar: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Child]:
    running = Child(echo_mar, tmp_path_factory.mktemp("t"), workers=1, SREC_RESPONSE_TIMEOUT="1")
    yield running
    running.process.send_signal(signal.SIGINT)
    assert running.end() == 0
    assert running.left_behind() == []


@pytest.fixture(scope="module")
def info(child: Child) -> dict[str, object]:
    return child.info()


def test_a_hung_worker_is_replaced(child: Child, info: dict[str, object]) -> None:
    (hung,) = child.workers()
    os.kill(hung, signal.SIGSTOP)
    assert child.predict().status == 500  # after the response limit, not never
    wait_until(lambda: child.ready()[0] == 200 and child.workers() not in ([], [hung]), "another worker")
    assert child.predict().status == 200
    assert not psutil.pid_exists(hung)


def test_a_dead_redis_is_back_with_its_rows(child: Child, info: dict[str, object]) -> None:
    psutil.Process(int(str(info["redis_pid"]))).kill()

    def loaded() -> bool:
        with redis.Redis.from_url(str(child.record["redis_url"])) as connection:
            try:
                return bool(connection.exists(mark_key("9f")))
            except redis.RedisError:
                return False

    wait_until(loaded, "the graph in the new Redis")
    assert child.ready()[0] == 200


def test_a_dead_java_is_restarted(child: Child, info: dict[str, object]) -> None:
    os.kill(int(str(info["java_pid"])), signal.SIGKILL)
    wait_until(lambda: child.ready()[1]["phase"] == "recovering", "the restart")
    assert child.ready()[0] == 503
    wait_until(lambda: child.ready()[0] == 200, "ready")
    assert child.predict().status == 200


def test_the_folder_of_a_killed_service_is_removed_by_the_next(tmp_path: Path) -> None:
    stale, foreign = tmp_path / "srec-stale", tmp_path / "srec-other"
    for folder in (stale, foreign):
        folder.mkdir()
    (stale / "owner.lock").touch()
    remove_stale(tmp_path)
    assert (stale.exists(), foreign.exists()) == (False, True)


def test_the_folder_of_a_living_service_stays() -> None:
    with run_folder() as folder:
        (folder / "kept").touch()
        remove_stale(folder.parent)
        assert (folder / "kept").exists()
    assert not folder.exists()


@pytest.mark.parametrize("name", ["with.dot", "with space", "l" * 100])
def test_an_unusual_temporary_folder_is_not_used(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / name).mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / name))
    with run_folder() as folder:
        assert folder.parent == Path("/tmp")
