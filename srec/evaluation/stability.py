"""How much an answer changes when its session changes by one click, or its training by the seed.

Overlap of two answers A and B, their best items best first:

- Jaccard of the first 10: |A and B| / |A or B|;
- rank-biased overlap (Webber, Moffat and Zobel, ACM TOIS 2010), p = 0.9, extrapolated from the first 20
  (equation 32): with X_d the common items of both first d, X_k/k p^k + (1-p)/p sum_d X_d/d p^d.

Both are 1 for the same answer, be it empty, and 0 for answers without a common item. Every pair of answers
leaves out what was clicked in either of its two sessions: what is excluded is then the same, and no change by
itself.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from srec.data.dataset import Examples
from srec.evaluation.evaluate import best_items
from srec.evaluation.metrics import MAX_K
from srec.serving.ranker import Ranker
from srec.topk import Selection

PERSISTENCE: Final = 0.9  # p of rank-biased overlap
TOP: Final = 10  # items whose Jaccard is taken
SHORTEST: Final = 3  # clicks of a session that one is removed from, or two are swapped in
PAIRS: Final = 64  # pairs of sessions answered in one call
OVERLAPS: Final = ("rbo", "jaccard@10")

Change = Callable[[list[int], int, np.random.Generator], "list[int] | None"]
"""A session and the item that came next -> the changed session; None where it cannot be changed so."""
Overlaps = dict[str, NDArray[np.float64]]


def add(session: list[int], target: int, random: np.random.Generator) -> list[int] | None:  # noqa: ARG001
    """The true next click is added."""
    return [*session, target]


def remove(session: list[int], target: int, random: np.random.Generator) -> list[int] | None:  # noqa: ARG001
    """One click, each as likely, is removed."""
    if len(session) < SHORTEST:
        return None
    place = int(random.integers(len(session)))
    return session[:place] + session[place + 1 :]


def swap(session: list[int], target: int, random: np.random.Generator) -> list[int] | None:  # noqa: ARG001
    """Two neighbouring clicks on different items, each pair as likely, change places."""
    places = [i for i in range(len(session) - 1) if session[i] != session[i + 1]]
    if len(session) < SHORTEST or not places:
        return None
    place = places[int(random.integers(len(places)))]
    swapped = session.copy()
    swapped[place : place + 2] = session[place + 1], session[place]
    return swapped


CHANGES: Final[dict[str, Change]] = {"add": add, "remove": remove, "swap": swap}


@dataclass(frozen=True)
class Pair:
    """Two sessions whose answers are compared, and the place in the split of the example that they are of."""

    first: list[int]
    second: list[int]
    example: int

    @property
    def clicked(self) -> tuple[int, ...]:
        """What both answers leave out."""
        return tuple({*self.first, *self.second})


def changed_pairs(
    examples: Examples, change: str, sessions: int, max_clicks: int, seed: int = 0
) -> list[Pair]:
    """At most ``sessions`` sessions that can be changed, the same for every model, and each one's change.

    A model that sees ``max_clicks`` is asked about the newest so many: a change beyond would be none.
    """
    random = np.random.default_rng(seed)
    pairs: list[Pair] = []
    for index in random.permutation(len(examples)):
        session = examples.inputs[index][-max_clicks:]
        changed = CHANGES[change](session, int(examples.targets[index]), random)
        if changed is not None:
            pairs.append(Pair(session, changed, int(index)))
        if len(pairs) == sessions:
            break
    return pairs


def same_pairs(examples: Examples, sessions: int, seed: int = 0) -> list[Pair]:
    """At most ``sessions`` sessions, unchanged: for two models."""
    chosen = np.random.default_rng(seed).permutation(len(examples))[:sessions]
    return [Pair(examples.inputs[index], examples.inputs[index], int(index)) for index in chosen]


def overlaps(first: Ranker, second: Ranker, pairs: Sequence[Pair]) -> Overlaps:
    """Compare the first ranker's answer to every first session with the second's to the second: [pairs]."""
    batches = list(_answered(first, second, pairs))
    left, right = (np.concatenate(side) for side in zip(*batches, strict=True))
    return {"rbo": rank_biased_overlap(left, right), "jaccard@10": jaccard(left[:, :TOP], right[:, :TOP])}


def rank_biased_overlap(left: NDArray[np.int32], right: NDArray[np.int32]) -> NDArray[np.float64]:
    """RBO of rows of answers, int32 [E, k] -> [E]; 0 stands behind an answer of fewer items.

    1 where both are empty, as for every other answer that stays the same.
    """
    depths = np.arange(1, left.shape[1] + 1)
    found = (left[:, :, np.newaxis] == right[:, np.newaxis, :]) & (left[:, :, np.newaxis] > 0)  # [E, k, k]
    common = found.cumsum(axis=1).cumsum(axis=2)[:, depths - 1, depths - 1]  # X_d, [E, k]
    length = np.maximum((left > 0).sum(axis=1), (right > 0).sum(axis=1))[:, np.newaxis]
    agreement = common / np.minimum(depths, np.maximum(length, 1))
    weights = (1 - PERSISTENCE) / PERSISTENCE * PERSISTENCE**depths
    overlap = agreement @ weights + agreement[:, -1] * PERSISTENCE ** depths[-1]
    return np.where(length[:, 0] == 0, 1.0, overlap)


def jaccard(left: NDArray[np.int32], right: NDArray[np.int32]) -> NDArray[np.float64]:
    """Common items over all items of rows of answers, int32 [E, k] -> [E]; 1 where both are empty."""
    found = (left[:, :, np.newaxis] == right[:, np.newaxis, :]) & (left[:, :, np.newaxis] > 0)
    common = found.sum(axis=(1, 2))
    union = (left > 0).sum(axis=1) + (right > 0).sum(axis=1) - common
    overlap: NDArray[np.float64] = np.divide(common, union, out=np.ones(len(left)), where=union > 0)
    return overlap


def _answered(
    first: Ranker, second: Ranker, pairs: Sequence[Pair]
) -> Iterator[tuple[NDArray[np.int32], NDArray[np.int32]]]:
    """Answers to both sides of the pairs, a batch at a time."""
    for start in range(0, len(pairs), PAIRS):
        batch = pairs[start : start + PAIRS]
        selections = [Selection(MAX_K, pair.clicked) for pair in batch]
        yield (
            best_items(first, [pair.first for pair in batch], selections),
            best_items(second, [pair.second for pair in batch], selections),
        )
