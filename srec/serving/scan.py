"""Exact top-k of inner products without reading the whole table in float32.

A coarse pass gives every item an approximate score and a bound on its error. An item whose approximate score
plus its bound does not reach a score that k items surely reach cannot be among the k best; all others, some
dozens, are scored again in float32. So the answer is the full float32 scan's, up to the order of scores
closer than float32 tells apart. Bounds before products are the idea of LEMP (Teflioudi et al., SIGMOD 2015)
and FEXIPRO (Li et al., SIGMOD 2017).

For a session z and an item v = v~ + r, read in the leading d directions of the table:

    z . v  =  z~ . v~  +  (z_d - z~) . v~  +  z_d . r  +  z_rest . v_rest

The first term is what the coarse pass computes; the others are bounded by products of norms. What that
leaves, hundreds or thousands, may be looked at again in more directions, each look with a product more and a
smaller rest, until only dozens are left.
"""

from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor

from srec.script import script
from srec.serving.coarse import Coarse, Head, Layout, Rough
from srec.topk import Selection, TopK, select

BLOCK: Final = 16  # items that share one bound, and one maximum
SEEDS: Final = 48  # items that are scored first; the k-th best of them is a score that k items reach
SHARE: Final = 8  # above this part of the items the full scan is the faster way


class FullScan:
    """Scores every item; for catalogues so small that nothing is gained by less.

    Args:
        items: the item table, float32 [V+1, D]; row 0 is padding. Rows are read in place.
        norms: what each item's product is divided by, float32 [V]; None for one.
    """

    fallbacks = 0

    def __init__(self, items: Tensor, norms: Tensor | None) -> None:
        self.items, self.norms = items, norms
        self.n_items = items.size(0) - 1

    def best(self, sessions: Tensor, selections: Sequence[Selection]) -> list[TopK]:
        """Answer every session exactly.

        Args:
            sessions: session vectors, float32 [B, D].
            selections: one a session.
        """
        return select(self.scores(sessions), selections)

    def scores(self, sessions: Tensor) -> Tensor:
        """Score all items, float32 [B, V]."""
        scores = sessions @ self.items[1:].T
        return scores if self.norms is None else scores / self.norms

    def vectors(self, items: Tensor) -> Tensor:
        """The item table as scored, for items int64 [n] from 1: float32 [n, D]."""
        rows = self.items.index_select(0, items)
        return rows if self.norms is None else rows / self.norms[items - 1].unsqueeze(1)


class CertifiedScan(FullScan):
    """Finds each session's best items.

    Attributes:
        scored: items that were scored in float32, of all sessions so far.
        fallbacks: sessions that needed so many that the full scan had been the faster way.

    Args:
        items: see ``FullScan``.
        norms: see ``FullScan``.
        directions: of ``leading_directions``, float32 [D, D]; None reads the table as it is.
        head: what the coarse pass reads of them.
    """

    def __init__(self, items: Tensor, norms: Tensor | None, directions: Tensor | None, head: Head) -> None:
        super().__init__(items, norms)
        self._coarse = Coarse(items, norms, directions, head, BLOCK)
        self.scored = 0
        self._items_at, ((table, scales, bounds), *looks) = self._coarse.layout
        self._unscaled: Layout = (self._items_at, [(table, torch.ones_like(scales), bounds), *looks])

    def best(self, sessions: Tensor, selections: Sequence[Selection]) -> list[TopK]:
        """Answer every session exactly.

        Args:
            sessions: session vectors, float32 [B, D].
            selections: one a session.
        """
        rough = self._coarse(sessions)
        return [self._best(sessions, rough, row, selection) for row, selection in enumerate(selections)]

    def _best(self, sessions: Tensor, rough: Rough, row: int, selection: Selection) -> TopK:
        """Answer one session of a batch."""
        layout = self._coarse.layout
        if selection.handicap is not None:
            sessions, rough = sessions[row:], self._lowered(rough, row, selection.handicap)
            row, layout = 0, self._unscaled
        limited = selection.allowed is not None or bool(selection.excluded)
        if limited:
            self._restrict(rough[0][row], selection)
        items, scores, again = _certified(
            sessions,
            row,
            rough,
            layout,
            (self.items, self.norms, selection.handicap),
            selection.k,
            max(SEEDS, 2 * selection.k),
            limited,
        )
        self.scored += again
        if again * SHARE > self.n_items:
            self.fallbacks += 1
        return TopK(items, scores)

    def _lowered(self, rough: Rough, row: int, handicap: Tensor) -> Rough:
        """One session's scores with what is taken off the items taken off; a score of 1 is worth 1."""
        scores, looks = rough
        (numbers, step, lengths), *more = [(a[row:], b[row:], c[row:]) for a, b, c in looks]
        lowered = scores[row] * (self._coarse.layout[1][0][1] * step[0])
        lowered -= self._at_places(handicap, torch.inf).view_as(lowered)
        return lowered.unsqueeze(0), [(numbers, torch.ones_like(step), lengths), *more]

    def _restrict(self, scores: Tensor, selection: Selection) -> None:
        """Let the coarse scores of one session know what must not be answered."""
        flat = scores.view(-1)
        if selection.allowed is not None:
            flat.masked_fill_(~self._at_places(selection.allowed, False), -torch.inf)
        if selection.excluded:
            flat[self._coarse.place[torch.tensor(selection.excluded)]] = -torch.inf

    def _at_places(self, of_items: Tensor, elsewhere: float) -> Tensor:
        """Values of items [V] at their places [places], and what stands where no item is."""
        return torch.constant_pad_nd(of_items, [1, 0], elsewhere)[self._items_at]


