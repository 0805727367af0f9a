"""A bounded cache of rows in the worker's own memory, in front of a store over a network.

Rows of one graph never change under their digest, so nothing in it ever grows stale. redis-py's own cache
(server-assisted, RESP3) keeps whole answers by whole commands: a batch that asks for other items than the
last one never hits, which is why it is not used.
"""

import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from srec.errors import StoreError
from srec.stores.base import NeighbourStore, Rows, check_items
from srec.stores.counters import StoreCounters


class CachedStore:
    """Keeps rows that ``store`` delivered; asks it only for those it does not keep, all in one call.

    Every lookup is a few array operations for the whole batch. Which row gives way is decided as by CLOCK:
    in turn, but one that was asked for since its last turn stays. While there is room, every call for absent
    rows asks for some that nobody has asked for yet, too: what costs is the call, and after a few hundred of
    them a catalogue is here. Not for several threads at once.

    Args:
        store: asked for distinct items >= 1.
        n_items: number of items V.
        size: neighbours an item, K.
        most_bytes: of rows kept; beside them 4 bytes an item find them. 0 keeps none.
        counters: where rows are counted.
        check_seconds: how often ``store`` is asked although every row is kept, so that its health is known
            and its expiry renewed.
        ahead: rows that a call for absent ones brings besides.
        clock: seconds, monotonic.
    """

    def __init__(
        self,
        store: NeighbourStore,
        n_items: int,
        size: int,
        most_bytes: int,
        counters: StoreCounters | None = None,
        *,
        check_seconds: float = 5.0,
        ahead: int = 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.counters = StoreCounters() if counters is None else counters
        self.capacity = min(n_items, most_bytes // (8 * max(size, 1)))
        self._store = store
        self._n_items = n_items
        self._check_seconds = check_seconds
        self._clock = clock
        self._check_at = clock() + check_seconds
        # Slot 0 holds the row of padding for good; rows that may give way are in slots 1..capacity.
        self._neighbours = np.zeros((self.capacity + 1, size), np.int32)
        self._weights = np.zeros((self.capacity + 1, size), np.float32)
        self._item_in = np.zeros(self.capacity + 1, np.int32)  # 0: free
        self._used = np.zeros(self.capacity + 1, np.bool_)
        self._slot_of = np.full(n_items + 1, -1, np.int32)  # -1: not kept
        self._slot_of[0] = 0
        self._hand = 0
        self._room = self.capacity  # slots that never held a row
        self._ahead, self._next = ahead, 1  # the item from which to look for absent rows

    def fetch(self, items: NDArray[np.int32]) -> Rows:
        """Return the rows of ``items``; see ``NeighbourStore.fetch``."""
        check_items(items, self._n_items)
        slots = self._slot_of.take(items)
        absent = slots < 0
        asked, unkept = int(np.count_nonzero(items)), int(np.count_nonzero(absent))
        if unkept:
            neighbours, weights = self._complete(items, slots, absent)
        else:
            self._check(items)
            neighbours, weights = self._neighbours.take(slots, axis=0), self._weights.take(slots, axis=0)
            self._used[slots] = True
        self.counters.rows_cached += asked - unkept
        self.counters.rows_read += unkept
        return neighbours, weights

    def close(self) -> None:
        """Close the store behind the cache."""
        self._store.close()

    def _complete(
        self, items: NDArray[np.int32], slots: NDArray[np.int32], absent: NDArray[np.bool_]
    ) -> Rows:
        """Put rows that are kept and rows read now together, and keep the latter."""
        wanted, position = np.unique(items[absent], return_inverse=True)
        asked = self._with_others(wanted)
        read_neighbours, read_weights = self._store.fetch(asked)
        position = asked.searchsorted(wanted)[position]
        self._check_at = self._clock() + self._check_seconds
        neighbours = self._neighbours.take(slots, axis=0, mode="clip")  # [n, K]; absent ones are overwritten
        weights = self._weights.take(slots, axis=0, mode="clip")
        neighbours[absent] = read_neighbours[position]
        weights[absent] = read_weights[position]
        self._used[slots[~absent]] = True
        self._keep(asked, read_neighbours, read_weights)
        return neighbours, weights

    def _with_others(self, wanted: NDArray[np.int32]) -> NDArray[np.int32]:
        """Absent items, ascending, and the next absent ones for which there is room."""
        count = min(self._ahead, self._room - len(wanted))
        if count <= 0 or self._next > self._n_items:
            return wanted
        within = self._slot_of[self._next : self._next + 8 * count]
        others = self._next + np.flatnonzero(within < 0)[:count]
        self._next = int(others[0]) if len(others) else self._next + len(within)  # again if the store fails
        return np.union1d(wanted, others).astype(np.int32)

    def _keep(
        self, items: NDArray[np.int32], neighbours: NDArray[np.int32], weights: NDArray[np.float32]
    ) -> None:
        kept = min(len(items), self.capacity)
        self._room = max(0, self._room - kept)
        items, slots = items[:kept], self._free_slots(kept)
        self._slot_of[self._item_in[slots]] = -1
        self._slot_of[0] = 0  # free slots hold item 0
        self._item_in[slots] = items
        self._slot_of[items] = slots
        self._neighbours[slots] = neighbours[:kept]
        self._weights[slots] = weights[:kept]

    def _free_slots(self, count: int) -> NDArray[np.int64]:
        """Choose the slots of ``count`` rows that give way, and move the hand behind the last of them.

        A slot passed over loses its mark, a chosen one gets it; so within the second round every slot that
        the first one did not choose is free, and none is chosen twice.
        """
        chosen = [np.empty(0, np.int64)]
        while count:
            width = min(max(2 * count, 64), self.capacity)
            window = (self._hand + np.arange(width)) % self.capacity + 1
            free = np.flatnonzero(~self._used[window])[:count]
            if len(free) == count:
                window = window[: free[-1] + 1]
            self._used[window] = False
            self._used[window[free]] = True
            self._hand = int(window[-1])
            chosen.append(window[free])
            count -= len(free)
        return np.concatenate(chosen)

    def _check(self, items: NDArray[np.int32]) -> None:
        """Now and then, and while the store fails, ask it for one row that is kept; nothing changes by it."""
        if (self.counters.failing or self._clock() >= self._check_at) and items.any():
            self._check_at = self._clock() + self._check_seconds
            try:
                self._store.fetch(items[items > 0][:1])
            except StoreError:  # noted where it was raised; the rows are here
                return
