"""SR-GNN as it is served: it borrows from the store, and needs no times, since no request carries any."""

from pathlib import Path

import pytest
import torch

from srec.data.dataset import Dataset
from srec.errors import InputError
from srec.export.pipeline import export_run
from srec.serving.artifact import Artifact
from srec.serving.contract import Request
from srec.training.run import Run
from srec.training.settings import resolve
from tests.training.small import trained

SMALL = {"dim": "8", "epochs": "1", "batch_size": "100", "max_clicks": "10"}


def run_of(data: Dataset, out: Path, **changes: str) -> Run:
    return trained(data, out, resolve("sr-gnn", "paper", SMALL | changes))


@pytest.mark.parametrize("backend", ["fast", "torchscript"])
def test_a_model_that_borrows_answers_as_trained(backend: str, reviews: Dataset, tmp_path: Path) -> None:
    run = run_of(reviews, tmp_path / "RUN", borrow_up_to="2", time_gaps="optional", scoring="cosine")
    manifest = export_run(run, tmp_path / "ARTIFACT", backend)
    assert manifest["hops"] == 1
    assert manifest["proof"]["sessions"] > 0
    appids = reviews.vocabulary.appids.tolist()[:2]
    answer = Artifact(tmp_path / "ARTIFACT").predictor().answer([Request(appids=appids, k=3)], ["a"])[0]
    assert answer["source"] == "sr-gnn"
    items = torch.tensor(reviews.vocabulary.items([form["appid"] for form in answer["items"]]))
    scores = run_scores(run, reviews.vocabulary.items(appids))
    expected = scores[items - 1].tolist()
    assert [form["score"] for form in answer["items"]] == pytest.approx(expected, rel=1e-4)


def run_scores(run: Run, items: list[int]) -> torch.Tensor:
    return run.ranker().scores([items])[0]


@pytest.mark.parametrize("variant", ["exact", "distilled"])
def test_a_model_that_needs_times_is_not_exported(variant: str, reviews: Dataset, tmp_path: Path) -> None:
    run = run_of(reviews, tmp_path / "RUN", time_gaps="required")
    with pytest.raises(InputError, match=r"needs the times between clicks.*time_gaps=optional"):
        export_run(run, tmp_path / "ARTIFACT", "torchscript", variant_name=variant)
    assert not (tmp_path / "ARTIFACT").exists()
