"""How much of an item table the certified scan should read first, on each kind of CPU."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

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
    left = _left_over(items, norms, sessions, directions, dims) if dims else []
    candidates = [*zip(dims, left, strict=True), (width, 0.0)]

    def cost(d: int, share: float, of_head: int, of_rest: int) -> float:
        return d * of_head + RANDOM * share * of_rest

    once = [(cost(d, share, 1, width * FLOAT), d) for d, share in candidates]
    twice = [(cost(d, share, 1, width - d) + LOOK / n_items, d) for d, share in candidates[:-1]]
    floats = [(cost(d, share, FLOAT, width * FLOAT), d) for d, share in candidates]
    better = bool(twice) and min(twice) < min(once)
    return {
        "vnni": {"dims": min(twice if better else once)[1], "twice": better},
        "int8": {"dims": min(once)[1]},
        "float32": {"dims": min(floats)[1]},
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
