"""How a global graph lies in Redis, in one place; ``tests/stores/golden_record.json`` pins it.

A graph is one hash. Its key carries the graph's digest, so no model ever reads another graph's rows; the
braces keep the key and its temporary siblings on one node of a cluster. A field is an item, int32; its value
is that item's row: K neighbours int32, then their K weights float32. All numbers are little-endian.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Records = np.ndarray[Any, np.dtype[np.void]]


def graph_key(digest: str) -> str:
    """Key of the hash that holds the graph with this digest."""
    return f"srec:graph:{{{digest}}}"


def record_type(size: int) -> np.dtype[np.void]:
    """Type of one record with ``size`` neighbours, 8 * ``size`` bytes."""
    return np.dtype([("neighbours", "<i4", (size,)), ("weights", "<f4", (size,))])


def fields(items: NDArray[np.int32]) -> list[bytes]:
    """Fields of ``items`` int32 [n]."""
    return _split(items.astype("<i4"))


def pack(neighbours: NDArray[np.int32], weights: NDArray[np.float32]) -> list[bytes]:
    """Turn rows, both [n, K], into n records."""
    records = np.empty(len(neighbours), record_type(neighbours.shape[1]))
    records["neighbours"] = neighbours
    records["weights"] = weights
    return _split(records)


def unpack(items: NDArray[np.int32], values: Sequence[bytes | None], size: int, n_items: int) -> Records:
    """Turn the values of ``items`` int32 [n] into records [n] of ``record_type(size)``.

    Raises:
        ValueError: a record is missing, has another length, or names an item outside 0..``n_items``; the
            text names the item.
    """
    length = record_type(size).itemsize
    for item, value in zip(items, values, strict=True):
        if value is None:
            raise ValueError(f"the row of item {item} is missing")
        if len(value) != length:
            raise ValueError(f"the row of item {item} has {len(value)} bytes instead of {length}")
    records = np.frombuffer(b"".join(values), record_type(size))  # type: ignore[arg-type]  # no None is left
    sound = (
        (records["neighbours"] >= 0) & (records["neighbours"] <= n_items) & np.isfinite(records["weights"])
    )
    if not sound.all():
        raise ValueError(f"the row of item {items[~sound.all(axis=1)][0]} is damaged")
    return records


def _split(array: NDArray[Any]) -> list[bytes]:
    pieces: list[bytes] = array.view(f"V{array.itemsize}").tolist()
    return pieces
