"""The evaluator asks an artifact as the worker does, and finds what the run's own model finds."""

import pytest

from srec.data.dataset import Dataset
from srec.errors import DataError, InputError
from srec.evaluation.metrics import METRICS
from srec.evaluation.report import evaluate_artifact, evaluate_run
from srec.export.pipeline import export_run
from srec.serving.artifact import Artifact
from srec.training.run import Run


@pytest.fixture(scope="module")
def artifact(straight: Run, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    folder = tmp_path_factory.mktemp("exported") / "artifact"
    export_run(straight, folder, "fast")
    return Artifact(folder)


@pytest.mark.parametrize("exclude", [None, True])
def test_the_served_path_has_the_figures_of_the_run(
    straight: Run, artifact: Artifact, sessions: Dataset, exclude: bool | None
) -> None:
    of_run, _ = evaluate_run(straight, "test", None, exclude, lambda *_: None)
    served, measured = evaluate_artifact(artifact, sessions, "test", exclude, lambda *_: None)
    shared = (*METRICS, "coverage@20", "distance@10", "log_clicks@5", "examples", "run")
    assert {name: served[name] for name in shared} == pytest.approx({name: of_run[name] for name in shared})
    assert served["backend"] == "fast"
    assert len(measured.ranks) == served["examples"]
    assert 0 < served["alone_p50_ms"] <= served["alone_p99_ms"]


def test_refusals(artifact: Artifact, sessions: Dataset, reviews: Dataset) -> None:
    with pytest.raises(InputError, match="trained once more on training and validation"):
        evaluate_artifact(artifact, sessions, "validation", None, lambda *_: None)
    with pytest.raises(DataError, match="is not the data that the model of"):
        evaluate_artifact(artifact, reviews, "test", None, lambda *_: None)
