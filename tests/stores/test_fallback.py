"""The whole chain, cache to archive: the right rows whatever Redis does, and Redis again once it is back."""

import logging
import socket
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

from srec.errors import StoreError
from srec.graph.neighbours import GlobalGraph
from srec.stores import open_store
from srec.stores.array import ArrayStore
from srec.stores.base import NeighbourStore, Rows
from srec.stores.breaker import Breaker
from srec.stores.cached import CachedStore
from srec.stores.counters import StoreCounters
from srec.stores.fallback import FallbackStore
from srec.stores.guarded import GuardedStore
from srec.stores.load import load_graph
from srec.stores.redis import RedisStore
from srec.stores.settings import StoreSettings
from tests.proxy import Proxy
from tests.stores.conftest import AMPLE_MS, PATIENCE, Clock, Server
from tests.stores.contract import StoreContract, assert_rows
from tests.waiting import wait_until

ITEMS = np.array([2, 4, 2], np.int32)
AGES = 3600.0  # seconds that no test waits for
Watch = Callable[[str, float], Callable[[], int]]


def opened(
    url: str, graph: GlobalGraph, deadline_ms: float = AMPLE_MS, cache_mb: float = 0
) -> Iterator[NeighbourStore]:
    store = open_store(url, graph, StoreSettings(deadline_ms=deadline_ms, cache_mb=cache_mb))
    yield store
    store.close()


class TestOverLiveRedis(StoreContract):
    @pytest.fixture(params=[0, 0.001, 1], ids=["no cache", "small cache", "cache"])
    def store(
        self, graph: GlobalGraph, server: Server, request: pytest.FixtureRequest
    ) -> Iterator[NeighbourStore]:
        load_graph(server.url, graph)
        yield from opened(server.url, graph, cache_mb=request.param)


class TestOverEmptyRedis(StoreContract):
    @pytest.fixture
    def store(self, graph: GlobalGraph, server: Server) -> Iterator[NeighbourStore]:
        yield from opened(server.url, graph)


class TestOverRedisWithAnotherGraph(StoreContract):
    @pytest.fixture
    def store(self, graph: GlobalGraph, other_graph: GlobalGraph, server: Server) -> Iterator[NeighbourStore]:
        load_graph(server.url, other_graph)
        yield from opened(server.url, graph, cache_mb=1)


class TestOverRedisThatLostItsRows(StoreContract):
    """Restarted empty, as a worker sees it that has read from it before."""

    @pytest.fixture
    def store(self, graph: GlobalGraph, server: Server) -> Iterator[NeighbourStore]:
        load_graph(server.url, graph)
        store = open_store(server.url, graph, StoreSettings(deadline_ms=AMPLE_MS, cache_mb=0.0001))
        assert_rows(store, graph, ITEMS)
        with server.client() as client:
            client.flushall()
        yield store
        store.close()


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


@pytest.fixture
def proxy(server: Server) -> Iterator[Proxy]:
    with Proxy(server.url.removeprefix("unix://")) as proxy:
        yield proxy


class TestOverSlowRedis(StoreContract):
    """Within the deadline: slow, and used all the same."""

    @pytest.fixture
    def store(self, graph: GlobalGraph, server: Server, proxy: Proxy) -> Iterator[NeighbourStore]:
        load_graph(server.url, graph)
        proxy.delay = 0.01
        yield from opened(f"redis://127.0.0.1:{proxy.port}", graph)


class TestOverRedisTooSlow(StoreContract):
    @pytest.fixture
    def store(self, graph: GlobalGraph, server: Server, proxy: Proxy) -> Iterator[NeighbourStore]:
        load_graph(server.url, graph)
        proxy.delay = AGES
        yield from opened(f"redis://127.0.0.1:{proxy.port}", graph, deadline_ms=5)


