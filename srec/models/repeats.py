"""What clicked items gain in their scores, where visitors come back to what they have clicked.

RepeatNet (Ren et al., AAAI 2019, arXiv 1812.02646) decides by a session's state between repeating and
exploring. Here the same is a term of a clicked item's logit s_i, which any model that scores by products can
have; one softmax covers both:

    s_i + own * s_i + places[clicks since the last one on i] + counts[clicks on i]

These few numbers are not trained with the model, which soon knows its training sessions by heart and would
learn that nothing needs to be gained. ``srec.training.repeats`` fits them on validation.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from srec.models.layers import click_mask

COUNTS = 8  # clicks on one item above which more make no difference


class RepeatBonus(nn.Module):
    """One number a clicked item; before it is fitted, nothing.

    Attributes:
        places: by the clicks since the last one on the item, float32 [P]; the last number is for more, too.
        counts: by the clicks on the item, one to ``COUNTS`` or more, float32 [COUNTS].
        own: what part of its score an item gains; negative where clicks say more than the model, float32 [1].
    """

    places: Tensor
    counts: Tensor
    own: Tensor

    def __init__(self, max_clicks: int) -> None:
        """For sessions of at most ``max_clicks`` clicks."""
        super().__init__()
        self.register_buffer("places", torch.zeros(max_clicks))
        self.register_buffer("counts", torch.zeros(COUNTS))
        self.register_buffer("own", torch.zeros(1))

    def forward(self, scores: Tensor, nodes: Tensor, alias: Tensor, lengths: Tensor) -> Tensor:
        """Scores of a session graph's nodes [B, N] -> what each of them gains, [B, N]; 0 at padding."""
        place, count = places_and_counts(nodes, alias, lengths)
        fixed = at(self.places, place) + at(self.counts, count)
        return torch.addcmul(fixed, scores, self.own) * (nodes > 0)

    def raised(self, scores: Tensor, nodes: Tensor, alias: Tensor, lengths: Tensor) -> Tensor:
        """Scores of all items [B, V] -> the same with what the clicked ones gain."""
        columns = (nodes - 1).clamp(min=0)  # padding adds 0 to the first item
        gains: Tensor = self(scores.gather(1, columns), nodes, alias, lengths)
        return scores.scatter_add(1, columns, gains)

    def shared(self, shares: Tensor, items: Tensor, nodes: Tensor, alias: Tensor, lengths: Tensor) -> Tensor:
        """Shares of the clicks in the scores of ``items`` [B, n], [B, n, L] -> the same with the gains.

        What an item gains is the share of the last click on it.
        """
        same = (items.unsqueeze(2) == nodes.unsqueeze(1)).to(shares.dtype)  # [B, n, N]
        scores = (shares.sum(2).unsqueeze(1) @ same).squeeze(1)  # of the nodes that are asked for, [B, N]
        gains = same * self(scores, nodes, alias, lengths).unsqueeze(1)  # [B, n, N]
        place, _ = places_and_counts(nodes, alias, lengths)
        from_last = lengths.unsqueeze(1) - 1 - torch.arange(alias.size(1), device=alias.device)  # [B, L]
        last = (place.unsqueeze(2) == from_last.unsqueeze(1)).to(shares.dtype)  # [B, N, L]
        return torch.baddbmm(shares, gains, last)


def places_and_counts(nodes: Tensor, alias: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
    """Clicks since the last one on each node, and clicks on it less one: int64 [B, N] each, from 0."""
    clicks = torch.arange(alias.size(1), device=alias.device)
    here = alias.unsqueeze(2) == torch.arange(nodes.size(1), device=alias.device)  # [B, L, N]
    here = here & click_mask(alias, lengths).unsqueeze(2)
    last = (here * clicks.unsqueeze(1)).amax(1)  # [B, N]
    return lengths.unsqueeze(1) - 1 - last, (here.sum(1) - 1).clamp(min=0)


def at(values: Tensor, places: Tensor) -> Tensor:
    """``values`` [n] at ``places`` [B, N]; the last one behind the end."""
    return F.embedding(places.clamp(max=values.size(0) - 1), values.unsqueeze(1)).squeeze(2)
