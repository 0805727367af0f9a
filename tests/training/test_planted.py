"""Planted data whose right answer is known: every item is followed by the next one of a circle."""

from pathlib import Path

import pytest

from srec.data.dataset import Dataset
from srec.evaluation.report import evaluate_run
from tests.training.small import ITEMS, quick, trained

LUCK = 5 / ITEMS


@pytest.mark.parametrize("split", ["validation", "test"])
def test_the_model_finds_what_popularity_cannot(split: str, sessions: Dataset, tmp_path: Path) -> None:
    recall = {}
    for model in ("pop", "markov", "gce-gnn"):
        settings = quick(model) if model != "gce-gnn" else quick(dim=16, epochs=6, learning_rate=0.01)
        run = trained(sessions, tmp_path / model, settings)
        recall[model] = evaluate_run(run, split, None, None, lambda *_: None)[0]["recall@5"]
    assert recall["pop"] < 2 * LUCK
    assert recall["markov"] > 0.8
    assert recall["gce-gnn"] > 0.8