class Flaky:
    """A store that delivers or fails as told, and counts how often it was asked."""

    def __init__(self, graph: GlobalGraph, rows: NeighbourStore | None = None) -> None:
        self.asked = 0
        self.error: str | None = None
        self.closed = False
        self._rows = rows or ArrayStore(graph)

    def fetch(self, items: NDArray[np.int32]) -> Rows:
        self.asked += 1
        if self.error is not None:
            raise StoreError(self.error)
        return self._rows.fetch(items)

    def close(self) -> None:
        self._rows.close()
        self.closed = True


def guarded(primary: NeighbourStore, graph: GlobalGraph, clock: Clock) -> FallbackStore:
    """The chain without a cache, its first pause one second."""
    counters = StoreCounters()
    guard = GuardedStore(primary, Breaker(1.0, 2.0, clock), counters)
    return FallbackStore(
        CachedStore(guard, graph.n_items, graph.size, 0, counters), ArrayStore(graph), counters
    )


def test_a_failed_store_is_left_alone_for_longer_and_longer(graph: GlobalGraph) -> None:
    clock, primary = Clock(100.0), Flaky(graph)
    store = guarded(primary, graph, clock)
    primary.error = "down"
    asked = []
    for clock.now in (100.0, 100.5, 100.99, 101.0, 102.0, 102.99, 103.0, 104.99, 105.0):
        assert_rows(store, graph, ITEMS)
        asked.append(primary.asked)
    assert asked == [1, 1, 1, 2, 2, 2, 3, 3, 4]
    counters = store.counters
    assert (counters.fetches, counters.fallbacks, counters.rows_missing) == (9, 9, 27)
    assert (counters.up, counters.breaker, counters.last_error) == (False, "open", "down")
    primary.error = None
    for clock.now in (106.9, 107.0, 107.0):
        assert_rows(store, graph, ITEMS)
    assert primary.asked == 6
    assert (counters.fetches, counters.fallbacks, counters.rows_read) == (12, 10, 6)
    assert (counters.up, counters.breaker, counters.last_error) == (True, "closed", "down")


def test_failure_and_recovery_are_logged_once_each(
    graph: GlobalGraph, caplog: pytest.LogCaptureFixture
) -> None:
    clock, primary = Clock(0.0), Flaky(graph)
    store = guarded(primary, graph, clock)
    with caplog.at_level(logging.INFO):
        for error in (None, "down", "down", "slow", None, None, "down again"):
            primary.error = error
            clock.now += 10
            store.fetch(ITEMS)
    assert [(record.levelname, record.message) for record in caplog.records] == [
        ("WARNING", "down; answering from the model's own copy of the graph"),
        ("WARNING", "the neighbour store is back after: slow"),
        ("WARNING", "down again; answering from the model's own copy of the graph"),
    ]


def test_padding_alone_is_no_sign_of_recovery(graph: GlobalGraph) -> None:
    clock, primary = Clock(0.0), Flaky(graph)
    counters = StoreCounters()
    store = GuardedStore(primary, Breaker(clock=clock), counters)
    primary.error = "down"
    with pytest.raises(StoreError, match=r"^down$"):
        store.fetch(ITEMS)
    primary.error = None
    with pytest.raises(StoreError, match=r"^not asked again yet after: down$"):
        store.fetch(ITEMS)
    assert_rows(store, graph, np.zeros(2, np.int32))
    assert counters.failing
    store.close()
    assert primary.closed


def test_a_fault_of_the_caller_is_not_hidden(graph: GlobalGraph) -> None:
    store = guarded(Flaky(graph), graph, Clock(0.0))
    with pytest.raises(ValueError, match="items must lie"):
        store.fetch(np.array([51], np.int32))
    assert store.counters.fallbacks == 0


def test_closes_both(graph: GlobalGraph) -> None:
    first, second = Flaky(graph), Flaky(graph)
    FallbackStore(first, second).close()
    assert (first.closed, second.closed) == (True, True)


