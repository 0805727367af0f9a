"""The global graph in Redis: one copy for all workers, read in one round trip a batch."""

import contextlib
import logging
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import numpy as np
import redis
from numpy.typing import NDArray
from redis.client import Pipeline

from srec.errors import HostError, StoreError
from srec.graph.neighbours import GlobalGraph
from srec.stores.base import Rows, check_items
from srec.stores.deadline import Deadline
from srec.stores.record import Records, fields, graph_key, pack, record_type, unpack
from srec.stores.redis_client import FAILURES, connect, reason, server_name

TTL_SECONDS = 30 * 24 * 3600  # a graph that nobody reads is gone after this
REFRESH_SECONDS = 3600.0  # how often a reader pushes the expiry back
NETWORK_SECONDS = 1.0  # when a connection that hangs is given up; the caller has left long before
LOAD_SECONDS = 10.0  # how long one step of a load may take
LOADING_TTL_SECONDS = 600  # a killed load leaves its rows for this long
ROWS_PER_STEP = 2000  # about 200 kB at 12 neighbours

log = logging.getLogger(__name__)


class RedisStore:
    """Reads the rows of one graph from Redis.

    Connects when first asked, reconnects by itself, asks once for an item that occurs several times.

    Args:
        url: see ``redis_client.connect``.
        digest: which graph, ``GlobalGraph.digest``.
        n_items: number of items V.
        size: neighbours an item, K.
        deadline_ms: milliseconds that ``fetch`` may wait in all, opening a connection included.
        ttl_seconds: expiry that reading renews, at most once an hour.
        clock: seconds, monotonic.
    """

    def __init__(
        self,
        url: str,
        digest: str,
        n_items: int,
        size: int,
        deadline_ms: float = 20,
        *,
        ttl_seconds: int = TTL_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = connect(url, max(NETWORK_SECONDS, deadline_ms / 1000))
        self._name = f"Redis at {server_name(self._client)}"
        self._digest = digest
        self._n_items = n_items
        self._size = size
        self._deadline = Deadline(deadline_ms / 1000)
        self._ttl_seconds = ttl_seconds
        self._clock = clock
        self._refresh_at = clock()

    def fetch(self, items: NDArray[np.int32]) -> Rows:
        """Return the rows of ``items``; see ``NeighbourStore.fetch``."""
        check_items(items, self._n_items)
        distinct, inverse = np.unique(items, return_inverse=True)
        records = np.zeros(len(distinct), record_type(self._size))
        known = distinct[distinct > 0]
        if len(known):
            records[len(distinct) - len(known) :] = self._records(known)
        neighbours, weights = records["neighbours"][inverse], records["weights"][inverse]
        return neighbours.astype(np.int32, copy=False), weights.astype(np.float32, copy=False)

    def close(self) -> None:
        """Close the connection."""
        self._deadline.close()
        self._client.close()

    def _records(self, items: NDArray[np.int32]) -> Records:
        """Return the records of distinct items >= 1, or raise a ``StoreError`` that says why not."""
        names = fields(items)
        try:
            values = self._deadline.run(lambda: self._request(names))
        except TimeoutError:
            limit = self._deadline.seconds * 1000
            raise StoreError(f"{self._name} did not answer within {limit:g} ms") from None
        except FAILURES as error:
            raise StoreError(f"{self._name} {reason(error)}") from error
        graph = f"graph {self._digest[:12]}"
        if not any(values):
            raise StoreError(f"{self._name} does not hold {graph}: `srec load-neighbours` loads it")
        try:
            return unpack(items, values, self._size, self._n_items)
        except ValueError as error:
            raise StoreError(f"{self._name}, {graph}: {error}") from None

    def _request(self, names: list[bytes]) -> list[bytes | None]:
        """One round trip; once an hour it also renews the expiry."""
        key = graph_key(self._digest)
        if self._clock() < self._refresh_at:
            return cast(list[bytes | None], self._client.hmget(key, names))
        pipeline = self._client.pipeline(transaction=False)
        pipeline.hmget(key, names)
        pipeline.expire(key, self._ttl_seconds)
        values, renewed = pipeline.execute(raise_on_error=False)
        if isinstance(values, Exception):
            raise values
        self._refresh_at = self._clock() + REFRESH_SECONDS
        if isinstance(renewed, Exception):  # a user who may only read, or a replica: the rows are good
            log.warning("%s %s; the expiry of the graph is not renewed", self._name, reason(renewed))
        return cast(list[bytes | None], values)


@dataclass(frozen=True)
class LoadReport:
    """What ``load_graph`` did.

    Attributes:
        digest: digest of the graph.
        server: where it is, without user and password.
        rows: rows it has in Redis.
        already_there: nothing was written, only the expiry renewed.
        seconds: time it took.
    """

    digest: str
    server: str
    rows: int
    already_there: bool
    seconds: float


def load_graph(
    url: str,
    graph: GlobalGraph,
    ttl_seconds: int = TTL_SECONDS,
    progress: Callable[[int, int], None] | None = None,
) -> LoadReport:
    """Put a graph into Redis. Readers see all of it or nothing; a second load of the same graph is free.

    Rows are written under a key of this load's own, which then takes the graph's name in one step. Loads at
    the same time therefore never meet, and whichever is last leaves the same rows.

    Args:
        url: see ``redis_client.connect``.
        graph: what to load.
        ttl_seconds: the graph expires when nobody has read it for this long.
        progress: called with the rows written and the rows to write.

    Raises:
        InputError: the URL cannot be used.
        HostError: Redis is not there or refuses; what it held before is as it was.
    """
    start = time.monotonic()
    client = connect(url, LOAD_SECONDS)
    server = server_name(client)
    key = graph_key(graph.digest)
    try:
        complete = client.hlen(key) == graph.n_items and bool(client.expire(key, ttl_seconds))
        if not complete:
            _write(client, key, graph, ttl_seconds, progress)
    except FAILURES as error:
        raise HostError(f"the graph was not loaded: Redis at {server} {reason(error)}") from error
    finally:
        client.close()
    return LoadReport(graph.digest, server, graph.n_items, complete, time.monotonic() - start)


def _write(
    client: redis.Redis,
    key: str,
    graph: GlobalGraph,
    ttl_seconds: int,
    progress: Callable[[int, int], None] | None,
) -> None:
    loading = f"{key}:loading:{uuid.uuid4().hex}"
    try:
        for first in range(1, graph.n_items + 1, ROWS_PER_STEP):
            items = np.arange(first, min(first + ROWS_PER_STEP, graph.n_items + 1), dtype=np.int32)
            records = pack(graph.neighbours[items], graph.weights[items])
            step = client.pipeline(transaction=False)
            step.hset(loading, mapping=dict(zip(fields(items), records, strict=True)))
            step.expire(loading, LOADING_TTL_SECONDS)
            _execute(step)
            if progress is not None:
                progress(int(items[-1]), graph.n_items)
        _publish(client, loading, key, graph.n_items, ttl_seconds)
    except BaseException:
        with contextlib.suppress(*FAILURES):  # the first failure is the one to report
            client.unlink(loading)
        raise


def _publish(client: redis.Redis, loading: str, key: str, n_items: int, ttl_seconds: int) -> None:
    """Let the rows under ``loading`` take the name ``key``, if they are all there."""
    if client.hlen(loading) != n_items:  # restarted or flushed since the first step
        raise HostError(f"Redis at {server_name(client)} lost rows while the graph was loaded: load it again")
    rename = client.pipeline(transaction=True)
    rename.rename(loading, key)
    rename.expire(key, ttl_seconds)
    _execute(rename)


def _execute(pipeline: Pipeline) -> None:
    """Run a pipeline; its own way of raising would put rows into the message."""
    for answer in pipeline.execute(raise_on_error=False):
        if isinstance(answer, Exception):
            raise answer
