"""The global graph in Redis: one copy for all workers, read in one round trip a batch."""

import logging
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from srec.errors import StoreError
from srec.stores.base import Rows, check_items
from srec.stores.deadline import Deadline
from srec.stores.record import Records, fields, mark_key, record_type, rows_key, unpack
from srec.stores.redis_client import FAILURES, Command, connect, reason, sound

TTL_SECONDS = 30 * 24 * 3600  # a graph that nobody reads is gone after this
REFRESH_SECONDS = 3600.0  # how often a reader pushes the expiry back
NETWORK_SECONDS = 1.0  # when a connection that hangs is given up; the caller has left long before

log = logging.getLogger(__name__)


class RedisStore:
    """Reads the rows of one graph from Redis.

    Connects when first asked, reconnects by itself, asks once for an item that occurs several times. Rows
    count only once the graph's mark was seen: at the first request, after each failure, and once an hour.

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
        self._name = f"Redis at {self._client.name}"
        self._digest = digest
        self._graph = f"graph {digest[:12]}"
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
        """Return the records of distinct ascending items >= 1, or raise a ``StoreError`` that says why."""
        shards = self._sharded(items)
        order = np.concatenate(list(shards.values()))
        try:
            found = unpack(order, self._values(shards), self._size, self._n_items)
        except ValueError as error:
            self._refresh_at = self._clock()
            raise StoreError(f"{self._name}, {self._graph}: {error}") from None
        except StoreError:
            self._refresh_at = self._clock()  # the mark is to be seen again before rows count
            raise
        return found if len(shards) == 1 else found[np.argsort(order)]

    def _sharded(self, items: NDArray[np.int32]) -> dict[int, NDArray[np.int32]]:
        """The items of each shard that has any."""
        if self._client.shards == 1:
            return {0: items}
        shard_of = items % self._client.shards
        return {shard: items[shard_of == shard] for shard in np.unique(shard_of).tolist()}

    def _values(self, shards: dict[int, NDArray[np.int32]]) -> list[bytes | None]:
        """Ask for the rows of ``shards`` within the deadline."""
        try:
            return self._deadline.run(lambda: self._request(shards))
        except StoreError:
            raise
        except TimeoutError:
            limit = self._deadline.seconds * 1000
            raise StoreError(f"{self._name} did not answer within {limit:g} ms") from None
        except FAILURES as error:
            raise StoreError(f"{self._name} {reason(error)}") from error
        except Exception as error:  # whatever redis-py stumbles over, a request is still to be answered
            raise StoreError(f"{self._name} cannot be read ({type(error).__name__} in redis-py)") from error

    def _request(self, shards: dict[int, NDArray[np.int32]]) -> list[bytes | None]:
        """One round trip; from time to time it also looks for the mark and renews the expiry."""
        commands: list[Command] = [
            ("HMGET", rows_key(self._digest, shard), *fields(items)) for shard, items in shards.items()
        ]
        refresh = self._clock() >= self._refresh_at
        answers = self._client.ask(commands + self._refreshment() if refresh else commands)
        rows = sound(answers[: len(shards)])
        values = [value for part in rows for value in part]
        if refresh:
            self._refreshed(answers[len(shards) :])
        if not any(values):
            raise self._absent()
        return values

    def _refreshment(self) -> list[Command]:
        keys = [mark_key(self._digest), *(rows_key(self._digest, i) for i in range(self._client.shards))]
        return [("GET", keys[0]), *(("EXPIRE", key, self._ttl_seconds) for key in keys)]

    def _refreshed(self, answers: list[Any]) -> None:
        mark, *renewed = answers
        if sound([mark])[0] is None:
            raise self._absent()
        self._refresh_at = self._clock() + REFRESH_SECONDS
        refused = next((answer for answer in renewed if isinstance(answer, Exception)), None)
        if refused is not None:  # a user who may only read, or a replica: the rows are good
            log.warning("%s %s; the expiry of the graph is not renewed", self._name, reason(refused))

    def _absent(self) -> StoreError:
        return StoreError(f"{self._name} does not hold {self._graph}: `srec load-neighbours` loads it")
