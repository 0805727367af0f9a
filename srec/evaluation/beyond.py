"""What answers are like beyond being right: coverage, distance within a list, popularity."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from srec.data.dataset import Dataset, Sequences
from srec.evaluation.distance import mean_distances
from srec.evaluation.metrics import CUTOFFS

TOP: Final = 0.01  # share of the items that counts as most popular
BEYOND: Final = tuple(
    f"{name}@{k}"
    for k in CUTOFFS
    for name in ("coverage", "distance", "log_clicks", "percentile", "top_share")
)


@dataclass(frozen=True)
class ItemFacts:
    """What the measures need to know of the items.

    Attributes:
        clicks: of each item in training, int64 [V+1].
        vectors: rows of unit length, or of zeros where nothing is known, sparse [V+1, n].
        by: what the vectors are made of: ``tags`` or ``co-clicks``.
    """

    clicks: NDArray[np.int64]
    vectors: "sp.csr_array[np.float64]"
    by: str

    @classmethod
    def of(cls, data: Dataset, full: bool = False) -> "ItemFacts":
        """Facts of DATA: tag vectors where it has metadata, else which training sequences hold the item.

        The cosine of two items' sequences is their co-click count over the root of both items' counts, as in
        Item-KNN. ``full``: training with the validation part of session files.
        """
        sequences = data.sequences(full)
        clicks = np.bincount(sequences.items, minlength=data.n_items + 1)
        if data.has_metadata:
            tags = data.tag_matrix()
            wide = sp.csr_array((tags.data.astype(np.float64), tags.indices, tags.indptr), shape=tags.shape)
            return cls(clicks, unit_rows(wide), "tags")
        return cls(clicks, unit_rows(incidence(sequences, data.n_items)), "co-clicks")


def incidence(sequences: Sequences, n_items: int) -> "sp.csr_array[np.float64]":
    """1 where a sequence holds an item, [V+1, S]."""
    columns = np.repeat(np.arange(len(sequences)), np.diff(sequences.offsets))
    shape = (n_items + 1, len(sequences))
    held = sp.csr_array((np.ones(len(columns)), (sequences.items.astype(np.int64), columns)), shape=shape)
    held.sum_duplicates()
    held.data[:] = 1
    return held


def unit_rows(matrix: "sp.csr_array[np.float64]") -> "sp.csr_array[np.float64]":
    """Divide every row by its length; rows of zeros stay."""
    lengths = np.sqrt(matrix.multiply(matrix).sum(axis=1))
    scale = np.divide(1.0, lengths, out=np.zeros_like(lengths), where=lengths > 0)
    return sp.csr_array(sp.diags_array(scale) @ matrix)


def beyond_accuracy(answers: NDArray[np.int32], facts: ItemFacts) -> dict[str, float]:
    """All measures of ``BEYOND``.

    Coverage@K is the share of the catalogue that is answered at least once; distance@K the mean over lists of
    1 - cosine over their pairs; log_clicks@K the mean of ln(1 + training clicks) of what is answered,
    percentile@K its mean place among the items by clicks (0 least, 1 most, equal clicks share theirs), and
    top_share@K the share of answers that are of the most clicked 1 % of the items.

    Args:
        answers: best items, best first, 0 where fewer, int32 [E, >= 20].
        facts: of the items that could be answered.
    """
    popularity, distances = _Popularity(facts.clicks), mean_distances(answers, facts.vectors, CUTOFFS)
    found: dict[str, float] = {}
    for k in CUTOFFS:
        lists = answers[:, :k]
        items = lists[lists > 0]
        found[f"coverage@{k}"] = len(np.unique(items)) / (len(facts.clicks) - 1)
        found[f"distance@{k}"] = distances[k]
        found |= {f"{name}@{k}": value for name, value in popularity.of(items).items()}
    return found


class _Popularity:
    """How popular every item is, by its clicks in training."""

    def __init__(self, clicks: NDArray[np.int64]) -> None:
        of_items = clicks[1:]
        ordered = np.sort(of_items)
        below, until = (np.searchsorted(ordered, of_items, side) for side in ("left", "right"))
        most = np.argsort(-of_items, kind="stable")[: max(1, round(TOP * len(of_items)))]
        self._columns = {
            "log_clicks": np.log1p(of_items),
            "percentile": (below + until - 1) / 2 / max(1, len(of_items) - 1),
            "top_share": np.isin(np.arange(len(of_items)), most).astype(np.float64),
        }

    def of(self, items: NDArray[np.int32]) -> dict[str, float]:
        """Means over answered items; zeros where nothing was answered."""
        if not len(items):
            return dict.fromkeys(self._columns, 0.0)
        return {name: float(values[items - 1].mean()) for name, values in self._columns.items()}
