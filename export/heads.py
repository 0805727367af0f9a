"""How much of an item table the certified scan should read first, on each kind of CPU."""

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
LOOK = 3e6  # what a second look costs beside its reading, in bytes read in order; measured
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

    def cost(head: tuple[int, int], of_value: int) -> float:
        """Bytes an item of a pass over d directions, a look at w more, and rows in full for what is left."""
        d, w = head
        looked = d * of_value + (RANDOM * left[d] * w * of_value + look if w else 0.0)
        return looked + RANDOM * left[d + w] * width * FLOAT

    once = [(d, 0) for d in left]
    twice = [(d, e - d) for d in left for e in left if e > d]
    # In 8 bits a look at fewer directions leaves more than the shares say, which know no rounding.
    whole = [(d, width - d) for d in dims]
    best = {
        VNNI: min(once + whole, key=lambda one: cost(one, 1)),
        INT8: min(once, key=lambda one: cost(one, 1)),
        FLOAT32: min(once + twice, key=lambda one: cost(one, FLOAT)),
    }
    return {kind: {"dims": d, "then": w} for kind, (d, w) in best.items()}


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
