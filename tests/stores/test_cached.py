"""CachedStore: the rows of the store behind it, asked for once, within bounds."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from srec.errors import StoreError
from srec.graph.neighbours import GlobalGraph
from srec.stores.array import ArrayStore
from srec.stores.base import Rows
from srec.stores.cached import CachedStore
from tests.stores.conftest import Clock, random_graph
from tests.stores.contract import StoreContract, assert_rows

ROW = 8 * 4  # bytes of a row of the test graph


class Watched:
    """An array that notes what it is asked for, and fails as told."""

    def __init__(self, graph: GlobalGraph) -> None:
        self.asked: list[list[int]] = []
        self.error: str | None = None
        self.closed = False
        self._rows = ArrayStore(graph)

    def fetch(self, items: NDArray[np.int32]) -> Rows:
        self.asked.append(items.tolist())
        if self.error is not None:
            raise StoreError(self.error)
        return self._rows.fetch(items)

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def behind(graph: GlobalGraph) -> Watched:
    return Watched(graph)


def cached(
    behind: Watched, graph: GlobalGraph, rows: int, clock: Clock | None = None, ahead: int = 0
) -> CachedStore:
    most, clock = rows * ROW, clock or Clock(0.0)
    return CachedStore(behind, graph.n_items, graph.size, most, check_seconds=5.0, ahead=ahead, clock=clock)


@pytest.mark.parametrize("ahead", [0, 3])
@pytest.mark.parametrize("rows", [0, 1, 7, 1000])
class TestCachedStore(StoreContract):
    @pytest.fixture
    def store(self, graph: GlobalGraph, behind: Watched, rows: int, ahead: int) -> CachedStore:
        return cached(behind, graph, rows, ahead=ahead)


@pytest.mark.parametrize("rows", [9, 10_000])
def test_reads_ahead_as_long_as_there_is_room(graph: GlobalGraph, behind: Watched, rows: int) -> None:
    store = cached(behind, graph, rows, ahead=4)
    room = min(rows, graph.n_items)
    draw = np.random.default_rng(0)
    while sum(map(len, behind.asked)) < room:
        assert_rows(store, graph, draw.integers(1, graph.n_items + 1, 2).astype(np.int32))
    brought = [item for call in behind.asked for item in call]
    assert len(set(brought)) == len(brought)  # no row came twice, so none had given way
    assert max(map(len, behind.asked)) > 2  # rows that nobody had asked for
    calls = len(behind.asked)
    assert_rows(store, graph, np.array(brought, np.int32))
    assert len(behind.asked) == calls


def test_reads_ahead_what_is_not_there_yet(graph: GlobalGraph, behind: Watched) -> None:
    store = cached(behind, graph, 1000, ahead=3)
    for item in (2, 5, 20):
        store.fetch(np.array([item], np.int32))
    assert behind.asked == [[1, 2, 3], [4, 5, 6], [7, 8, 9, 20]]
    assert store.counters.rows_read == 3


def test_what_a_failing_store_did_not_bring_is_read_ahead_later(graph: GlobalGraph, behind: Watched) -> None:
    store = cached(behind, graph, 1000, ahead=3)
    behind.error = "away"
    for _ in range(2):
        with pytest.raises(StoreError, match="away"):
            store.fetch(np.array([9], np.int32))
    behind.error = None
    store.fetch(np.array([9], np.int32))
    assert behind.asked == [[1, 2, 3, 9]] * 3


def test_only_what_is_not_kept_is_asked_for_once_and_in_one_call(graph: GlobalGraph, behind: Watched) -> None:
    store = cached(behind, graph, 50)
    for items in ([5, 3, 0, 5], [3, 9, 9, 0, 1], [1, 3, 5, 9], [0, 0], []):
        assert_rows(store, graph, np.array(items, np.int32))
    assert behind.asked == [[3, 5], [1, 9]]
    assert (store.counters.rows_read, store.counters.rows_cached) == (3 + 3, 1 + 4)


def test_without_room_everything_is_asked_for(graph: GlobalGraph, behind: Watched) -> None:
    store = cached(behind, graph, 0)
    for _ in range(2):
        assert_rows(store, graph, np.array([2, 1], np.int32))
    assert behind.asked == [[1, 2]] * 2


def test_rows_in_use_stay_and_others_give_way(graph: GlobalGraph, behind: Watched) -> None:
    store = cached(behind, graph, 4)
    for items in (
        [1, 2, 3, 4],
        [5],
        [6],
    ):  # 5 takes the place of 1, 6 that of 2: the first round clears marks
        store.fetch(np.array(items, np.int32))
    store.fetch(np.array([3], np.int32))
    store.fetch(np.array([7], np.int32))  # 3 was asked for since, so 4 gives way
    behind.asked.clear()
    store.fetch(np.array([3, 5, 6, 7], np.int32))
    assert behind.asked == []
    store.fetch(np.array([4], np.int32))
    assert behind.asked == [[4]]


def test_a_failure_leaves_what_is_kept(graph: GlobalGraph, behind: Watched) -> None:
    store = cached(behind, graph, 50)
    store.fetch(np.array([1, 2], np.int32))
    behind.error = "down"
    with pytest.raises(StoreError, match="down"):
        store.fetch(np.array([1, 3], np.int32))
    assert_rows(store, graph, np.array([2, 1], np.int32))
    assert (store.counters.rows_read, store.counters.rows_cached) == (2, 2)


def test_the_store_is_asked_now_and_then_although_all_is_kept(graph: GlobalGraph, behind: Watched) -> None:
    clock = Clock(0.0)
    store = cached(behind, graph, 50, clock)
    items = np.array([0, 2, 1], np.int32)
    asked = []
    for clock.now in (0.0, 4.9, 5.0, 9.9, 10.0):
        assert_rows(store, graph, items)
        asked.append(len(behind.asked))
    assert asked == [1, 1, 2, 2, 3]
    assert behind.asked[-1] == [2]
    behind.error = "down"
    for clock.now in (15.0, 20.0):
        assert_rows(store, graph, items)
    assert len(behind.asked) == 5
    store.counters.failing = True  # then the breaker behind it decides when it is asked again
    assert_rows(store, graph, items)
    assert len(behind.asked) == 6
    assert_rows(store, graph, np.zeros(2, np.int32))
    assert len(behind.asked) == 6


def test_the_room_is_that_of_the_bytes_and_never_more_than_the_graph(
    graph: GlobalGraph, behind: Watched
) -> None:
    assert CachedStore(behind, 50, 4, 10 * ROW + 31).capacity == 10
    assert CachedStore(behind, 50, 4, 10**9).capacity == 50


def test_closes_what_is_behind(graph: GlobalGraph, behind: Watched) -> None:
    cached(behind, graph, 5).close()
    assert behind.closed


GRAPH = random_graph(7, n_items=30)
BATCHES = st.lists(st.lists(st.integers(0, 30), max_size=40), max_size=25)


@settings(deadline=None)
@given(rows=st.integers(0, 40), batches=BATCHES)
def test_any_batches_in_any_room_get_the_graphs_rows(rows: int, batches: list[list[int]]) -> None:
    store = CachedStore(Watched(GRAPH), 30, GRAPH.size, rows * ROW, clock=Clock(0.0))
    kept: set[int] = set()
    for batch in batches:
        assert_rows(store, GRAPH, np.array(batch, np.int32))
        kept = set(np.flatnonzero(store._slot_of >= 0).tolist()) - {0}
        assert len(kept) <= store.capacity
        slots = store._slot_of[list(kept)]
        assert len(set(slots.tolist())) == len(kept), "two items share a slot"
        np.testing.assert_array_equal(store._item_in[slots], list(kept))
    asked = set().union(*batches) - {0}
    assert len(kept) == min(len(asked), store.capacity), "room is left unused"
