"""FallbackStore: the right rows whatever happens to Redis, and Redis again once it is back."""

import logging
import socket
from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

from srec.errors import StoreError
from srec.graph.neighbours import GlobalGraph
from srec.stores import open_store
from srec.stores.array import ArrayStore
from srec.stores.base import NeighbourStore, Rows
from srec.stores.fallback import FallbackStore
from srec.stores.redis import RedisStore, load_graph
from tests.stores.conftest import AMPLE_MS, Clock, Server
from tests.stores.contract import StoreContract, assert_rows

ITEMS = np.array([2, 4, 2], np.int32)


def opened(url: str, graph: GlobalGraph, deadline_ms: float = AMPLE_MS) -> Iterator[NeighbourStore]:
    store = open_store(url, graph, deadline_ms)
    yield store
    store.close()


class TestOverLiveRedis(StoreContract):
    @pytest.fixture
    def store(self, graph: GlobalGraph, server: Server) -> Iterator[NeighbourStore]:
        load_graph(server.url, graph)
        yield from opened(server.url, graph)


class TestOverEmptyRedis(StoreContract):
    @pytest.fixture
    def store(self, graph: GlobalGraph, server: Server) -> Iterator[NeighbourStore]:
        yield from opened(server.url, graph)


class TestOverRedisWithAnotherGraph(StoreContract):
    @pytest.fixture
    def store(self, graph: GlobalGraph, other_graph: GlobalGraph, server: Server) -> Iterator[NeighbourStore]:
        load_graph(server.url, other_graph)
        yield from opened(server.url, graph)


class TestOverDeadRedis(StoreContract):
    @pytest.fixture
    def store(self, graph: GlobalGraph) -> Iterator[NeighbourStore]:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
        yield from opened(f"redis://127.0.0.1:{port}", graph)


class TestOverSilentRedis(StoreContract):
    @pytest.fixture
    def store(self, graph: GlobalGraph) -> Iterator[NeighbourStore]:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            yield from opened(f"redis://127.0.0.1:{listener.getsockname()[1]}", graph, deadline_ms=5)


class Flaky:
    """A store that delivers or fails as told, and counts how often it was asked."""

    def __init__(self, graph: GlobalGraph) -> None:
        self.asked = 0
        self.error: str | None = None
        self.closed = False
        self._rows = ArrayStore(graph)

    def fetch(self, items: NDArray[np.int32]) -> Rows:
        self.asked += 1
        if self.error is not None:
            raise StoreError(self.error)
        return self._rows.fetch(items)

    def close(self) -> None:
        self.closed = True


def test_a_failed_store_is_left_alone_for_a_while(graph: GlobalGraph) -> None:
    clock, primary = Clock(100.0), Flaky(graph)
    store = FallbackStore(primary, ArrayStore(graph), retry_after=1.0, clock=clock)
    primary.error = "down"
    asked = []
    for clock.now in (100.0, 100.5, 100.99, 101.0, 101.5, 102.0):
        assert_rows(store, graph, ITEMS)
        asked.append(primary.asked)
    assert asked == [1, 1, 1, 2, 2, 3]
    assert (store.counters.fetches, store.counters.fallbacks) == (6, 6)
    primary.error = None
    for clock.now in (102.5, 103.0, 103.0):
        assert_rows(store, graph, ITEMS)
    assert primary.asked == 5
    assert (store.counters.fetches, store.counters.fallbacks) == (9, 7)
    assert (store.counters.failing, store.counters.last_error) == (False, "down")


def test_failure_and_recovery_are_logged_once_each(
    graph: GlobalGraph, caplog: pytest.LogCaptureFixture
) -> None:
    primary = Flaky(graph)
    store = FallbackStore(primary, ArrayStore(graph), retry_after=0.0)
    with caplog.at_level(logging.INFO):
        for error in (None, "down", "down", "slow", None, None, "down again"):
            primary.error = error
            store.fetch(ITEMS)
    assert [(record.levelname, record.message) for record in caplog.records] == [
        ("WARNING", "down; answering from the model's own copy of the graph"),
        ("WARNING", "the neighbour store is back after: slow"),
        ("WARNING", "down again; answering from the model's own copy of the graph"),
    ]


def test_padding_alone_is_no_sign_of_recovery(graph: GlobalGraph, server: Server) -> None:
    primary = RedisStore(server.url, graph.digest, graph.n_items, graph.size, AMPLE_MS)
    store = FallbackStore(primary, ArrayStore(graph), retry_after=0.0)
    store.fetch(ITEMS)
    store.fetch(np.zeros(2, np.int32))
    assert store.counters.failing
    store.close()


def test_a_fault_of_the_caller_is_not_hidden(graph: GlobalGraph) -> None:
    primary = Flaky(graph)
    store = FallbackStore(primary, ArrayStore(graph))
    with pytest.raises(ValueError, match="items must lie"):
        store.fetch(np.array([51], np.int32))
    assert store.counters.fallbacks == 0


def test_closes_both(graph: GlobalGraph) -> None:
    first, second = Flaky(graph), Flaky(graph)
    FallbackStore(first, second).close()
    assert (first.closed, second.closed) == (True, True)


def test_redis_is_used_again_after_each_fault(graph: GlobalGraph, own_server: Server) -> None:
    load_graph(own_server.url, graph)
    primary = RedisStore(own_server.url, graph.digest, graph.n_items, graph.size, deadline_ms=2000)
    store = FallbackStore(primary, ArrayStore(graph), retry_after=0.0)

    def fallbacks() -> int:
        before = store.counters.fallbacks
        assert_rows(store, graph, ITEMS)
        return store.counters.fallbacks - before

    assert fallbacks() == 0
    own_server.stop()
    assert fallbacks() == 1
    own_server.restart()
    assert fallbacks() == 1, "it is back, but empty"
    load_graph(own_server.url, graph)
    assert fallbacks() == 0
    with own_server.paused():
        assert fallbacks() == 1
    assert fallbacks() == 0
    store.close()