@script
def _exact(session: Tensor, items: Tensor, table: tuple[Tensor, Tensor | None, Tensor | None]) -> Tensor:
    """Score items (from 1) in float32, [n]; ``table`` as in ``_certified``."""
    vectors, norms, handicap = table
    scores = vectors.index_select(0, items) @ session
    if norms is not None:
        scores = scores / norms.index_select(0, items - 1)
    if handicap is not None:
        scores = scores - handicap.index_select(0, items - 1)
    return scores


@script
def _products(session: Tensor, table: Tensor, places: Tensor) -> Tensor:
    """Products of a session, int8 or float32 [w], with rows of a table, int8 [places, w]; float32 [n]."""
    n = places.size(0)
    if session.dtype != torch.int8:
        return table.index_select(0, places).to(session.dtype) @ session
    # oneDNN compiles a kernel for every new size, so that there shall be few.
    padded = torch.constant_pad_nd(places, [0, -n % 512])
    rows = table.index_select(0, padded)  # [n', w]
    return torch._int_mm(session.unsqueeze(0), rows.t()).view(-1).narrow(0, 0, n).float()


@script
def _certified(  # noqa: PLR0917  names cost a script time
    sessions: Tensor,
    row: int,
    rough: tuple[Tensor, list[tuple[Tensor, Tensor, Tensor]]],
    layout: tuple[Tensor, list[tuple[Tensor, Tensor, Tensor]]],
    table: tuple[Tensor, Tensor | None, Tensor | None],
    k: int,
    n_seeds: int,
    limited: bool,
) -> tuple[Tensor, Tensor, int]:
    """The best items of one session [n], n <= k, their scores, and how many were scored for them.

    Args:
        sessions: float32 [B, D].
        row: which session.
        rough: ``Rough`` of all sessions.
        layout: ``Layout``; the first look's scales are ones where the scores have them in them.
        table: ``items`` and ``norms`` of ``FullScan``, and what is taken off each item's score.
        k: how many to answer.
        n_seeds: blocks whose best item is scored first.
        limited: whether whole blocks may be forbidden.
    """
    lowest = -3.0e38  # any finite score passes, minus infinity never
    items, looks = layout
    session, scores = sessions[row], rough[0][row]
    units = looks[0][1] * rough[1][0][1][row]  # [blocks]
    top = scores.amax(0)
    seeds = (top * units).topk(min(n_seeds, top.size(0)), 0, True, False)[1]
    if limited:
        seeds = seeds[top.index_select(0, seeds) > lowest]
    threshold = lowest
    if seeds.size(0) >= k:
        inside = scores.index_select(1, seeds).argmax(0)
        sure = items.index_select(0, seeds.add(inside, alpha=top.size(0)))
        threshold = float(_exact(session, sure, table).topk(k, 0, True, True)[0][k - 1])
    needed = ((threshold - torch.mv(looks[0][2], rough[1][0][2][row])) / units).clamp_(min=lowest)
    reached = (top >= needed).nonzero().squeeze(1)
    passed = (scores.index_select(1, reached) >= needed.index_select(0, reached)).nonzero()  # [n, 2]
    block = reached.index_select(0, passed.select(1, 1))
    places = block.add(passed.select(1, 0), alpha=top.size(0))
    score = scores.view(-1).index_select(0, places) * units.index_select(0, block)
    for i in range(1, len(looks)):
        if places.size(0) > 4 * n_seeds:
            numbers, step, lengths = rough[1][i]
            rows, scales, bounds = looks[i]
            more = _products(numbers[row], rows, places)
            score = score.addcmul_(more, scales.index_select(0, block).mul_(step[row]))
            needed = threshold - torch.mv(bounds, lengths[row])  # [blocks]
            kept = (score >= needed.index_select(0, block)).nonzero().squeeze(1)
            places = places.index_select(0, kept)
            if i + 1 < len(looks):
                block, score = block.index_select(0, kept), score.index_select(0, kept)
    found = items.index_select(0, places).sort()[0]
    best, order = _exact(session, found, table).sort(stable=True, descending=True)
    return found.index_select(0, order[:k]), best[:k], found.size(0)
