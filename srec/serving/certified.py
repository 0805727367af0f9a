"""Exact top-k of inner products without reading the whole table in float32.

A coarse pass gives every item an approximate score and a bound on its error. An item whose approximate score
plus its bound does not reach a score that k items surely reach cannot be among the k best; all others, some
dozens, are scored again in float32. So the answer is the full float32 scan's, up to the order of scores
closer than float32 tells apart. Bounds before products are the idea of LEMP (Teflioudi et al., SIGMOD 2015)
and FEXIPRO (Li et al., SIGMOD 2017).

For a session z and an item v = v~ + r, read in the leading d directions of the table:

    z . v  =  z~ . v~  +  (z_d - z~) . v~  +  z_d . r  +  z_rest . v_rest

The first term is what the coarse pass computes; the others are bounded by products of norms. An item that
this leaves is looked at again, some directions at a time, each look with a product more and a smaller rest,
until its bound rules it out or all directions are read.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
import torch
from torch import Tensor

from srec.serving.coarse import Coarse
from srec.serving.loops import Asked, Floats, Room, Rounded, search
from srec.serving.scan import FullScan
from srec.topk import Selection, TopK

SHARE: Final = 8  # above this part of the items the full scan is the faster way
NOWHERE: Final = np.empty(0, np.int64)
ANY: Final = np.empty(0, np.bool_)
NOTHING: Final = np.empty(0, np.float32)


class CertifiedScan(FullScan):
    """Finds each session's best items; for one thread, since calls share the memory that they write to.

    Attributes:
        scored: items that were scored in float32, of all sessions so far.
        fallbacks: sessions that needed so many that the full scan had been the faster way.

    Args:
        items: see ``FullScan``.
        norms: see ``FullScan``.
        directions: orthonormal, those that matter most first, float32 [D, D].
        dims: how many of them the coarse pass reads in the type that it multiplies; see ``coarse``.
    """

    def __init__(self, items: Tensor, norms: Tensor | None, directions: Tensor, dims: int) -> None:
        super().__init__(items, norms)
        self._coarse = Coarse(items, norms, directions, dims)
        blocks, block = self._coarse.layout.leading.shape
        self._room = Room(
            np.empty((blocks, block), np.float32),
            np.empty(blocks, np.float32),
            np.empty(blocks * block, np.int64),
        )
        self.scored = 0

    def best(self, sessions: Tensor, selections: Sequence[Selection]) -> list[TopK]:
        """Answer every session exactly.

        Args:
            sessions: session vectors, float32 [B, D].
            selections: one a session.
        """
        layout, sessions = self._coarse.layout, sessions.contiguous()
        products, rounded = self._coarse(sessions)
        vectors, found = sessions.numpy(), []
        for row, selection in enumerate(selections):
            asked = self._asked(vectors[row], rounded, row, selection)
            # Written to, not returned: to make an array, Numba unpickles its class from bytes of its own.
            k = min(selection.k, self.n_items)
            items, scores = torch.empty(k, dtype=torch.int64), torch.empty(k)
            n, scored = search(layout, asked, products[row], self._room, items.numpy(), scores.numpy())
            self.scored += scored
            self.fallbacks += scored * SHARE > self.n_items
            found.append(TopK(items, scores) if n == k else TopK(items[:n], scores[:n]))
        return found

    def _asked(self, session: Floats, rounded: Rounded, row: int, selection: Selection) -> Asked:
        """One session of a batch."""
        return Asked(
            session,
            rounded.numbers[row],
            rounded.steps[row],
            rounded.lengths[row],
            self._coarse.place[list(selection.excluded)] if selection.excluded else NOWHERE,
            ANY if selection.allowed is None else selection.allowed.numpy(),
            NOTHING if selection.handicap is None else selection.handicap.numpy(),
        )
