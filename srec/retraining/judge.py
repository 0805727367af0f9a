"""Is the new model good enough? Both models on the new validation, as they would serve."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from srec.data.dataset import Dataset, Examples
from srec.data.dataset import Sequences as ItemLists
from srec.data.groups import groups_of
from srec.evaluation.compare import compare
from srec.evaluation.evaluate import rank_targets
from srec.evaluation.measured import Measured
from srec.evaluation.metrics import metrics
from srec.evaluation.report import examples_of
from srec.ids import Vocabulary
from srec.training.run import Run

FEW = 20  # validation examples below which no judgement is made


@dataclass(frozen=True)
class Verdict:
    """What was measured, and why the new model is refused; None accepts it."""

    new: dict[str, float]
    old: dict[str, float] | None
    difference: dict[str, Any] | None
    refused: str | None


def judge(new: Run, old: Run | None, data: Dataset, metric: str, tolerance: float) -> Verdict:
    """Refuse the new run if it loses more than a share of the old one's figure on the new validation.

    Args:
        new: a run on ``data``.
        old: the run that serves, on earlier data; its answers are of the games that it knows.
        data: whose validation both are asked.
        metric: of ``srec.evaluation.metrics.METRICS``.
        tolerance: the share of the old figure that may be lost, 0 to 1.
    """
    ranks = ranks_on(new, data)
    found = metrics(ranks)
    few = (
        f"validation has {len(ranks)} examples, fewer than {FEW}: it tells nothing"
        if len(ranks) < FEW
        else None
    )
    if old is None:
        return Verdict(found, None, None, few)
    before = ranks_on(old, data)
    facts = {"model": "", "data": data.digest, "split": "validation", "exclude_clicked": "true"}
    groups = groups_of(data, "validation")
    paired = compare([Measured(facts, ranks, groups)], [Measured(facts, before, groups)])[metric]
    worse = None
    if paired["first"] < paired["second"] * (1 - tolerance):
        worse = (
            f"{metric} is {paired['first']:.4f}, the current model's {paired['second']:.4f} on the same "
            f"examples: more than {tolerance:.0%} worse"
        )
    return Verdict(found, metrics(before), paired, few or worse)


def ranks_on(run: Run, data: Dataset, split: str = "validation") -> NDArray[np.int64]:
    """Where the run ranks the targets of a split of ``data``, 0 where not among the first 20, int64 [E].

    Games are matched by appid. Clicks on games that the run does not know are left out, as in serving; a
    target that it does not know, or a session of which it knows nothing, counts as not found.
    """
    model = run.model()
    examples = examples_of(data, split, model.needs_times)
    known, rankable = _translated(examples, data.vocabulary, Vocabulary(run.items()["appid"].to_pylist()))
    ranks = np.zeros(len(examples), np.int64)
    if len(known):
        ranks[rankable] = rank_targets(run.ranker(model=model), known, exclude_clicked=True).ranks
    return ranks


def _translated(examples: Examples, data: Vocabulary, run: Vocabulary) -> tuple[Examples, NDArray[np.int64]]:
    """Examples in the run's items, and the places of those that it can rank."""
    items = np.array([0, *run.items(data.appids.tolist())], np.int32)  # of the data's items
    inputs, targets = examples.inputs, items[examples.targets]
    clicks = items[inputs.items]
    kept = np.concatenate([[0], np.cumsum(clicks > 0)])
    lengths = kept[inputs.offsets[1:]] - kept[inputs.offsets[:-1]]
    rankable = np.flatnonzero((lengths > 0) & (targets > 0))
    places = [np.arange(inputs.offsets[i], inputs.offsets[i + 1]) for i in rankable]
    chosen = _known(places, clicks)
    offsets = np.concatenate([[0], np.cumsum(lengths[rankable])]).astype(np.int64)
    times = None if inputs.times is None else inputs.times[chosen]
    return Examples(ItemLists(clicks[chosen], offsets, times), targets[rankable]), rankable


def _known(places: Sequence[NDArray[np.int64]], clicks: NDArray[np.int32]) -> NDArray[np.int64]:
    """The places whose click is known, end to end."""
    every = np.concatenate(places) if places else np.empty(0, np.int64)
    return every[clicks[every] > 0]
