"""What the certified scan should read first of an item table: which directions, and how many on each CPU."""

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor

from srec.serving.products import FLOAT32, IN_4_BITS, INT8, LOOK, NIBBLES, VNNI, balance
from srec.serving.scan import FullScan

K = 20
STEP = 16
SAMPLE = 20_000  # items on which shares are estimated
CHUNK = 1 << 16  # items that are read at once
TINY = 1e-18
# What a value costs, in those of the pass in 8 bits; measured.
OF_PASS = {NIBBLES: 0.6, VNNI: 1.0, INT8: 1.0, FLOAT32: 4.0}
FEWEST = {NIBBLES: 1, VNNI: 64, INT8: 1, FLOAT32: 1}  # directions that cost no more than fewer
OF_LOOK = 12.0  # here and there


def leading_directions(items: Tensor, norms: Tensor | None, sessions: Tensor) -> Tensor:
    """Orthonormal directions, those with most of the energy of items and sessions first, float32 [D, D].

    A product's rest is bounded by both lengths, so both count, each with its share of its own energy.

    Args:
        items: the item table, float32 [V+1, D].
        norms: what each item's product is divided by, float32 [V]; None for one.
        sessions: vectors of real sessions, float32 [S, D].
    """
    scan = FullScan(items, norms)
    gram = torch.zeros(items.size(1), items.size(1), dtype=torch.float64)
    for chunk in torch.split(torch.arange(1, len(items)), CHUNK):
        rows = scan.vectors(chunk)
        gram += (rows.T @ rows).double()
    of_sessions = (sessions.T @ sessions).double()
    gram = gram / gram.trace().clamp(min=TINY) + of_sessions / of_sessions.trace().clamp(min=TINY)
    return cast(Tensor, torch.linalg.eigh(gram).eigenvectors).flip(1).float().contiguous()


def choose_heads(
    items: Tensor, norms: Tensor | None, sessions: Tensor, directions: Tensor
) -> dict[str, dict[str, int]]:
    """Weigh what a coarse pass over d directions reads against the rows that it leaves to be read again.

    Args:
        items, norms, sessions: see ``leading_directions``; other sessions than those it was given, on which
            every choice would look better than it is.
        directions: of ``leading_directions``, float32 [D, D].

    Returns:
        ``dims``, how many directions to read, for a pass in 4 bits (``nibbles``), one by oneDNN (``vnni``),
        one by FBGEMM (``int8``) and one in float32 (``float32``).
    """
    width = items.size(1)
    dims = [*range(STEP, width - 1, STEP), width - 1]
    shares = _left_over(items, norms, sessions, directions, dims)
    left = {d: of_bounds for d, (of_bounds, _) in zip(dims, shares, strict=True)} | {width - 1: 0.0}
    in_4_bits = {d: of_both for d, (_, of_both) in zip(dims, shares, strict=True)}

    def cost(d: int, kind: str) -> float:
        """Of an item, on average. Rows in float32 are few, whatever was read before."""
        first, last = (in_4_bits[d], width + d) if kind == NIBBLES else (left[d], width)
        # What 4 bits leave out is small to the end: a look rules out what a pass in 8 bits would.
        looks = sum(
            (left.get(start, 0.0) if start > d else first) * min(LOOK, last - start)
            for start in range(d, last, LOOK)
        )
        return max(d, FEWEST[kind]) * OF_PASS[kind] + looks * OF_LOOK

    return {
        kind: {"dims": min(in_4_bits if kind == NIBBLES else left, key=lambda d: cost(d, kind))}
        for kind in OF_PASS
    }


def _left_over(
    items: Tensor, norms: Tensor | None, sessions: Tensor, directions: Tensor, dims: Sequence[int]
) -> list[tuple[float, float]]:
    """For each d the share of items that bounds do not rule out.

    Returns:
        by the bound on the other directions; by this one and that on what 4 bits leave out of the first d.
    """
    n_items = items.size(0) - 1
    scan = FullScan(items, norms)
    threshold = scan.scores(sessions).topk(min(K, n_items), dim=1).values[:, -1:]  # [S, 1]
    rows = scan.vectors(torch.arange(1, n_items + 1, max(1, n_items // SAMPLE)))
    rows, turned = rows @ directions, sessions @ directions
    shares = []
    for d in dims:
        slack = turned[:, d:].norm(dim=1, keepdim=True) * rows[:, d:].norm(dim=1)  # [S, n]
        reach = turned[:, :d] @ rows[:, :d].T + slack
        weights = balance(rows[:, 1:d])
        balanced = rows[:, 1:d] / weights
        scales = balanced.norm(torch.inf, dim=1, keepdim=True).clamp(min=TINY) / IN_4_BITS
        remains = (balanced - (balanced / scales).round() * scales).norm(dim=1)  # [n]
        wrong = (turned[:, 1:d] * weights).norm(dim=1, keepdim=True) * remains
        shares.append((_share(reach >= threshold), _share(reach + wrong >= threshold)))
    return shares


def _share(found: Tensor) -> float:
    return float(found.float().mean())
