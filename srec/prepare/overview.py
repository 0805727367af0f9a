"""What a person looks at before training: reviews over time, sequence lengths, popularity."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from ibis.expr.types import Table  # type: ignore[import-untyped]
from numpy.typing import NDArray

from srec.prepare.engines import ReviewEngine
from srec.prepare.games import Game
from srec.prepare.sequences import Clicks

DAY = 86_400
LENGTHS = (1, 2, 3, 4, 5, 7, 10, 15, 20, 30, 50, 100, 200, 500)
"""Where the groups of sequence lengths begin; the last is open."""
RANKS = 60  # points of the popularity curve, evenly spread over the logarithm of the rank
METADATA = ("name", "developer", "publisher", "year", "price", "free", "genres", "tags")

Days = list[tuple[int, int]]


def days_read(engine: ReviewEngine, reviews: Table) -> Days:
    """Reviews of every day that has some, before any filter: (day since 1970, reviews)."""
    by_day = reviews.group_by(day=reviews.time // DAY).agg(n=lambda rows: rows.count())
    found = engine.fetch(by_day.order_by("day"))
    return list(zip(found["day"].to_pylist(), found["n"].to_pylist(), strict=True))


def overview(
    train: Clicks, kept: NDArray[np.int64] | None = None, read: Days | None = None
) -> dict[str, Any]:
    """What the plots of the report are drawn from.

    Args:
        train: the training sequences, in items.
        kept: times of all clicks that the filters kept, unix seconds; None where there are no times.
        read: see ``days_read``.
    """
    days, counts = np.unique((np.empty(0, np.int64) if kept is None else kept) // DAY, return_counts=True)
    return {
        "days_read": read or [],
        "days_kept": list(zip(days.tolist(), counts.tolist(), strict=True)),
        "lengths": _lengths(np.diff(train.offsets)),
        "popularity": _popularity(np.bincount(train.ids)[1:]),
        "most_popular_hundredth": _head_share(np.bincount(train.ids)[1:]),
    }


def coverage(details: Sequence[Game | None]) -> dict[str, int]:
    """Of how many games each field of the metadata is known."""
    known = (game for game in details if game is not None)
    counts = dict.fromkeys(METADATA, 0)
    for game in known:
        for field in METADATA:
            counts[field] += getattr(game, field) not in (None, "", (), {})
    return counts


def _lengths(lengths: NDArray[np.int64]) -> list[tuple[str, int]]:
    ends = [*(start - 1 for start in LENGTHS[1:]), None]
    names = [
        f"{start}+" if end is None else str(start) if start == end else f"{start}-{end}"
        for start, end in zip(LENGTHS, ends, strict=True)
    ]
    counts = np.bincount(np.searchsorted(LENGTHS, lengths, side="right") - 1)
    return list(zip(names, counts.tolist(), strict=False))


def _popularity(clicks: NDArray[np.int64]) -> list[tuple[int, int]]:
    """(rank, clicks of the game at that rank), from the most clicked game to the least."""
    ordered = np.sort(clicks)[::-1]
    ranks = np.unique(np.geomspace(1, len(ordered), RANKS).round().astype(np.int64))
    return list(zip(ranks.tolist(), ordered[ranks - 1].tolist(), strict=True))


def _head_share(clicks: NDArray[np.int64]) -> float:
    """Share of all clicks that fall on the most clicked hundredth of the games, at least one game."""
    head = np.sort(clicks)[::-1][: max(1, round(len(clicks) / 100))]
    return round(float(head.sum() / clicks.sum()), 6)
