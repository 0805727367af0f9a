"""The coarse pass of ``certified``: approximate scores of all items, and how wrong they may be.

It reads the leading directions of the table only, in the type that this CPU reads soonest; the others lie
ready in 8 bits for those items that it leaves. The very first, along which a trained table's mean lies, holds
so much more than any other that it is no fit for few bits, and stays in float32.
"""

import itertools
from collections.abc import Iterator
from typing import Final, Protocol

import numpy as np
import torch
from torch import Tensor

from srec.serving import nibbles, products
from srec.serving.loops import (
    BLOCK,
    ROUNDING,
    TINY,
    Floats,
    Layout,
    Passed,
    Rounded,
    round_sessions,
    score_products,
    turn_and_round,
)
from srec.serving.products import LEVELS, LOOK

CHUNK: Final = 1 << 16  # items that are prepared at once
ROOM: Final = 1 << 26  # bytes that the scores of a batch may take; larger ones are read in parts


class Pass(Protocol):
    """Scores of all items by some directions of a table, of a few sessions at once."""

    width: int
    """Numbers of a session that are multiplied."""

    steps: int
    """Largest whole number of a session; 0 where it is multiplied as it is."""

    dtype: torch.dtype
    """Of what is multiplied."""

    most: int
    """Sessions that are best scored at once."""

    def __call__(self, layout: Layout, rounded: Rounded, rough: Floats, maxima: Floats) -> None:
        """Write scores.

        Args:
            layout: of the table.
            rounded: the sessions.
            rough: written to, scores [B, blocks, BLOCK].
            maxima: written to, the largest of each block [B, blocks].
        """


class ByLibrary:
    """A pass that a library multiplies."""

    most = 32

    def __init__(self, table: Tensor) -> None:
        """Take rows, int8 or float32 [places, d]."""
        self._product = products.product(table)
        self.width, self.steps, self.dtype = table.size(1), self._product.steps, self._product.dtype

    def __call__(self, layout: Layout, rounded: Rounded, rough: Floats, maxima: Floats) -> None:
        """Write scores."""
        found = self._product(torch.from_numpy(rounded.first)).numpy().reshape(rough.shape)
        score_products(found, layout, rounded, rough, maxima)


