"""Exact top-k where clicked items gain: a few scores of their own, and a scan over all other items.

The same as ``srec.models.repeats`` says with tensors. A session has so few items that plain Python is done
before the first of a dozen tensor operations would be.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from srec.graph.inputs import ModelInputs
from srec.serving.scan import FullScan
from srec.topk import Selection, TopK

PARTS = ("places", "counts", "own")


class Gains(NamedTuple):
    """What clicked items gain; the parts of ``srec.models.repeats.RepeatBonus``."""

    places: Sequence[float]
    counts: Sequence[float]
    own: float

    @classmethod
    def of(cls, places: Tensor, counts: Tensor, own: Tensor) -> "Gains":
        """Take the three tensors as they were fitted."""
        return cls(places.tolist(), counts.tolist(), own.item())

    def by_item(self, clicks: Sequence[int]) -> dict[int, float]:
        """What each item of a session gains, but for the part of its own score."""
        since: dict[int, int] = {}
        times: dict[int, int] = {}
        for place, item in enumerate(reversed(clicks)):
            since.setdefault(item, min(place, len(self.places) - 1))
            times[item] = min(times.get(item, 0) + 1, len(self.counts))
        return {item: self.places[place] + self.counts[times[item] - 1] for item, place in since.items()}


def best(
    scan: FullScan,
    gains: Gains,
    sessions: Tensor,
    clicks: Sequence[Sequence[int]],
    selections: Sequence[Selection],
) -> list[TopK]:
    """Answer every session exactly.

    Args:
        scan: finds the best items of products.
        gains: of clicked items.
        sessions: session vectors, float32 [B, D].
        clicks: the items of each, oldest first.
        selections: one a session.
    """
    gained = [
        _open(gains.by_item(of_one), selection) for of_one, selection in zip(clicks, selections, strict=True)
    ]
    others = [
        one._replace(excluded=(*one.excluded, *of_row))
        for one, of_row in zip(selections, gained, strict=True)
    ]
    found = scan.best(sessions, others)
    for row, (of_row, selection) in enumerate(zip(gained, selections, strict=True)):
        if of_row:
            scores = _scores(scan, gains, sessions[row], of_row)
            found[row] = _merged(found[row], list(of_row), scores, selection)
    return found


def raised(scores: Tensor, gains: Gains, inputs: ModelInputs) -> Tensor:
    """Products of all items [B, V] -> scores, with what clicked items gain; written to in place."""
    for row, clicks in zip(scores, clicked(inputs), strict=True):
        gained = gains.by_item(clicks)
        columns = torch.tensor(list(gained)) - 1
        row[columns] += gains.own * row[columns] + torch.tensor(list(gained.values()))
    return scores


def shared(shares: Sequence[Tensor], gains: Gains, items: Sequence[Tensor], inputs: ModelInputs) -> None:
    """Add to the clicks' shares [n, clicks] in the scores of ``items`` [n] what clicked items gain.

    It is the share of the last click on the item.
    """
    for share, asked, clicks in zip(shares, items, clicked(inputs), strict=True):
        gained = gains.by_item(clicks)
        last = {item: click for click, item in enumerate(clicks)}
        for row, item in zip(share, asked.tolist(), strict=True):
            if item in gained:
                row[last[item]] += gains.own * row.sum() + gained[item]


def clicked(inputs: ModelInputs) -> list[list[int]]:
    """The clicked items of each session, oldest first."""
    nodes, alias, lengths = (inputs[part].tolist() for part in (0, 1, 3))
    return [
        [items[node] for node in of_row[:length]]
        for items, of_row, length in zip(nodes, alias, lengths, strict=True)
    ]


def _open(gained: dict[int, float], selection: Selection) -> dict[int, float]:
    """Of clicked items those that may be answered."""
    excluded, allowed = set(selection.excluded), selection.allowed
    return {
        item: gain
        for item, gain in gained.items()
        if item not in excluded and (allowed is None or allowed[item - 1])
    }


def _scores(scan: FullScan, gains: Gains, session: Tensor, gained: Mapping[int, float]) -> Tensor:
    """Scores of clicked items with what they gain, float32 [n]."""
    products = scan.vectors(torch.tensor(list(gained))) @ session
    return torch.add(torch.tensor(list(gained.values())), products, alpha=1 + gains.own)


def _merged(rest: TopK, clicked: list[int], scores: Tensor, selection: Selection) -> TopK:
    """The best of what the scan found and of the clicked items: by score, then ascending item."""
    if selection.handicap is not None:
        scores = scores - selection.handicap[torch.tensor(clicked) - 1]
    both = zip((*rest.scores.tolist(), *scores.tolist()), (*rest.items.tolist(), *clicked), strict=True)
    ranked = sorted(both, key=lambda one: (-one[0], one[1]))[: selection.k]
    return TopK(torch.tensor([item for _, item in ranked]), torch.tensor([score for score, _ in ranked]))
