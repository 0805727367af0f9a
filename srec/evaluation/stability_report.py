"""Stability of a run, or of several that differ in the seed only."""

import itertools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from srec.data.dataset import Dataset
from srec.data.groups import groups_of
from srec.errors import InputError
from srec.evaluation.metrics import bootstrap_intervals
from srec.evaluation.report import examples_of
from srec.evaluation.stability import (
    CHANGES,
    OVERLAPS,
    Overlaps,
    Pair,
    changed_pairs,
    overlaps,
    same_pairs,
)
from srec.serving.ranker import Ranker
from srec.training.run import FIRST, SECOND, Run


def stability_of_runs(
    runs: Sequence[Run],
    split: str,
    sessions: int,
    data_folder: Path | None,
    progress: Callable[[int, int], None],
) -> dict[str, Any]:
    """Overlap of answers to a session and to its change, and of the answers of every two of the runs.

    A session counts by its mean over the runs, or over the pairs of runs; the intervals resample
    the sessions or visitors that they are prefixes of.

    Args:
        runs: one model, trained with one or more seeds.
        split: ``validation`` or ``test``.
        sessions: how many sessions of the split, the same for every model.
        data_folder: DATA, where it has moved.
        progress: told how many comparisons of how many are done.

    Raises:
        InputError: the runs differ in more than the seed, or the model reads times, which changes lack.
    """
    data = runs[0].data(data_folder)
    _check_alike(runs)
    rankers, groups = [_ranker(run, split) for run in runs], groups_of(data, split)
    work = _comparisons(rankers, data, split, sessions)
    total, done = sum(len(of_kind) for of_kind in work.values()), 0
    found: dict[str, Any] = {}
    for kind, of_kind in work.items():
        measured, examples = [], list[int]()  # the same of all comparisons of a kind
        for first, second, pairs in of_kind:
            if pairs:
                measured.append(overlaps(first, second, pairs))
                examples = [pair.example for pair in pairs]
            done += 1
            progress(done, total)
        found[kind] = _summary(measured, groups[examples])
    return {
        "model": runs[0].settings.model,
        "preset": runs[0].settings.preset,
        "split": split,
        "seeds": [run.settings.training.seed for run in runs],
        **found,
        "excluded": "what was clicked in either session",
        "runs": [run.digest for run in runs],
        "data": data.digest,
    }


def _comparisons(
    rankers: Sequence[Ranker], data: Dataset, split: str, sessions: int
) -> dict[str, list[tuple[Ranker, Ranker, list[Pair]]]]:
    """For every kind of change who answers what."""
    examples, max_clicks = examples_of(data, split), rankers[0].max_clicks
    work = {}
    for change in CHANGES:
        pairs = changed_pairs(examples, change, sessions, max_clicks)
        work[change] = [(ranker, ranker, pairs) for ranker in rankers]
    same = same_pairs(examples, sessions)
    work["seed"] = [(first, second, same) for first, second in itertools.combinations(rankers, 2)]
    return work


def _summary(measured: Sequence[Overlaps], groups: NDArray[np.int64]) -> dict[str, Any] | None:
    """Means, and intervals that resample ``groups`` [pairs]; None where nothing could be compared."""
    if not measured:
        return None
    each = {name: np.mean([one[name] for one in measured], axis=0) for name in OVERLAPS}
    means = {name: float(values.mean()) for name, values in each.items()}
    intervals = bootstrap_intervals(each, OVERLAPS, groups)
    return {"sessions": len(each["rbo"]), **means, "intervals_95": intervals}


def _ranker(run: Run, split: str) -> Ranker:
    model = run.model(split == "validation")
    if model.needs_times:
        raise InputError(f"{run.folder}: {model.name} reads the clicks' times, which a changed session lacks")
    return run.ranker(split == "validation", model)


def _check_alike(runs: Sequence[Run]) -> None:
    first, *others = [_without_seed(run) for run in runs]
    for run, settings in zip(runs[1:], others, strict=True):
        different = [name for name in first if settings.get(name) != first[name]]
        if different:
            raise InputError(
                f"{run.folder} differs from {runs[0].folder} in {', '.join(different)}: "
                "give runs that differ in the seed only"
            )


def _without_seed(run: Run) -> dict[str, Any]:
    """What was asked for; a blend's weights are what came of it, and may differ with the seed."""
    settings = run.settings
    asked = run.record.get("blend", settings.parameters)
    wish = {name: value for name, value in asked.items() if name not in (FIRST, SECOND)}
    return {
        "data": run.record["data"]["digest"],
        "model": settings.model,
        **wish,
        **settings.training.model_dump(exclude={"seed"}),
    }
