"""Which weights blend two models best: every mixture of them is tried on validation, in one pass of both."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from srec.data.dataset import Examples
from srec.errors import InputError, nearest
from srec.evaluation.evaluate import LENGTH_GROUPS, Progress
from srec.evaluation.metrics import MAX_K, METRICS, metrics
from srec.graph.inputs import model_inputs
from srec.graph.session import pad_clicks
from srec.models.blend import Blend, LengthGroup
from srec.serving.ranker import Ranker

MODES: Final = ("blended", "routed")
PREFERENCES: Final = ("best", "steady")
WEIGHTS: Final = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
SHARPNESS: Final = (0.25, 0.5, 0.75, 1.0, 2.0, 4.0)
LONGEST_ROUTED: Final = 6  # clicks up to which all sessions may go to the second model
BATCH: Final = 64


@dataclass(frozen=True)
class BlendWish:
    """What a person asks of a blend.

    Attributes:
        mode: ``blended``: a weight a length group; ``routed``: the second model answers the short sessions.
        short_clicks: with ``routed``, up to how many clicks; None: validation chooses.
        penalty: of popular items; None: validation chooses.
        select_by: the metric that chooses.
        examples: validation examples that are looked at, drawn evenly.
        prefer: with ``blended``, ``best`` by that metric, or ``steady``: the mixture whose answers change
            least with a click (``srec.training.blend_steady``), one for all lengths, since a weight for each
            is chosen by fewer examples than it takes to tell two apart.
        keep: with ``steady``, which mixtures qualify: those with this share of what the best one gains on the
            better of both models alone, or more. 1 is the best one, 0 the steadiest that loses nothing.
    """

    mode: str = "blended"
    short_clicks: int | None = None
    penalty: float | None = 0.0
    select_by: str = "mrr@20"
    examples: int = 10_000
    prefer: str = "best"
    keep: float = 0.5


def checked(wish: BlendWish) -> BlendWish:
    """What a person asks for; ``InputError`` for unknown names, and for what does not go together."""
    for option, value, known in (
        ("--mode", wish.mode, MODES),
        ("--select-by", wish.select_by, METRICS),
        ("--prefer", wish.prefer, PREFERENCES),
    ):
        if value not in known:
            raise InputError(f"{option} {value}{nearest(value, known)}: known are {', '.join(known)}")
    if wish.short_clicks is not None and wish.mode != "routed":
        raise InputError(f"--short-clicks {wish.short_clicks} goes with --mode routed")
    if wish.prefer != "best" and wish.mode != "blended":
        raise InputError(f"--prefer {wish.prefer} goes with --mode blended: a route has no weights")
    if wish.keep != BlendWish.keep and wish.prefer != "steady":
        raise InputError(f"--keep {wish.keep} goes with --prefer steady")
    return wish


@dataclass(frozen=True)
class Trials:
    """Ranks of the right items for every weight and sharpness that was tried.

    Attributes:
        tried: weight of the first model and sharpness of the second, [T].
        ranks: from 1, int64 [T, E].
        lengths: clicks of each example, int64 [E].
        steadiness: of the answers, 0 to 1, float64 [T]; empty where nobody asked.
    """

    tried: Sequence[tuple[float, float]]
    ranks: NDArray[np.int64]
    lengths: NDArray[np.int64]
    steadiness: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))

    def choose(self, wish: BlendWish) -> tuple[LengthGroup, ...]:
        """Pick the groups that ``wish`` asks for."""
        if wish.mode == "routed":
            clicks = wish.short_clicks if wish.short_clicks is not None else self._route(wish.select_by)
            routed = (LengthGroup(longest=clicks, weight=0),) if clicks else ()
            return (*routed, LengthGroup(weight=1))
        if wish.prefer == "steady":
            weight, sharpness = self._steadiest(wish)
            return (LengthGroup(weight=weight, sharpness=sharpness),)
        everything = self._best(np.ones(len(self.lengths), bool), wish.select_by)
        groups = []
        for low, high in LENGTH_GROUPS.values():
            inside = (self.lengths >= low) & (self.lengths <= high)
            weight, sharpness = self._best(inside, wish.select_by) if inside.any() else everything
            longest = int(high) if np.isfinite(high) else None
            groups.append(LengthGroup(longest=longest, weight=weight, sharpness=sharpness))
        return tuple(groups)

    def figures(self) -> list[dict[str, Any]]:
        """Recall and MRR at 20 of everything tried, by length."""
        found = []
        for name, (low, high) in LENGTH_GROUPS.items():
            inside = (self.lengths >= low) & (self.lengths <= high)
            for (weight, sharpness), ranks in zip(self.tried, self.ranks[:, inside], strict=True):
                if inside.any():
                    measured = {key: metrics(ranks)[key] for key in ("recall@20", "mrr@20")}
                    found.append({"clicks": name, "weight": weight, "sharpness": sharpness, **measured})
        return found

    def steady_figures(self, by: str) -> list[dict[str, float]]:
        """How steady and how good every mixture is over all lengths."""
        measured = zip(self.tried, self.steadiness.tolist(), self.ranks, strict=True)
        return [
            {"weight": weight, "sharpness": sharpness, "steadiness": steadiness, by: metrics(ranks)[by]}
            for (weight, sharpness), steadiness, ranks in measured
        ]

    def _best(self, inside: NDArray[np.bool_], by: str) -> tuple[float, float]:
        return self.tried[int(np.argmax([metrics(ranks[inside])[by] for ranks in self.ranks]))]

    def _steadiest(self, wish: BlendWish) -> tuple[float, float]:
        """Which changes least, of those that keep enough of the gain."""
        values = np.array([metrics(ranks)[wish.select_by] for ranks in self.ranks])  # [T]
        best, alone = values.max(), max(values[self.tried.index((weight, 1.0))] for weight in (1.0, 0.0))
        enough: list[int] = np.flatnonzero(values >= best - (1 - wish.keep) * (best - alone)).tolist()
        return self.tried[max(enough, key=lambda index: (self.steadiness[index], values[index]))]

    def _route(self, by: str) -> int:
        """Up to how many clicks the second model answers, 0 to ``LONGEST_ROUTED``."""
        first, second = (self.ranks[self.tried.index((weight, 1.0))] for weight in (1.0, 0.0))
        routed = [np.where(self.lengths <= n, second, first) for n in range(LONGEST_ROUTED + 1)]
        return int(np.argmax([metrics(ranks)[by] for ranks in routed]))


def try_weights(
    model: Blend,
    path: Ranker,
    examples: Examples,
    exclude_clicked: bool,
    progress: Progress,
) -> Trials:
    """Rank every example's target by every mixture of a blend's models; ``path`` has their neighbours."""
    tried = [(1.0, 1.0), (0.0, 1.0), *((w, g) for g in SHARPNESS for w in WEIGHTS)]
    lengths = np.diff(examples.inputs.offsets)
    ranks = np.zeros((len(tried), len(examples)), np.int64)
    order = np.argsort(lengths, kind="stable")
    for start in range(0, len(order), BATCH):
        batch = order[start : start + BATCH]
        sessions = [examples.inputs[index] for index in batch]
        inputs = model_inputs(pad_clicks(sessions, path.max_clicks), path.store.fetch, model.hops)
        targets = torch.from_numpy(examples.targets[batch].astype(np.int64))
        hidden = sessions if exclude_clicked else []
        for index, mixture in enumerate(mixtures(model, inputs, tried)):
            ranks[index, batch] = _ranks(mixture, targets, hidden).numpy()
        progress(min(start + BATCH, len(order)), len(order))
    return Trials(tried, ranks, np.minimum(lengths, path.max_clicks))


@torch.no_grad()
def mixtures(
    model: Blend, inputs: tuple[Tensor, ...], tried: Sequence[tuple[float, float]]
) -> Iterator[Tensor]:
    """Probabilities of all items by every mixture, [B, V] each."""
    one, other = model.log_distributions(torch.ones(1, 1), *inputs)
    first = one.exp()
    second = {g: (g * other).softmax(1) for g in {sharpness for _, sharpness in tried}}
    for weight, sharpness in tried:
        # In logarithms where one model answers alone: what is rare must keep its order, too.
        alone = {1.0: one, 0.0: other}
        yield alone[weight].clone() if weight in alone else torch.lerp(second[sharpness], first, weight)


def _ranks(scores: Tensor, targets: Tensor, hidden: Sequence[list[int]]) -> Tensor:
    """Where the targets stand, from 1, or 0 behind ``MAX_K``, int64 [B]; equal scores by ascending item."""
    for row, session in zip(scores, hidden, strict=False):
        row[torch.tensor(session) - 1] = -torch.inf
    column = (targets - 1).unsqueeze(1)  # [B, 1]
    reached = scores.gather(1, column)
    before = torch.arange(scores.size(1)) < column
    ranks = 1 + (scores > reached).sum(1) + ((scores == reached) & before).sum(1)
    return ranks * ((ranks <= MAX_K) & (reached.squeeze(1) > -torch.inf))
