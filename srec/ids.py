"""appid <-> item. The only place that knows items start at 1 because 0 is padding."""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

PADDING = 0


class Vocabulary:
    """The items of one model, in ascending order of appid."""

    def __init__(self, appids: Iterable[int]) -> None:
        """Take the known appids; ``ValueError`` unless they are strictly ascending."""
        self.appids: NDArray[np.int64] = np.asarray(list(appids), dtype=np.int64)
        if (np.diff(self.appids) <= 0).any():
            raise ValueError("a vocabulary's appids are strictly ascending")
        self._items = {appid: item for item, appid in enumerate(self.appids.tolist(), start=1)}

    def __len__(self) -> int:
        return len(self.appids)

    def item(self, appid: int) -> int:
        """The item of an appid, or 0 (padding) where it is unknown."""
        return self._items.get(appid, PADDING)

    def items(self, appids: Sequence[int]) -> list[int]:
        """The items of several appids, 0 where unknown."""
        return [self._items.get(appid, PADDING) for appid in appids]

    def appid(self, item: int) -> int:
        """The appid of an item (1..V)."""
        return int(self.appids[item - 1])
