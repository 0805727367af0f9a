"""Games without a training click among the answers: put forward a little, and at most a share of each answer.

Their vectors come from content (``srec.training.new_games``), so the ordinary path scores them. What is added
here: a bonus on their scores, since no popularity speaks for them, and an exact limit on how many of the k
games of an answer they may be.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from srec.topk import Selection, TopK

Rank = Callable[[Sequence[int], Sequence[Selection]], list[TopK]]
"""Places of sessions in a batch, a selection each -> their best items."""


@dataclass(frozen=True)
class NewGames:
    """Which items are new, and how they are treated.

    Attributes:
        new: bool [V].
        bonus: what is added to their scores.
        share: of the k games of an answer at most floor(share * k) are new.
    """

    new: Tensor
    bonus: float
    share: float

    def most(self, k: int) -> int:
        """How many of k games may be new."""
        return math.floor(self.share * k + 1e-9)  # 0.29 * 100 is 28.999...

    def favour(self, selection: Selection) -> Selection:
        """The same selection with the bonus."""
        handicap = self.new * -self.bonus
        if selection.handicap is not None:
            handicap = handicap + selection.handicap
        return selection._replace(handicap=handicap)

    def rank(self, rank: Rank, selections: Sequence[Selection]) -> list[TopK]:
        """The best items of every session, exactly, with the bonus and under the limit."""
        return self.limited(rank, [self.favour(selection) for selection in selections])

    def limited(self, rank: Rank, selections: Sequence[Selection]) -> list[TopK]:
        """The same without the bonus.

        The best of all is asked for first. Where it holds too many new games, the first ones of them are
        the best new games there are; the rest of the answer is the best of the others.
        """
        found = rank(range(len(selections)), selections)
        over = [
            place for place, best in enumerate(found) if self._count(best) > self.most(selections[place].k)
        ]
        if over:
            others = rank(over, [self._without_new(selections[place]) for place in over])
            for place, rest in zip(over, others, strict=True):
                found[place] = self._merged(found[place], rest, selections[place].k)
        return found

    def _count(self, best: TopK) -> int:
        return int(self.new[best.items - 1].sum())

    def _without_new(self, selection: Selection) -> Selection:
        allowed = ~self.new if selection.allowed is None else selection.allowed & ~self.new
        return selection._replace(allowed=allowed)

    def _merged(self, best: TopK, others: TopK, k: int) -> TopK:
        new = self.new[best.items - 1].nonzero().squeeze(1)[: self.most(k)]
        items = torch.cat([best.items[new], others.items])
        scores = torch.cat([best.scores[new], others.scores])
        by_item = items.argsort()
        order = by_item[scores[by_item].argsort(descending=True, stable=True)][:k]
        return TopK(items[order], scores[order])
