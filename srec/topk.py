"""Scores -> exact top-k, the one definition: higher score first, equal scores by ascending item."""

import itertools
from collections.abc import Sequence
from typing import Final, NamedTuple

import torch
from torch import Tensor

BLOCK: Final = 64  # scores of a wide row that are looked at by their maximum first


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
    counts = [len(selection.excluded) for selection in selections]
    if any(counts):
        rows = torch.arange(len(scores)).repeat_interleave(torch.tensor(counts))
        excluded = itertools.chain.from_iterable(selection.excluded for selection in selections)
        scores[rows, torch.tensor(list(excluded)) - 1] = -torch.inf
    k = max((selection.k for selection in selections), default=1)
    found = zip(top_k(scores, k), selections, strict=True)
    return [TopK(best.items[: one.k], best.scores[: one.k]) for best, one in found]


def top_k(scores: Tensor, k: int) -> list[TopK]:
    """Pick the k best items of every row, exactly.

    ``torch.topk`` leaves the order of equal scores open, so it is trusted only where no other score equals
    the k-th; elsewhere all items that reach the k-th score are put in order by a stable sort.

    Args:
        scores: one row a session, float [B, V]; column i is item i + 1; ``-inf`` is never picked.
        k: how many, at least 1.
    """
    if scores.shape[1] < 2 * k * BLOCK:
        threshold = scores.topk(min(k, scores.shape[1]), dim=1).values[:, -1:]  # [B, 1]
        reaches = (scores >= threshold) & (scores > -torch.inf)
        return [_best(row, candidates, k) for row, candidates in zip(scores, reaches, strict=True)]
    return _top_k_by_blocks(scores, k)


def _top_k_by_blocks(scores: Tensor, k: int) -> list[TopK]:
    """The same for wide rows, where reading them once costs less than ``torch.topk``.

    The maxima of the k blocks with the highest ones are k scores; so the k best items, but for ties with the
    k-th, lie in these blocks or behind the last whole one.
    """
    whole = scores.shape[1] // BLOCK * BLOCK
    maxima = scores[:, :whole].view(len(scores), -1, BLOCK).amax(2)  # [B, blocks]
    blocks = maxima.topk(k, dim=1).indices.unsqueeze(2)  # [B, k, 1]
    places = (blocks * BLOCK + torch.arange(BLOCK)).flatten(1)  # [B, k * BLOCK]
    rest = torch.arange(whole, scores.shape[1]).expand(len(scores), -1)
    places = torch.cat([places, rest], dim=1)
    inside = scores.gather(1, places)
    best = inside.topk(k, dim=1)
    threshold = best.values[:, -1:]  # [B, 1]
    tied = ((inside >= threshold).sum(1) > k) | ((maxima >= threshold).sum(1) > k)
    tied |= threshold.squeeze(1) == -torch.inf
    columns = places.gather(1, best.indices).sort(dim=1).values  # [B, k], ascending
    values, order = scores.gather(1, columns).sort(dim=1, descending=True, stable=True)
    found = [TopK(*row) for row in zip(columns.gather(1, order) + 1, values, strict=True)]
    for index in tied.nonzero().squeeze(1).tolist():
        row = scores[index]
        found[index] = _best(row, (row >= threshold[index]) & (row > -torch.inf), k)
    return found


def _best(row: Tensor, candidates: Tensor, k: int) -> TopK:
    items = candidates.nonzero().squeeze(1)  # ascending
    values, order = row[items].sort(descending=True, stable=True)
    return TopK(items[order[:k]] + 1, values[:k])