@pytest.fixture
def watch(graph: GlobalGraph) -> Iterator[Watch]:
    """Opens a guarded store; gives what counts the fallbacks of one fetch after the longest pause."""
    stores: list[FallbackStore] = []

    def open_one(url: str, deadline_ms: float) -> Callable[[], int]:
        clock = Clock(0.0)
        primary = RedisStore(url, graph.digest, graph.n_items, graph.size, deadline_ms)
        store = guarded(primary, graph, clock)
        stores.append(store)

        def fallbacks() -> int:
            clock.now += 10
            before = store.counters.fallbacks
            assert_rows(store, graph, ITEMS)
            return store.counters.fallbacks - before

        return fallbacks

    yield open_one
    for store in stores:
        store.close()


def test_redis_is_used_again_after_each_fault(graph: GlobalGraph, own_server: Server, watch: Watch) -> None:
    load_graph(own_server.url, graph)
    fallbacks = watch(own_server.url, 2000)
    wait_until(lambda: fallbacks() == 0, limit=PATIENCE)
    own_server.stop()
    assert fallbacks() == 1
    own_server.restart()
    assert fallbacks() == 1, "it is back, but empty"
    load_graph(own_server.url, graph)
    wait_until(lambda: fallbacks() == 0, limit=PATIENCE)
    with own_server.paused():
        assert fallbacks() == 1
    wait_until(lambda: fallbacks() == 0, limit=PATIENCE)


def test_redis_is_used_again_after_each_fault_of_the_network(
    graph: GlobalGraph, server: Server, proxy: Proxy, watch: Watch
) -> None:
    load_graph(server.url, graph)
    fallbacks = watch(f"redis://127.0.0.1:{proxy.port}", 2000)
    wait_until(lambda: fallbacks() == 0, limit=PATIENCE)
    proxy.cut()
    assert fallbacks() <= 1, "a connection that broke while idle may be noticed before it is used"
    wait_until(lambda: fallbacks() == 0, limit=PATIENCE)
    proxy.black_hole = True
    assert fallbacks() == 1
    proxy.black_hole = False
    wait_until(lambda: fallbacks() == 0, limit=PATIENCE)  # once the connection that was swallowed is given up


def test_a_slow_redis_does_not_cost_every_batch_its_deadline(
    graph: GlobalGraph, server: Server, proxy: Proxy
) -> None:
    load_graph(server.url, graph)
    proxy.delay = AGES
    clock = Clock(0.0)
    url = f"redis://127.0.0.1:{proxy.port}"
    waited = Flaky(graph, RedisStore(url, graph.digest, graph.n_items, graph.size, deadline_ms=5))
    store = guarded(waited, graph, clock)
    for clock.now in np.linspace(0.0, 60.0, 601).tolist():  # ten batches a second for a minute
        assert_rows(store, graph, ITEMS)
    assert store.counters.fallbacks == 601
    assert waited.asked <= 32, "at first after 1 s, then every 2 s"
    store.close()


def test_kept_rows_are_answered_without_redis_and_its_return_is_noticed(
    graph: GlobalGraph, own_server: Server
) -> None:
    load_graph(own_server.url, graph)
    clock, counters = Clock(0.0), StoreCounters()
    redis = RedisStore(own_server.url, graph.digest, graph.n_items, graph.size, AMPLE_MS)
    guard = GuardedStore(redis, Breaker(1.0, 2.0, clock), counters)
    cache = CachedStore(guard, graph.n_items, graph.size, 10_000, counters, check_seconds=5, clock=clock)
    store = FallbackStore(cache, ArrayStore(graph), counters)
    assert_rows(store, graph, ITEMS)
    own_server.stop()
    health = []
    for clock.now in (1.0, 6.0, 7.0):
        assert_rows(store, graph, ITEMS)
        health.append(counters.up)
    assert health == [True, False, False]
    own_server.restart()
    load_graph(own_server.url, graph)
    clock.now = 20.0
    assert_rows(store, graph, ITEMS)
    assert (counters.up, counters.fallbacks, counters.rows_cached) == (True, 0, 12)
    store.close()
