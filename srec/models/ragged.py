"""Lists of different lengths in two flat arrays: how counting models keep sessions and their items."""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


class Occurrences(NamedTuple):
    """Every item of every sequence once, by sequence, then by item.

    Attributes:
        sequence: int64 [P].
        item: int64 [P].
        place: of the item's last click in the sequence, from 0, int64 [P].
    """

    sequence: NDArray[np.int64]
    item: NDArray[np.int64]
    place: NDArray[np.int64]


def occurrences(items: NDArray[np.int32], offsets: NDArray[np.int64], n_items: int) -> Occurrences:
    """Take each item of a sequence once, at its last click; arguments as for ``SessionModel.fit``."""
    lengths = np.diff(offsets)
    sequence = np.repeat(np.arange(len(lengths)), lengths)
    place = np.arange(len(items)) - np.repeat(offsets[:-1], lengths)
    keys = sequence * (n_items + 1) + items
    # The first of equal keys in the reversed array is the last click.
    distinct, last = np.unique(keys[::-1], return_index=True)
    return Occurrences(*np.divmod(distinct, n_items + 1), place[::-1][last])


def starts_of(rows: NDArray[np.int64], n_rows: int) -> NDArray[np.int64]:
    """Where each row starts in ascending ``rows``, and the end of the last, int64 [n_rows + 1]."""
    return np.searchsorted(rows, np.arange(n_rows + 1))


def entries(starts: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
    """Find the entries of some rows of a ragged table; can be traced.

    Args:
        starts: where each row starts, and the end of the last, int64 [R+1].
        rows: which rows, int64 [n]; repeats are allowed.

    Returns:
        For each entry, row after row: which of ``rows`` it belongs to, and where it stands; int64 [M] each.
    """
    first = starts[rows]
    counts = starts[rows + 1] - first
    owner = torch.repeat_interleave(counts)  # [M]
    before = counts.cumsum(0) - counts
    return owner, torch.arange(owner.size(0), device=rows.device) + (first - before)[owner]


def rank_within(rows: Tensor, n_rows: Tensor | int) -> Tensor:
    """Count each entry's place in its row, from 0, for ascending ``rows`` int64 [M]; can be traced."""
    first = torch.searchsorted(rows, torch.arange(n_rows, device=rows.device))  # type: ignore[arg-type]
    return torch.arange(rows.size(0), device=rows.device) - first[rows]