class Coarse:
    """Approximate scores of all items in blocks of items with like bounds; for one thread.

    Attributes:
        layout: what the search reads.
        place: the place of each item, int64 [V+1]; the first has no meaning.
        most: sessions that can be asked for at once.

    Args:
        items: the item table, float32 [V+1, D]; row 0 is padding. Rows are read in place.
        norms: what each item's product is divided by, float32 [V]; None for one.
        directions: orthonormal, those that matter most first, float32 [D, D].
        dims: how many of them the pass reads after the first.
    """

    def __init__(self, items: Tensor, norms: Tensor | None, directions: Tensor, dims: int) -> None:
        width, kind = items.size(1), products.kind()
        self._dims = min(dims, width - 1)
        self._again = self._dims if kind == products.NIBBLES else 0
        first, last = 1 + self._dims, width + self._again
        ends = [first, *range(first + LOOK, last, LOOK), *([last] if first < last else [])]
        turned, rests, lengths = _project(items, norms, directions, [min(end, width) for end in ends])
        directions = directions.clone()  # in this process' own memory, not in pages of a mapped file
        self._directions = directions.numpy()
        if self._again:
            weights = products.balance(turned[:, 1:first])
            turned[:, 1:first] /= weights
            directions[:, 1:first] *= weights
        at = _places((rests[0] if first < width else lengths).argsort(stable=True))

        levels = {products.NIBBLES: products.IN_4_BITS, products.FLOAT32: 0}.get(kind, LEVELS)
        rows = _laid(turned[:, 1:first], at)
        table, scale, read, wrong = _as_read(rows, levels)
        if self._again:
            self._pass: Pass = nibbles.Nibbles(table)
            remains = rows.sub_(table * scale.repeat_interleave(BLOCK).unsqueeze(1))  # is read again
            wrong = torch.zeros(len(at))
        else:
            self._pass, remains = ByLibrary(table), rows[:, :0]
        lefts = [(scale, read, torch.hypot(wrong, remains.norm(dim=1)))]
        codes = torch.zeros(len(at), len(ends) - 1, LOOK, dtype=torch.int8)
        for look, (start, end) in enumerate(itertools.pairwise(ends)):
            once_more = remains[:, max(start - width, 0) : max(end - width, 0)]
            rows = torch.cat([_laid(turned[:, start:end], at), once_more], 1)
            codes[:, look, : end - start], scale, kept, error = _as_read(rows, LEVELS)
            read, wrong = torch.hypot(read, kept), torch.hypot(wrong, error)
            lefts.append((scale, read, torch.hypot(wrong, remains[:, max(end - width, 0) :].norm(dim=1))))
        rounding = ROUNDING * _laid(lengths, at)
        bounds = torch.stack(
            [
                torch.stack([block_maxima(part) for part in (read, left, _laid(rest, at), rounding)], 1)
                for (_, read, left), rest in zip(lefts, rests, strict=True)
            ]
        )
        self.place = np.empty(len(items), np.int64)
        self.place[at.numpy()] = np.arange(len(at))
        self.layout = Layout(
            at.numpy(),
            _laid(turned[:, 0], at).view(-1, BLOCK).numpy(),
            codes.numpy(),
            torch.stack([scale for scale, *_ in lefts]).numpy(),
            bounds[0].T.contiguous().numpy(),
            bounds[1:].numpy(),
            items.numpy(),
            np.empty(0, np.float32) if norms is None else norms.numpy(),
        )
        self.most = max(min(ROOM // (4 * len(at)), self._pass.most), 1)
        self._turned = np.empty((1, width), np.float32)
        self._of_one, self._of_many = self._room(1), self._room(0)

    def __call__(self, sessions: Floats) -> Passed:
        """Score all items for sessions [B, D], at most ``most``; the next call overwrites what is found."""
        steps, dims, again = self._pass.steps, self._dims, self._again
        if len(sessions) == 1:
            passed = self._of_one
            turn_and_round(sessions, self._directions, self._turned, dims, again, steps, passed.rounded)
        else:
            passed = self._room_for(len(sessions))
            turned = (torch.from_numpy(sessions) @ torch.from_numpy(self._directions)).numpy()
            round_sessions(sessions, turned, dims, again, steps, passed.rounded)
        self._pass(self.layout, *passed)
        return passed

    def _room_for(self, batch: int) -> Passed:
        """The memory of the largest batch so far: new pages would take longer than what is done there."""
        if batch > len(self._of_many.rough):
            self._of_many = self._room(batch)
        (in_pass, in_looks, steps, lengths), rough, maxima = self._of_many
        rounded = Rounded(in_pass[:batch], in_looks[:batch], steps[:batch], lengths[:batch])
        return Passed(rounded, rough[:batch], maxima[:batch])

    def _room(self, batch: int) -> Passed:
        """Memory for sessions [B]."""
        blocks, looks = self.layout.leading.shape[0], self.layout.codes.shape[1]
        rounded = Rounded(
            torch.zeros(batch, self._pass.width, dtype=self._pass.dtype).numpy(),
            np.zeros((batch, looks, LOOK), np.int16),
            np.empty((batch, 3), np.float32),
            np.empty((batch, 1 + looks, 4), np.float32),
        )
        rough, maxima = np.empty((batch, blocks, BLOCK), np.float32), np.empty((batch, blocks), np.float32)
        return Passed(rounded, rough, maxima)


def _as_read(rows: Tensor, levels: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Rows as a pass or look reads them: whole numbers, or as they are.

    Args:
        rows: float32 [places, d].
        levels: the largest whole number; 0 leaves them as they are.

    Returns:
        int8 or float32 [places, d]; scales [blocks]; lengths of what is kept of each row and of what is left
        out, [places] each.
    """
    blocks = len(rows) // BLOCK
    if not levels:
        return rows, torch.ones(blocks), rows.norm(dim=1), torch.zeros(len(rows))
    scales = (block_maxima(rows.norm(torch.inf, dim=1)) / levels).clamp(min=TINY)
    table = torch.zeros(rows.shape, dtype=torch.int8)
    error, length = rows.new_zeros(len(rows)), rows.new_zeros(len(rows))
    for places, chunk in zip(
        torch.split(torch.arange(len(rows)), CHUNK), torch.split(rows, CHUNK), strict=True
    ):
        scale = scales[places // BLOCK].unsqueeze(1)
        table[places] = (chunk / scale).round().to(torch.int8)
        kept = table[places] * scale
        error[places], length[places] = (chunk - kept).norm(dim=1), kept.norm(dim=1)
    return table, scales, length, error


def block_maxima(at_places: Tensor) -> Tensor:
    """Values [places] -> the largest of each block [blocks], rounded up."""
    return at_places.view(-1, BLOCK).amax(1) * (1 + ROUNDING)


def _places(order: Tensor) -> Tensor:
    """The item (from 1) at each place, int64 [places], so that neighbours in an order [V] share a block."""
    blocks = -(-len(order) // BLOCK)
    padded = order.new_zeros(blocks * BLOCK)
    padded[: len(order)] = order + 1
    return padded


def _laid(of_items: Tensor, at: Tensor) -> Tensor:
    """Values of items [V, ...] at their places [places, ...]; zeros where no item is."""
    laid = of_items.index_select(0, (at - 1).clamp_(min=0))
    laid[at == 0] = 0
    return laid


def _project(
    items: Tensor, norms: Tensor | None, directions: Tensor, ends: list[int]
) -> tuple[Tensor, list[Tensor], Tensor]:
    """Values in the directions [V, D]; lengths [V] of what the first of them leave, for each end; of all."""
    turned = torch.empty(len(items) - 1, ends[-1])  # filled in place: large tables shall not be there twice
    rests, lengths = [], []
    for here, chunk in zip(torch.split(turned, CHUNK), _chunks(items, norms), strict=True):
        here[:] = chunk @ directions
        squares = chunk.square().sum(1, keepdim=True)
        inside = here.square().cumsum(1)[:, [end - 1 for end in ends]]
        rests.append((squares * (1 + ROUNDING) - inside).clamp(min=0).sqrt())
        lengths.append(squares.sqrt().squeeze(1))
    return turned, list(torch.cat(rests).unbind(1)), torch.cat(lengths)


def _chunks(items: Tensor, norms: Tensor | None) -> Iterator[Tensor]:
    """The table as scored, float32 [n, D] a chunk."""
    for start in range(1, len(items), CHUNK):
        rows = items[start : start + CHUNK]
        yield rows if norms is None else rows / norms[start - 1 : start - 1 + CHUNK].unsqueeze(1)
