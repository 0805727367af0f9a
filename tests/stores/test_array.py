import pytest

from srec.graph.neighbours import GlobalGraph
from srec.stores.array import ArrayStore
from tests.stores.contract import StoreContract


class TestArrayStore(StoreContract):
    @pytest.fixture
    def store(self, graph: GlobalGraph) -> ArrayStore:
        return ArrayStore(graph)
