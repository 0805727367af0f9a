"""How much of an item table the certified scan should read first, on each kind of CPU."""

import itertools
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from srec.serving.products import FLOAT32, INT8, VNNI
from srec.serving.scan import FullScan

K = 20
STEP = 16
SAMPLE = 20_000  # items on which shares are estimated
RANDOM = 7.0  # what a byte read here and there costs, in bytes read in order; measured
LOOK = 3e6  # what a further look costs beside its reading, in bytes read in order; measured
WIDEN = 8.0  # what it costs to turn such a byte into a float32, in bytes read in order; measured
FLOAT = 4


def choose_heads(
    items: Tensor, norms: Tensor | None, sessions: Tensor, directions: Tensor
) -> dict[str, dict[str, Any]]:
    """Weigh what a coarse pass over d directions reads against the rows that it leaves to be read again.

    Args:
        items: the item table, float32 [V+1, D].
        norms: what each item's product is divided by, float32 [V]; None for one.
        sessions: vectors of real sessions, float32 [S, D].
        directions: of ``leading_directions``, float32 [D, D].

    Returns:
        the fields of the best ``Head`` for a pass by oneDNN (``vnni``), one by FBGEMM (``int8``) and one in
        float32 (``float32``).
    """
    width, n_items = items.size(1), items.size(0) - 1
    dims = [*range(STEP, width, STEP)]
    left: dict[int, float] = dict(
        zip(dims, _left_over(items, norms, sessions, directions, dims), strict=True)
    ) | {width: 0.0}
    look = LOOK / n_items

    def cost(ends: tuple[int, ...], of_value: int, of_look: float = RANDOM) -> float:
        """Bytes an item of a pass and looks up to these directions, and of rows in full for what is left."""
        looks = sum(left[a] * (b - a) * of_look + look for a, b in itertools.pairwise(ends))
        return ends[0] * of_value + looks + RANDOM * left[ends[-1]] * width * FLOAT

    once: list[tuple[int, ...]] = [(d,) for d in left]
    # Looks that end before all directions leave more than the shares say, which know no rounding to 8 bits.
    twice: list[tuple[int, ...]] = [(d, width) for d in dims]
    thrice: list[tuple[int, ...]] = [(d, e, width) for d, e in itertools.combinations(dims, 2)]
    best = {
        VNNI: min(once + twice, key=lambda ends: cost(ends, 1)),
        INT8: min(once, key=lambda ends: cost(ends, 1)),
        FLOAT32: min(once + twice + thrice, key=lambda ends: cost(ends, FLOAT, RANDOM + WIDEN)),
    }
    return {
        kind: {"dims": ends[0], "then": [b - a for a, b in itertools.pairwise(ends)]}
        for kind, ends in best.items()
    }


def _left_over(
    items: Tensor, norms: Tensor | None, sessions: Tensor, directions: Tensor, dims: Sequence[int]
) -> list[float]:
    """For each d the share of items that the bound on the other directions does not rule out."""
    n_items = items.size(0) - 1
    scan = FullScan(items, norms)
    threshold = scan.scores(sessions).topk(min(K, n_items), dim=1).values[:, -1:]  # [S, 1]
    rows = scan.vectors(torch.arange(1, n_items + 1, max(1, n_items // SAMPLE)))
    rows, turned = rows @ directions, sessions @ directions
    shares = []
    for d in dims:
        slack = turned[:, d:].norm(dim=1, keepdim=True) * rows[:, d:].norm(dim=1)  # [S, n]
        reach = turned[:, :d] @ rows[:, :d].T + slack >= threshold
        shares.append(float(reach.float().mean()))
    return shares
