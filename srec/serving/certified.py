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
from srec.serving.loops import Floats, Limits, Passed, search
from srec.serving.scan import FullScan
from srec.topk import Selection, TopK

SHARE: Final = 8  # above this part of the items the full scan is the faster way
NO_LIMITS: Final = Limits(np.empty(0, np.int64), np.empty(0, np.bool_), np.empty(0, np.float32))


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
        self._places = np.empty(len(self._coarse.layout.at), np.int32)  # kept, as the scores are
        self.scored = 0

    def best(self, sessions: Tensor, selections: Sequence[Selection]) -> list[TopK]:
        """Answer every session exactly.

        Args:
            sessions: session vectors, float32 [B, D].
            selections: one a session.
        """
        vectors, most, found = sessions.contiguous().numpy(), self._coarse.most, []
        for start in range(0, len(vectors), most):
            some = vectors[start : start + most]
            passed = self._coarse(some)
            for row, selection in enumerate(selections[start : start + most]):
                found.append(self._search(some, passed, row, selection))
        return found

    def best_of_one(self, session: Floats, selection: Selection) -> TopK:
        """The same for one session vector, float32 [1, D]."""
        return self._search(session, self._coarse(session), 0, selection)

    def _search(self, sessions: Floats, passed: Passed, row: int, selection: Selection) -> TopK:
        """Answer one session of a batch."""
        # Written to, not returned: to make an array, Numba unpickles its class from bytes of its own.
        k = min(selection.k, self.n_items)
        items, scores = np.empty(k, np.int64), np.empty(k, np.float32)
        limits = self._limits(selection)
        n, scored = search(self._coarse.layout, self._places, sessions, passed, row, limits, items, scores)
        self.scored += scored
        self.fallbacks += scored * SHARE > self.n_items
        return TopK(torch.from_numpy(items[:n]), torch.from_numpy(scores[:n]))

    def _limits(self, selection: Selection) -> Limits:
        """What a session may be answered with, as arrays."""
        excluded, allowed, handicap = NO_LIMITS
        if selection.excluded:
            excluded = self._coarse.place[list(selection.excluded)]
        if selection.allowed is not None:
            allowed = selection.allowed.numpy()
        if selection.handicap is not None:
            handicap = selection.handicap.numpy()
        return Limits(excluded, allowed, handicap)
