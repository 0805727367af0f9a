"""What every neighbour store must do. A store's test class inherits it and gives the fixture ``store``."""

import numpy as np
import pytest
from numpy.typing import NDArray

from srec.graph.neighbours import GlobalGraph
from srec.stores.base import NeighbourStore


class StoreContract:
    @pytest.fixture
    def store(self, graph: GlobalGraph) -> NeighbourStore:
        raise NotImplementedError("a subclass gives the store under test")

    @pytest.mark.parametrize(
        "asked",
        [[3, 1, 2], [7, 7, 1, 7], [0, 5, 0], [0], [0, 0, 0], [1], [-1], [], list(range(51)), [50] * 400],
        ids=["order", "repeats", "padding", "only padding", "paddings", "one", "last", "none", "all", "many"],
    )
    def test_rows_are_those_of_the_graph_in_the_order_asked(
        self, store: NeighbourStore, graph: GlobalGraph, asked: list[int]
    ) -> None:
        items = np.array([item % (graph.n_items + 1) for item in asked], np.int32)
        assert_rows(store, graph, items)

    def test_the_callers_changes_do_not_reach_the_store(
        self, store: NeighbourStore, graph: GlobalGraph
    ) -> None:
        items = np.array([4, 9], np.int32)
        neighbours, weights = store.fetch(items)
        neighbours[:] = 1
        weights[:] = 1
        assert_rows(store, graph, items)

    @pytest.mark.parametrize("wrong", [-1, 51, 2**31 - 1])
    def test_an_item_outside_the_graph_is_the_callers_fault(self, store: NeighbourStore, wrong: int) -> None:
        with pytest.raises(ValueError, match=r"items must lie in 0\.\.50"):
            store.fetch(np.array([1, wrong], np.int32))

    def test_items_have_one_dimension(self, store: NeighbourStore) -> None:
        with pytest.raises(ValueError, match="one dimension, not 2"):
            store.fetch(np.ones((2, 2), np.int32))

    def test_closes_twice(self, store: NeighbourStore) -> None:
        store.fetch(np.array([1], np.int32))
        store.close()
        store.close()


def assert_rows(store: NeighbourStore, graph: GlobalGraph, items: NDArray[np.int32]) -> None:
    """The store answers ``items`` with exactly the graph's rows."""
    neighbours, weights = store.fetch(items)
    assert neighbours.dtype == np.int32
    assert weights.dtype == np.float32
    np.testing.assert_array_equal(neighbours, graph.neighbours[items])
    np.testing.assert_array_equal(weights, graph.weights[items])
