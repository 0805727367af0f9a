"""Where the rows of the global graph are read from. A new store is one file and one line of ``STORES``."""

import re
from collections.abc import Callable

from srec.errors import InputError, nearest
from srec.graph.neighbours import GlobalGraph
from srec.stores.array import ArrayStore
from srec.stores.base import NeighbourStore
from srec.stores.breaker import Breaker
from srec.stores.cached import CachedStore
from srec.stores.counters import StoreCounters
from srec.stores.fallback import FallbackStore
from srec.stores.guarded import GuardedStore
from srec.stores.settings import StoreSettings

AHEAD = 64  # rows that a call for absent ones brings besides; beside its round trip they cost little

Factory = Callable[[str, GlobalGraph, StoreSettings], NeighbourStore]


def _array(_url: str, graph: GlobalGraph, _settings: StoreSettings) -> NeighbourStore:
    return ArrayStore(graph)


def _redis(url: str, graph: GlobalGraph, settings: StoreSettings) -> NeighbourStore:
    """Cache -> breaker -> deadline -> Redis, and the model's own copy for all that they do not deliver."""
    from srec.stores.redis import RedisStore  # noqa: PLC0415  a worker without Redis does not import redis-py

    counters = StoreCounters()
    redis = RedisStore(url, graph.digest, graph.n_items, graph.size, settings.deadline_ms)
    guarded = GuardedStore(redis, Breaker(settings.pause_s, settings.longest_pause_s), counters)
    most_bytes = int(settings.cache_mb * 1e6)
    cached = CachedStore(
        guarded,
        graph.n_items,
        graph.size,
        most_bytes,
        counters,
        check_seconds=settings.check_s,
        ahead=AHEAD,
    )
    return FallbackStore(cached, ArrayStore(graph), counters)


STORES: dict[str, Factory] = {
    "array": _array,
    "redis": _redis,
    "rediss": _redis,
    "unix": _redis,
    "redis+sentinel": _redis,
    "rediss+sentinel": _redis,
    "redis+cluster": _redis,
    "rediss+cluster": _redis,
}


def open_store(
    kind_or_url: str | None, graph: GlobalGraph, settings: StoreSettings | None = None
) -> NeighbourStore:
    """Return the store that a kind or a URL names; none named is the graph in memory.

    A store over a network falls back to ``graph`` whenever it does not deliver, and is not contacted before
    the first fetch.

    Args:
        kind_or_url: ``array``, or a URL whose scheme is in ``STORES``; None is ``array``.
        graph: the graph that the model was exported with.
        settings: of a store over a network.

    Raises:
        InputError: no such store, or an unusable URL.
    """
    url = kind_or_url or "array"
    known = ", ".join(STORES)
    scheme = re.match(r"[A-Za-z][A-Za-z0-9+.-]*(?=://|$)", url)
    if scheme is None:  # not quoted: what has no readable scheme may hold a password
        raise InputError(f"the neighbour store must be a URL; it begins with one of: {known}")
    name = scheme[0]
    if name not in STORES:
        raise InputError(f'neighbour store "{name}" is not known{nearest(name, STORES)}: use one of {known}')
    return STORES[name](url, graph, settings or StoreSettings())
