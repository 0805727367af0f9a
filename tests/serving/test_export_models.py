"""Every model that scores by a product, from training to an artifact that answers, on DATA of seconds."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from srec.data.dataset import Dataset
from srec.errors import InputError
from srec.export.pipeline import export_run
from srec.models import MODELS
from srec.serving.artifact import Artifact
from srec.serving.contract import Request
from srec.training.run import Run
from srec.training.settings import resolve
from tests.training.small import prepare_cycle, prepare_log, quick, trained

NEURAL = sorted(name for name, model in MODELS.items() if model.trained_by_gradient)
FORMS = [*((name, "cosine") for name in NEURAL), ("gru4rec", "dot"), ("fpmc", "dot")]
COUNTING = sorted(set(MODELS) - set(NEURAL))
DIM, ITEMS = 8, 30


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return prepare_cycle(tmp_path_factory.mktemp("cycle"), count=80)


def trained_model(name: str, data: Dataset, folder: Path, **more: object) -> Run:
    settings = {"dim": DIM, "batch_size": 50, "epochs": 1, "refit": "false", "max_clicks": 9, **more}
    return trained(data, folder / "run", resolve(name, "best", {k: str(v) for k, v in settings.items()}))


@pytest.mark.parametrize(("name", "scoring"), FORMS)
def test_a_neural_model_is_served_by_the_fast_backend_and_by_torchscript(
    name: str, scoring: str, data: Dataset, tmp_path: Path
) -> None:
    """The export itself compares scores, rankings and shares with the trained model's."""
    run = trained_model(name, data, tmp_path, scoring=scoring)
    sessions = [Request(appids=[10, 20, 10], explain=True), Request(appids=[300])]
    answers = []
    for backend in ("fast", "torchscript"):
        manifest = export_run(run, tmp_path / backend, backend)
        artifact = Artifact(tmp_path / backend)
        assert artifact.self_test() > 0
        assert manifest["proof"]["sessions"] > 100
        answers.append(artifact.predictor().answer(sessions, ["a", "b"]))
    fast, plain = answers
    for left, right in zip(fast, plain, strict=True):
        assert left["source"] == name
        assert [item["appid"] for item in left["items"]] == [item["appid"] for item in right["items"]]
    assert all(set(item["because"]) <= {10, 20} for item in fast[0]["items"])
    table = load_file(tmp_path / "fast" / "tables.safetensors")["items"]
    assert table.shape == (ITEMS + 1, run.model().item_vectors().size(1))
    assert (tmp_path / "fast" / "encoder.pt").read_bytes().find(table[1:].numpy().tobytes()) < 0


@pytest.mark.parametrize("name", COUNTING)
def test_a_model_that_counts_is_served_too(name: str, data: Dataset, tmp_path: Path) -> None:
    if name == "tags":
        data = prepare_log(tmp_path)
    run = trained(data, tmp_path / "run", resolve(name, "best", {"refit": "false", "max_clicks": "9"}))
    export_run(run, tmp_path / "artifact", "fast")
    artifact = Artifact(tmp_path / "artifact")
    assert artifact.self_test() > 0
    assert artifact.predictor().answer([Request(appids=[10, 20])], ["a"])[0]["source"] == name


def test_a_model_that_needs_times_is_not_served(tmp_path: Path) -> None:
    settings = quick("sr-gnn", dim=DIM, epochs=1, time_gaps="required")
    run = trained(prepare_log(tmp_path), tmp_path / "run", settings)
    with pytest.raises(InputError, match=r"needs the times.*--set time_gaps=optional"):
        export_run(run, tmp_path / "artifact", "fast")
