"""How a global graph lies in Redis, in one place; ``tests/stores/golden_record.json`` pins it.

A graph's rows are the fields of one hash; on a cluster of 16, so that they spread over its nodes. A field is
an item, int32; its value is that item's row: K neighbours int32, then their K weights float32. All numbers
are little-endian. A mark, written last, says that all rows are there.

Every key carries the graph's digest, so no model ever reads another graph's rows. Braces keep the keys of one
shard on one node.

One HMGET a batch was the fastest of what was measured with 42,429 rows of 96 bytes on a Unix socket (1 row /
100 rows, in us): HMGET 50 / 326, MGET of a key a row 48 / 322, pipelined GETRANGE of one string 54 / 1,403,
MGET of blocks of 16 rows 70 / 564. A key a row is no faster, cannot expire as one, and needs as much memory.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Records = np.ndarray[Any, np.dtype[np.void]]


def mark_key(digest: str) -> str:
    """Key that is there when every row of the graph with this digest is; its value is their number."""
    return f"srec:graph:{{{digest}}}"


def rows_key(digest: str, shard: int = 0) -> str:
    """Key of the hash that holds the rows of a shard: of n shards, item i lies in shard i modulo n."""
    return f"srec:graph:{{{digest}:{shard}}}:rows"


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
    present = [value for value in values if value is not None]
    if len(present) < len(values):
        raise ValueError(f"the row of item {items[values.index(None)]} is missing")
    lengths = list(map(len, present))
    if lengths.count(length) < len(lengths):
        item, wrong = next(pair for pair in zip(items, lengths, strict=True) if pair[1] != length)
        raise ValueError(f"the row of item {item} has {wrong} bytes instead of {length}")
    records = np.frombuffer(b"".join(present), record_type(size))
    sound = (
        (records["neighbours"] >= 0) & (records["neighbours"] <= n_items) & np.isfinite(records["weights"])
    )
    if not sound.all():
        raise ValueError(f"the row of item {items[~sound.all(axis=1)][0]} is damaged")
    return records


def _split(array: NDArray[Any]) -> list[bytes]:
    pieces: list[bytes] = array.view(f"V{array.itemsize}").tolist()
    return pieces
