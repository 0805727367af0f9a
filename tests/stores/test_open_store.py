import subprocess
import sys

import numpy as np
import pytest

from srec.errors import InputError
from srec.graph.neighbours import GlobalGraph
from srec.stores import STORES, open_store
from srec.stores.array import ArrayStore
from srec.stores.fallback import FallbackStore
from tests.stores.contract import assert_rows


@pytest.mark.parametrize("kind", [None, "", "array"])
def test_none_named_is_the_graph_in_memory(kind: str | None, graph: GlobalGraph) -> None:
    assert isinstance(open_store(kind, graph), ArrayStore)


def url(kind: str) -> str:
    """A URL at which nothing listens."""
    path = {"sentinel": "/primary", "cluster": "", "unix": "/none"}.get(kind.rpartition("+")[2], "/3")
    return f"{kind}://127.0.0.1:1{path}"


@pytest.mark.parametrize("kind", list(STORES))
def test_every_store_opens_and_answers_without_its_server(kind: str, graph: GlobalGraph) -> None:
    store = open_store(kind if kind == "array" else url(kind), graph)
    assert_rows(store, graph, np.array([1, 2], np.int32))
    store.close()


def test_redis_is_backed_by_the_graph(graph: GlobalGraph) -> None:
    store = open_store("redis://localhost", graph)
    assert isinstance(store, FallbackStore)
    store.close()


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ("redsi://:hunter2@h", r'"redsi" is not known \(did you mean "redis"\?\): use one of array, redis'),
        ("REDIS://h", r'"REDIS" is not known \(did you mean "redis"\?\)'),
        ("http://hunter2@h", '"http" is not known: use one of'),
        ("arrays", r'"arrays" is not known \(did you mean "array"\?\)'),
        ("user:hunter2@localhost:6379", "must be a URL; it begins with one of: array, redis"),
        ("redis:/:hunter2@localhost", "must be a URL"),
    ],
)
def test_an_unknown_store_names_the_nearest_and_no_password(wrong: str, why: str, graph: GlobalGraph) -> None:
    with pytest.raises(InputError, match=why) as refused:
        open_store(wrong, graph)
    assert "hunter2" not in str(refused.value)


def test_without_redis_nothing_of_redis_is_imported() -> None:
    code = "import sys, srec.stores, srec.stores.array; sys.exit('redis' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
