"""How many leading directions of an item table the certified scan should read first."""

from collections.abc import Sequence

import torch
from torch import Tensor

from srec.serving.coarse import leading_directions
from srec.serving.scan import FullScan

K = 20
STEP = 32
SAMPLE = 20_000  # items on which shares are estimated
RANDOM = 7.0  # what a byte read here and there costs, in bytes read in order; measured
FLOAT = 4


def choose_dims(items: Tensor, norms: Tensor | None, sessions: Tensor) -> dict[str, int]:
    """Weigh what a coarse pass over d directions reads against the rows that it leaves to be read again.

    Args:
        items: the item table, float32 [V+1, D].
        norms: what each item's product is divided by, float32 [V]; None for one.
        sessions: vectors of real sessions, float32 [S, D].

    Returns:
        the best d for a pass in 8 bits (``int8``) and for one in float32 (``float32``).
    """
    width = items.size(1)
    heads = [*range(STEP, width, STEP)]
    left = _left_over(items, norms, sessions, heads) if heads else []
    candidates = [*zip(heads, left, strict=True), (width, 0.0)]
    return {
        "int8": _cheapest(candidates, 1, width),
        "float32": _cheapest(candidates, FLOAT, width),
    }


def _cheapest(candidates: Sequence[tuple[int, float]], bytes_each: int, width: int) -> int:
    """The d with the fewest bytes an item."""
    return min(candidates, key=lambda one: one[0] * bytes_each + RANDOM * one[1] * width * FLOAT)[0]


def _left_over(items: Tensor, norms: Tensor | None, sessions: Tensor, heads: Sequence[int]) -> list[float]:
    """For each d the share of items that the bound on the other directions does not rule out."""
    n_items = items.size(0) - 1
    scan = FullScan(items, norms)
    threshold = scan.scores(sessions).topk(min(K, n_items), dim=1).values[:, -1:]  # [S, 1]
    rows = scan.vectors(torch.arange(1, n_items + 1, max(1, n_items // SAMPLE)))
    basis = leading_directions(items, norms)
    rows, turned = rows @ basis, sessions @ basis
    shares = []
    for d in heads:
        slack = turned[:, d:].norm(dim=1, keepdim=True) * rows[:, d:].norm(dim=1)  # [S, n]
        reach = turned[:, :d] @ rows[:, :d].T + slack >= threshold
        shares.append(float(reach.float().mean()))
    return shares
