"""Where the rows of the global graph are read from. A new store is one file and one line of ``STORES``."""

import re
from collections.abc import Callable

from srec.errors import InputError, nearest
from srec.graph.neighbours import GlobalGraph
from srec.stores.array import ArrayStore
from srec.stores.base import NeighbourStore
from srec.stores.fallback import FallbackStore

Factory = Callable[[str, GlobalGraph, float], NeighbourStore]


def _array(_url: str, graph: GlobalGraph, _deadline_ms: float) -> NeighbourStore:
    return ArrayStore(graph)


def _redis(url: str, graph: GlobalGraph, deadline_ms: float) -> NeighbourStore:
    from srec.stores.redis import RedisStore  # noqa: PLC0415  a worker without Redis does not import redis-py

    primary = RedisStore(url, graph.digest, graph.n_items, graph.size, deadline_ms)
    return FallbackStore(primary, ArrayStore(graph))


STORES: dict[str, Factory] = {
    "array": _array,
    "redis": _redis,
    "rediss": _redis,
    "unix": _redis,
}


def open_store(kind_or_url: str | None, graph: GlobalGraph, deadline_ms: float = 20) -> NeighbourStore:
    """Return the store that a kind or a URL names; none named is the graph in memory.

    A store over a network falls back to ``graph`` whenever it does not deliver, and is not contacted before
    the first fetch.

    Args:
        kind_or_url: ``array``, or a URL whose scheme is in ``STORES``; None is ``array``.
        graph: the graph that the model was exported with.
        deadline_ms: milliseconds that a store over a network may take for a fetch.

    Raises:
        InputError: no such store, an unusable URL, or a deadline that is not positive.
    """
    if not deadline_ms > 0:
        raise InputError(f"the deadline of a neighbour store is {deadline_ms} ms: it must be above 0")
    url = kind_or_url or "array"
    known = ", ".join(STORES)
    scheme = re.match(r"[A-Za-z][A-Za-z0-9+.-]*(?=://|$)", url)
    if scheme is None:  # not quoted: what has no readable scheme may hold a password
        raise InputError(f"the neighbour store must be a URL; it begins with one of: {known}")
    name = scheme[0]
    if name not in STORES:
        raise InputError(f'neighbour store "{name}" is not known{nearest(name, STORES)}: use one of {known}')
    return STORES[name](url, graph, deadline_ms)
