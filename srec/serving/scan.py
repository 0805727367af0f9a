"""Exact top-k of inner products without reading the whole table in float32.

A coarse pass gives every item an approximate score and a bound on its error. An item whose approximate score
plus its bound does not reach a score that k items surely reach cannot be among the k best; all others, some
dozens, are scored again in float32. So the answer is the full float32 scan's, up to the order of scores
closer than float32 tells apart. Bounds before products are the idea of LEMP (Teflioudi et al., SIGMOD 2015)
and FEXIPRO (Li et al., SIGMOD 2017).

For a session z and an item v = v~ + r, read in the leading d directions of the table:

    z . v  =  z~ . v~  +  (z_d - z~) . v~  +  z_d . r  +  z_rest . v_rest

The first term is what the coarse pass computes; the others are bounded by products of norms.
"""

import math
from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor

from srec.serving.coarse import Coarse
from srec.topk import Selection, TopK, select

BLOCK: Final = 64  # items that share one bound, and one maximum
SEEDS: Final = 48  # items that are scored first; the k-th best of them is a score that k items reach
LOWEST: Final = -3.0e38  # any finite score
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
    """Finds each session's best items; ``fallbacks`` counts sessions that needed most of the table.

    Args:
        items: see ``FullScan``.
        norms: see ``FullScan``.
        dims: how many leading directions of the table the coarse pass reads; D reads all as they are.
    """

    def __init__(self, items: Tensor, norms: Tensor | None, dims: int) -> None:
        super().__init__(items, norms)
        self._coarse = Coarse(items, norms, dims, BLOCK)

    def best(self, sessions: Tensor, selections: Sequence[Selection]) -> list[TopK]:
        """Answer every session exactly.

        Args:
            sessions: session vectors, float32 [B, D].
            selections: one a session.
        """
        approximate, slack = self._coarse(sessions)  # [B, blocks, BLOCK], [B, blocks]
        found = []
        for row, selection in enumerate(selections):
            if selection.handicap is not None or selection.allowed is not None or selection.excluded:
                self._restrict(approximate[row], selection)
            found.append(self._best(sessions[row], approximate[row], slack[row], selection))
        return found

    def _restrict(self, approximate: Tensor, selection: Selection) -> None:
        """Let the coarse scores of one session know what must not be answered, and what is taken off."""
        flat = approximate.view(-1)
        if selection.handicap is not None:
            flat[: self.n_items] -= selection.handicap[self._coarse.order]
        if selection.allowed is not None:
            flat[: self.n_items].masked_fill_(~selection.allowed[self._coarse.order], -torch.inf)
        if selection.excluded:
            flat[self._coarse.place[torch.tensor(selection.excluded) - 1]] = -torch.inf

    def _best(self, session: Tensor, approximate: Tensor, slack: Tensor, selection: Selection) -> TopK:
        top = approximate.amax(1)  # [blocks]
        seeds = top.topk(min(max(SEEDS, 2 * selection.k), len(top))).indices
        seeds = seeds[top[seeds] > -torch.inf]
        threshold = -math.inf
        if len(seeds) >= selection.k:
            places = seeds * BLOCK + approximate.index_select(0, seeds).argmax(1)
            items = self._coarse.order[places]
            threshold = float(self._exact(session, items, selection).topk(selection.k).values[-1])
        places = self._reaching(approximate, top, slack, threshold)
        if len(places) * SHARE > self.n_items:
            self.fallbacks += 1
        items = self._coarse.order[places].sort().values
        scores, order = self._exact(session, items, selection).sort(descending=True, stable=True)
        return TopK(items[order[: selection.k]] + 1, scores[: selection.k])

    def _reaching(self, approximate: Tensor, top: Tensor, slack: Tensor, threshold: float) -> Tensor:
        """Places whose score may reach the threshold, int64 [n]; never those that must not be answered."""
        blocks = ((top + slack >= threshold) & (top > -torch.inf)).nonzero().squeeze(1)
        inside = approximate.index_select(0, blocks)  # [n, BLOCK]
        least = (threshold - slack[blocks]).clamp(min=LOWEST).unsqueeze(1)
        where = (inside >= least).view(-1).nonzero().squeeze(1)
        return blocks[where // BLOCK] * BLOCK + where % BLOCK

    def _exact(self, session: Tensor, items: Tensor, selection: Selection) -> Tensor:
        """Score items (from 0) in float32, [n]."""
        scores = self.items.index_select(0, items + 1) @ session
        if self.norms is not None:
            scores = scores / self.norms[items]
        return scores if selection.handicap is None else scores - selection.handicap[items]
