"""A small graph, and a real Redis-compatible server with a socket and a folder of its own."""

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import redis
from numpy.typing import NDArray

from srec.graph.neighbours import GlobalGraph
from srec.serve_config.embedded_redis import EmbeddedRedis
from srec.serve_config.ports import free_ports

PATIENCE = 30.0  # seconds for what takes milliseconds on an idle machine
AMPLE_MS = 30_000.0  # a deadline that only a fault exceeds


class Server(EmbeddedRedis):
    """The embedded Redis, with what tests do to it."""

    def client(self) -> redis.Redis:
        return redis.Redis.from_url(self.url, socket_timeout=PATIENCE, protocol=2)

    def listen(self) -> int:
        """Open a TCP port beside the socket and return it."""
        port = free_ports([None])[0]
        with self.client() as client:
            client.config_set("port", port)
        return port

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Connections are still accepted by the kernel, nothing is answered."""
        os.kill(self.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self.pid, signal.SIGCONT)

    def restart(self) -> None:
        """End it if it still runs, and start it empty."""
        self.stop()
        self.start()
        self.wait_ready()


class Clock:
    """A monotonic clock that stands at ``now``."""

    def __init__(self, now: float) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def random_graph(seed: int, n_items: int = 50, size: int = 4) -> GlobalGraph:
    """A graph with full rows, rows with absent neighbours, and empty ones."""
    random = np.random.default_rng(seed)
    present = np.arange(size) < random.integers(0, size + 1, (n_items + 1, 1))  # [V+1, K]
    present[0] = False
    neighbours: NDArray[np.int32] = random.integers(1, n_items + 1, (n_items + 1, size), dtype=np.int32)
    weights = random.integers(1, 100, (n_items + 1, size)).astype(np.float32)
    return GlobalGraph(neighbours * present, weights * present)


@pytest.fixture(scope="session")
def graph() -> GlobalGraph:
    return random_graph(1)


@pytest.fixture(scope="session")
def other_graph() -> GlobalGraph:
    return random_graph(2)


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for all tests that leave it running."""
    with Server(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def server(running: Server) -> Server:
    """The running server, empty."""
    with running.client() as client:
        client.flushall()
    return running


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[Server]:
    """A server that the test may stop."""
    with Server(tmp_path) as server:
        yield server
