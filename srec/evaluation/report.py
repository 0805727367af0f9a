"""The figures of one run on one split."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from srec.errors import InputError
from srec.evaluation.evaluate import rank_targets
from srec.evaluation.metrics import METRICS, bootstrap_intervals, gains
from srec.serving.ranker import EagerScorer, Ranker
from srec.stores.array import ArrayStore
from srec.training.run import Run


def evaluate_run(
    run: Run,
    split: str,
    data_folder: Path | None,
    exclude_clicked: bool | None,
    progress: Callable[[int, int], None],
) -> dict[str, Any]:
    """Measure a run on ``validation`` or ``test``.

    On validation the model that validation selected is measured, on test the served one. Clicked items are
    left out for reviews, as they are in answers, and kept for session files, as the papers do, unless said.

    Returns:
        The metrics as fractions, their 95 % bootstrap intervals, metrics by session length, the mean
        milliseconds of the ranking calls, and what was measured.
    """
    data = run.data(data_folder)
    data.verify()
    examples = data.examples(split)
    if not len(examples):
        raise InputError(
            f"{data.folder} has no {split} examples: prepare it with more --{split}-days or more reviews"
        )
    if exclude_clicked is None:
        exclude_clicked = data.kind == "reviews"
    selection = split == "validation"
    model, graph = run.model(selection), run.graph(selection)
    ranker = Ranker(EagerScorer(model, model.hops), ArrayStore(graph), run.settings.training.max_clicks)
    ranks = rank_targets(ranker, examples, exclude_clicked, progress)
    return {
        "model": run.settings.model,
        "preset": run.settings.preset,
        "split": split,
        "examples": len(examples),
        "exclude_clicked": exclude_clicked,
        **ranks.metrics(),
        "intervals_95": bootstrap_intervals(gains(ranks.ranks), METRICS),
        "by_length": ranks.metrics_by_length(),
        "milliseconds_an_example": 1000 * ranks.seconds / len(ranks.ranks),
        "mean_clicks": float(np.mean(ranks.lengths)),
        "run": run.digest,
        "data": data.digest,
    }
