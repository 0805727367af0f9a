"""Exact top-k where clicked items gain: a few scores of their own, and a scan over all other items."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from srec.graph.inputs import ModelInputs
from srec.serving.scan import FullScan
from srec.topk import Selection, TopK

Gains = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]
"""``srec.models.repeats.RepeatBonus``: scores of the nodes [B, N], nodes, alias, lengths -> gains [B, N]."""


def best(
    scan: FullScan, gains: Gains, sessions: Tensor, inputs: ModelInputs, selections: Sequence[Selection]
) -> list[TopK]:
    """Answer every session exactly.

    Args:
        scan: finds the best items of products.
        gains: of clicked items.
        sessions: session vectors, float32 [B, D].
        inputs: of ``srec.graph.inputs.model_inputs``.
        selections: one a session.
    """
    nodes, alias, _, lengths = inputs[:4]
    rows = nodes.tolist()
    places = [_may_return(row, one) for row, one in zip(rows, selections, strict=True)]
    if not any(places):
        return scan.best(sessions, selections)
    products = _products(scan, nodes, sessions)
    scores = products + gains(products, nodes, alias, lengths)  # [B, N]
    others = [
        one._replace(excluded=(*one.excluded, *(row[place] for place in of_row)))
        for one, row, of_row in zip(selections, rows, places, strict=True)
    ]
    found = scan.best(sessions, others)
    return [
        _merged(rest, [row[place] for place in of_row], own[torch.tensor(of_row)], one) if of_row else rest
        for rest, row, of_row, own, one in zip(found, rows, places, scores, selections, strict=True)
    ]


def raised(scores: Tensor, gains: Gains, inputs: ModelInputs) -> Tensor:
    """Products of all items [B, V] -> scores, with what clicked items gain; written to in place."""
    nodes, alias, _, lengths = inputs[:4]
    columns = (nodes - 1).clamp(min=0)  # padding adds 0 to the first item
    return scores.scatter_add_(1, columns, gains(scores.gather(1, columns), nodes, alias, lengths))


def shared(
    shares: Sequence[Tensor],
    items: Sequence[Tensor],
    scan: FullScan,
    gains: Gains,
    *,
    sessions: Tensor,
    inputs: ModelInputs,
) -> None:
    """Add to the clicks' shares [n, clicks] in the scores of ``items`` [n] what clicked items gain.

    It is the share of the last click on the item.
    """
    nodes, alias, _, lengths = inputs[:4]
    gained = gains(_products(scan, nodes, sessions), nodes, alias, lengths).tolist()
    rows = zip(shares, items, nodes.tolist(), alias.tolist(), gained, strict=True)
    for share, asked, of_row, clicks, gain in rows:
        last = {of_row[node]: click for click, node in enumerate(clicks[: share.size(1)])}
        for place, item in enumerate(asked.tolist()):
            if item in last:
                share[place, last[item]] += gain[of_row.index(item)]


def _products(scan: FullScan, nodes: Tensor, sessions: Tensor) -> Tensor:
    """Products of session vectors [B, D] with their own nodes' vectors, [B, N]; anything at padding."""
    vectors = scan.vectors(nodes.clamp(min=1).view(-1)).view(*nodes.shape, -1)  # [B, N, D]
    return (vectors @ sessions.unsqueeze(2)).squeeze(2)


def _may_return(nodes: Sequence[int], selection: Selection) -> list[int]:
    """Where among a session's nodes the clicked items are that may be answered."""
    places = [place for place, item in enumerate(nodes) if item and item not in selection.excluded]
    if selection.allowed is None:
        return places
    return [place for place in places if selection.allowed[nodes[place] - 1]]


def _merged(rest: TopK, clicked: list[int], scores: Tensor, selection: Selection) -> TopK:
    """The best of what the scan found and of the clicked items: by score, then ascending item."""
    if selection.handicap is not None:
        scores = scores - selection.handicap[torch.tensor(clicked) - 1]
    # So few that plain Python is done before a tensor's sort has begun.
    both = zip((*rest.scores.tolist(), *scores.tolist()), (*rest.items.tolist(), *clicked), strict=True)
    best = sorted(both, key=lambda one: (-one[0], one[1]))[: selection.k]
    return TopK(torch.tensor([item for _, item in best]), torch.tensor([score for score, _ in best]))
