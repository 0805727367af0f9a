"""Scores -> exact top-k, the one definition: higher score first, equal scores by ascending item."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor


class TopK(NamedTuple):
    """The best items of one session, best first; fewer than k where fewer were allowed.

    Attributes:
        items: int64 [n], n <= k.
        scores: float32 [n].
    """

    items: Tensor
    scores: Tensor


class Selection(NamedTuple):
    """What one session may be answered with.

    Attributes:
        k: how many items, at least 1.
        excluded: items that must not be answered.
        allowed: the items that may be, bool [V]; None allows all.
        handicap: what is taken off every item's score, float32 [V]; None takes nothing.
    """

    k: int
    excluded: Sequence[int] = ()
    allowed: Tensor | None = None
    handicap: Tensor | None = None


def select(scores: Tensor, selections: Sequence[Selection]) -> list[TopK]:
    """Pick each session's best items among those it may be answered with, exactly.

    Args:
        scores: one row a session, float [B, V]; column i is item i + 1. Written to.
        selections: one a row.
    """
    for row, selection in zip(scores, selections, strict=True):
        if selection.handicap is not None:
            row.sub_(selection.handicap)
        if selection.allowed is not None:
            row.masked_fill_(~selection.allowed, -torch.inf)
        if selection.excluded:
            row[torch.tensor(selection.excluded, dtype=torch.int64) - 1] = -torch.inf
    k = max((selection.k for selection in selections), default=1)
    found = zip(top_k(scores, k), selections, strict=True)
    return [TopK(best.items[: one.k], best.scores[: one.k]) for best, one in found]


def top_k(scores: Tensor, k: int) -> list[TopK]:
    """Pick the k best items of every row, exactly.

    ``torch.topk`` leaves the order of equal scores open, so it only gives the k-th score; all items that
    reach it are then put in order by a stable sort.

    Args:
        scores: one row a session, float [B, V]; column i is item i + 1; ``-inf`` is never picked.
        k: how many, at least 1.
    """
    threshold = scores.topk(min(k, scores.shape[1]), dim=1).values[:, -1:]  # [B, 1]
    reaches = (scores >= threshold) & (scores > -torch.inf)
    return [_best(row, candidates, k) for row, candidates in zip(scores, reaches, strict=True)]


def _best(row: Tensor, candidates: Tensor, k: int) -> TopK:
    items = candidates.nonzero().squeeze(1)  # ascending
    values, order = row[items].sort(descending=True, stable=True)
    return TopK(items[order[:k]] + 1, values[:k])
