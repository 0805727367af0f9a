"""Why a game is recommended: the clicked games that speak for it most."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from srec.serving.ranker import Ranker


def because(
    ranker: Ranker, sessions: Sequence[Sequence[int]], answered: Sequence[Tensor], most: int
) -> list[list[list[int]]]:
    """Name the clicked items behind each answered item, the strongest first; equally strong ones ascending.

    A click's share in a score is beta_i h'_i . v where the model's session vector is a sum over clicks; the
    shares of an item that was clicked several times are summed. Scores are logits, whose sign says nothing,
    so the largest shares are named whatever their sign.

    For other models a share is what the score loses when the item is taken out of the session, and only
    what the score would lose something without is named.

    Args:
        ranker: what answered.
        sessions: known items, oldest first, at least one each.
        answered: for each session the items it was answered with, int64 [n].
        most: how many clicked items are named at most.
    """
    seen = [list(session[-ranker.max_clicks :]) for session in sessions]
    by_click = ranker.shares(seen, answered)
    if by_click is None:
        found = [_left_out(ranker, session, items) for session, items in zip(seen, answered, strict=True)]
    else:
        found = [_by_item(session, shares) for session, shares in zip(seen, by_click, strict=True)]
    least = -torch.inf if by_click is not None else 0.0
    return [_strongest(session, shares, most, least) for session, shares in zip(seen, found, strict=True)]


def _by_item(session: list[int], shares: Tensor) -> Tensor:
    """Shares of clicks [n, L] -> shares of the distinct clicked items, ascending, [n, M]."""
    clicked, which = np.unique(session, return_inverse=True)
    summed = torch.zeros(len(shares), len(clicked))
    return summed.index_add_(1, torch.from_numpy(which), shares)


def _left_out(ranker: Ranker, session: list[int], items: Tensor) -> Tensor:
    """What each item's score loses without each of the distinct clicked items, ascending, [n, M]."""
    clicked = sorted(set(session))
    if len(clicked) == 1:  # without it there is no session to compare with
        return torch.ones(len(items), 1)
    without = [[click for click in session if click != item] for item in clicked]
    scores = ranker.scores([session, *without])[:, items - 1]  # [1 + M, n]
    return (scores[0] - scores[1:]).T


def _strongest(session: list[int], shares: Tensor, most: int, least: float) -> list[list[int]]:
    """The items with the largest shares above ``least``, for each row of shares [n, M]."""
    clicked = sorted(set(session))
    values, order = shares.sort(dim=1, descending=True, stable=True)
    return [
        [clicked[index] for index, share in zip(places[:most], row[:most], strict=True) if share > least]
        for places, row in zip(order.tolist(), values.tolist(), strict=True)
    ]
