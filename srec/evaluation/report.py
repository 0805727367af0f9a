"""The figures of one run, or of one artifact, on one split."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from srec.data.dataset import Dataset, Examples
from srec.errors import DataError, InputError
from srec.evaluation.beyond import ItemFacts, beyond_accuracy
from srec.evaluation.evaluate import Progress, Ranks, Times, answer_examples, rank_targets
from srec.evaluation.measured import Measured
from srec.evaluation.metrics import MAX_K, rank_intervals
from srec.serving.artifact import Artifact
from srec.serving.contract import Request
from srec.serving.predictor import Predictor
from srec.training.run import Run

ALONE: Final = 300  # examples that are answered in a call each, for the latency of a lone visitor


def evaluate_run(
    run: Run,
    split: str,
    data_folder: Path | None,
    exclude_clicked: bool | None,
    progress: Progress,
) -> tuple[dict[str, Any], Measured]:
    """Measure a run on ``validation`` or ``test``.

    On validation the model that validation selected is measured, on test the served one. Clicked items are
    left out for reviews, as they are in answers, and kept for session files, as the papers do, unless said.

    Returns:
        The metrics as fractions, their 95 % bootstrap intervals, metrics by session length, what answers are
        like beyond being right, milliseconds of the very calls, and what was measured; and every example's
        rank.
    """
    data = run.data(data_folder)
    data.verify()
    ranks, excluded = rank_run(run, data, split, exclude_clicked, progress, alone=ALONE)
    measured = Measured.of(run.settings.model, data, split, excluded, ranks)
    return {
        "model": run.settings.model,
        "preset": run.settings.preset,
        "seed": run.settings.training.seed,
        "split": split,
        "exclude_clicked": excluded,
        **_figures(ranks, measured.groups, data, full=split == "test" and run.refitted),
        "run": run.digest,
        "data": data.digest,
    }, measured


def evaluate_artifact(
    artifact: Artifact, data: Dataset, split: str, exclude_clicked: bool | None, progress: Progress
) -> tuple[dict[str, Any], Measured]:
    """Measure an artifact through the predictor that the worker calls: appids in, answers' appids out.

    Returns:
        As ``evaluate_run``; the milliseconds hold everything from request to answer but HTTP.

    Raises:
        DataError: the artifact's model was trained on other data.
        InputError: its model has seen the validation examples in training.
    """
    about = artifact.manifest["run"]
    if data.digest != about["data"]:
        raise DataError(
            f"{data.folder} is not the data that the model of {artifact.folder} was trained on "
            f"(digest {data.digest[:12]}, trained on {about['data'][:12]}): name the right folder with --data"
        )
    refit = about["settings"]["training"]["refit"]
    refitted = data.kind == "sessions" if refit is None else refit
    if split == "validation" and refitted:
        raise InputError(
            f"the model of {artifact.folder} was trained once more on training and validation: "
            "take --split test, or the run with --run"
        )
    data.verify()
    examples = examples_of(data, split)
    excluded = data.kind == "reviews" if exclude_clicked is None else exclude_clicked
    ask = _Asked(artifact.predictor(), data, excluded)
    ranks = answer_examples(ask, examples, progress, ALONE)
    measured = Measured.of(artifact.manifest["model"], data, split, excluded, ranks)
    return {
        "model": artifact.manifest["model"],
        "preset": about["settings"]["preset"],
        "backend": artifact.manifest["backend"],
        "split": split,
        "exclude_clicked": excluded,
        **_figures(ranks, measured.groups, data, full=refitted),
        "artifact": artifact.manifest["digest"],
        "run": about["digest"],
        "data": data.digest,
    }, measured


def rank_run(
    run: Run,
    data: Dataset,
    split: str,
    exclude_clicked: bool | None,
    progress: Progress,
    *,
    alone: int = 0,
) -> tuple[Ranks, bool]:
    """Ranks of a run's answers to a split, and whether clicked items were left out."""
    if exclude_clicked is None:
        exclude_clicked = data.kind == "reviews"
    model = run.model(split == "validation")
    examples = examples_of(data, split, model.needs_times)
    ranker = run.ranker(split == "validation", model)
    return rank_targets(ranker, examples, exclude_clicked, progress, alone), exclude_clicked


def examples_of(data: Dataset, split: str, times: bool = False) -> Examples:
    """The examples of a split; ``InputError`` where there are none."""
    examples = data.examples(split, times)
    if not len(examples):
        raise InputError(
            f"{data.folder} has no {split} examples: prepare it with more --{split}-days or more reviews"
        )
    return examples


class _Asked:
    """Items -> request -> answer -> items, through the predictor."""

    def __init__(self, predictor: Predictor, data: Dataset, exclude_clicked: bool) -> None:
        self.predictor, self.vocabulary = predictor, data.vocabulary
        self.exclude_clicked = exclude_clicked

    def __call__(self, sessions: Sequence[list[int]], times: Times) -> NDArray[np.int32]:
        """Answer, [B, MAX_K]; requests carry no times."""
        appid = self.vocabulary.appid
        requests = [
            Request(appids=[appid(i) for i in session], k=MAX_K, exclude_clicked=self.exclude_clicked)
            for session in sessions
        ]
        answers = np.zeros((len(sessions), MAX_K), np.int32)
        for row, answer in zip(answers, self.predictor.answer(requests, [""] * len(requests)), strict=True):
            items = self.vocabulary.items([form["appid"] for form in answer["items"]])
            row[: len(items)] = items
        return answers


def _figures(ranks: Ranks, groups: NDArray[np.int64], data: Dataset, full: bool) -> dict[str, Any]:
    facts = ItemFacts.of(data, full)
    return {
        "examples": len(ranks.ranks),
        **ranks.metrics(),
        "intervals_95": rank_intervals(ranks.ranks, groups),
        "intervals_by": "visitor" if data.kind == "reviews" else "session",
        "by_length": ranks.metrics_by_length(),
        **beyond_accuracy(ranks.answers, facts),
        "distance_by": facts.by,
        **ranks.latency(),
        "alone": len(ranks.alone),
        "threads": torch.get_num_threads(),
        "mean_clicks": float(np.mean(ranks.lengths)),
    }
