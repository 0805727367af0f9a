"""How far apart the items of a list are: 1 - cosine over its pairs, by vectors of the items."""

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

LISTS: Final = 512  # whose vectors are summed at once
PLACES: Final = 65_536  # in lists, of one item, looked at at once: 10 MB for lists of 20
ENTRIES: Final = 20_000_000  # cosines held at once, unless one item has more: 240 MB


def mean_distances(
    lists: NDArray[np.int32], vectors: "sp.csr_array[np.float64]", cutoffs: Sequence[int]
) -> dict[int, float]:
    """Mean over the lists' first K of the mean of 1 - cosine over their pairs, for every K.

    Lists of one item do not count. An item without a vector is at distance 1 from all.

    Args:
        lists: items, 0 behind the last, int32 [E, at least the largest K].
        vectors: rows of unit length, or of zeros where nothing is known, sparse [V+1, n].
        cutoffs: every K.
    """
    before = cosines_before(lists, vectors).cumsum(axis=1) if _worth_all(lists, vectors) else None  # [E, k]
    found = {}
    for k in cutoffs:
        cosines = summed_cosines(lists[:, :k], vectors) if before is None else before[:, k - 1]
        size = (lists[:, :k] > 0).sum(axis=1)
        many = size > 1
        pairs = size[many] * (size[many] - 1) / 2
        found[k] = float((1 - cosines[many] / pairs).mean()) if many.any() else 0.0
    return found


def summed_cosines(lists: NDArray[np.int32], vectors: "sp.csr_array[np.float64]") -> NDArray[np.float64]:
    """The sum of the cosines of each list's pairs, float64 [E], from the sum of its vectors.

    With unit vectors u it is (|sum u|^2 - n) / 2: no pair is looked at. Fast where vectors have few entries,
    as those of tags.
    """
    has_vector = np.diff(vectors.indptr) > 0
    cosines = np.zeros(len(lists))
    for start in range(0, len(lists), LISTS):
        chunk = lists[start : start + LISTS]
        row, column = chunk.nonzero()
        members = chunk[row, column]
        shape = (len(chunk), vectors.shape[0])
        sums = sp.csr_array((np.ones(len(row)), (row, members)), shape=shape) @ vectors  # [lists, n]
        squares: NDArray[np.float64] = sums.multiply(sums).sum(axis=1)
        known = np.bincount(row, has_vector[members], minlength=len(chunk))
        cosines[start : start + LISTS] = (squares - known) / 2
    return cosines


def cosines_before(lists: NDArray[np.int32], vectors: "sp.csr_array[np.float64]") -> NDArray[np.float64]:
    """The sum of each item's cosines with those before it in its list, float64 [E, k].

    The cosines of all answered items with each other are made once, in blocks. Fast where vectors have many
    entries but few in common, as the sessions that hold an item.
    """
    answered, inverse = np.unique(lists, return_inverse=True)
    members = inverse.reshape(lists.shape).astype(np.int32)  # by place in ``answered``
    held = np.argsort(members, axis=None, kind="stable")  # places in lists, item by item
    ends = np.cumsum(np.bincount(members.ravel()))
    earlier = np.tri(lists.shape[1], k=-1)  # [k, k], 1 for the places before
    sums = np.zeros(lists.shape)
    for item, cosines in _rows(vectors[answered]):
        if not answered[item]:
            continue
        of_item = held[ends[item - 1] if item else 0 : ends[item]]
        for start in range(0, len(of_item), PLACES):
            row, column = np.divmod(of_item[start : start + PLACES], lists.shape[1])
            sums[row, column] = np.einsum("ij,ij->i", cosines[members[row]], earlier[column])
    return sums


def _rows(vectors: "sp.csr_array[np.float64]") -> Iterator[tuple[int, NDArray[np.float64]]]:
    """Every item and its cosines with all items [V], which hold until the next item."""
    across = vectors.T.tocsr()
    row = np.zeros(vectors.shape[0])
    for first, last in _blocks(vectors):
        block = vectors[first:last] @ across
        for item in range(first, last):
            entries = slice(block.indptr[item - first], block.indptr[item - first + 1])
            row[block.indices[entries]] = block.data[entries]
            yield item, row
            row[block.indices[entries]] = 0


def _blocks(vectors: "sp.csr_array[np.float64]") -> Iterator[tuple[int, int]]:
    """Stretches of items that have no more than ``ENTRIES`` cosines other than 0, or of one item."""
    passed = np.concatenate([[0], np.cumsum(np.minimum(_products(vectors), vectors.shape[0]))])
    first = 0
    while first < vectors.shape[0]:
        enough = int(np.searchsorted(passed, passed[first] + ENTRIES, side="right")) - 1
        last = max(enough, first + 1)
        yield first, last
        first = last


def _products(vectors: "sp.csr_array[np.float64]") -> NDArray[np.int64]:
    """How many products of entries each item's cosines with all items are made of, int64 [V]."""
    in_column = np.bincount(vectors.indices, minlength=vectors.shape[1])
    passed = np.concatenate([[0], np.cumsum(in_column[vectors.indices])])
    products: NDArray[np.int64] = passed[vectors.indptr[1:]] - passed[vectors.indptr[:-1]]
    return products


def _worth_all(lists: NDArray[np.int32], vectors: "sp.csr_array[np.float64]") -> bool:
    """Whether the cosines of all answered items take fewer products than the sums of all lists' vectors."""
    summed = np.diff(vectors.indptr)[lists].sum()
    return bool(_products(vectors[np.unique(lists)]).sum() <= summed)
