import itertools
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from srec.data.dataset import Dataset
from srec.errors import DataError, InputError
from srec.models import MODELS
from srec.prepare import SessionSettings, prepare_sessions
from srec.training import train as training
from srec.training.run import Run
from srec.training.train import train
from tests.training.small import Told, prepare_cycle, quick, trained


def weights_of(run: Path, name: str = "model") -> dict[str, torch.Tensor]:
    return load_file(run / f"{name}.safetensors")


def assert_equal_weights(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> None:
    assert one.keys() == other.keys()
    for name, tensor in one.items():
        assert torch.equal(tensor, other[name]), name


@pytest.mark.parametrize("model", sorted(MODELS.keys() - {"tags"}))
def test_every_model_trains_on_session_files_and_is_refitted(
    model: str, sessions: Dataset, tmp_path: Path
) -> None:
    report = Told()
    run = trained(sessions, tmp_path / "RUN", quick(model), report)
    assert run.refitted
    if model == "gce-gnn":
        assert not weights_of(run.folder)["items.weight"][0].any()  # padding learns nothing
    assert run.graph().digest == sessions.graph(full=True).digest
    assert run.graph(selection=True).digest == sessions.graph().digest
    assert run.record["data"]["digest"] == sessions.digest
    assert 0 < run.record["validation"]["mrr@20"] <= 1
    assert [path.name for path in tmp_path.iterdir()] == ["RUN"]  # nothing unfinished stays


@pytest.mark.parametrize(("vectors", "width"), [("matrix", 5), ("factors", 3)])
def test_the_tag_recommender_takes_the_tags_of_the_reviews_games(
    vectors: str, width: int, reviews: Dataset, sessions: Dataset, tmp_path: Path
) -> None:
    run = trained(reviews, tmp_path / "RUN", quick("tags", tags=vectors, dim=3))
    assert run.model().item_vectors().shape == (reviews.n_items, width + 1)
    assert 0 < run.record["validation"]["mrr@20"] <= 1
    with pytest.raises(InputError, match="needs tags, and this DATA has none"):
        trained(sessions, tmp_path / "NONE", quick("tags"))


@pytest.mark.parametrize("preset", ["tiny", "paper"])
def test_reviews_are_trained_once_with_their_metadata(preset: str, reviews: Dataset, tmp_path: Path) -> None:
    run = trained(reviews, tmp_path / "RUN", quick("gce-gnn", preset, dim=6, epochs=1))
    assert not run.refitted
    assert run.graph().digest == reviews.graph().digest
    features = load_file(run.folder / "features.safetensors")
    assert set(features) == ({"tags", "context"} if preset == "tiny" else set())
    if preset == "tiny":
        assert features["tags"].shape == (reviews.n_items + 1, 6)  # refactorised to the model's width


def test_the_seed_decides_the_run(sessions: Dataset, tmp_path: Path) -> None:
    digests = [
        trained(sessions, tmp_path / str(number), quick(epochs=1, seed=seed, refit=False)).digest
        for number, seed in enumerate((1, 1, 2))
    ]
    assert digests[0] == digests[1] != digests[2]


def plant(monkeypatch: pytest.MonkeyPatch, values: list[float]) -> None:
    """Let validation find ``values`` of mrr@20, epoch by epoch."""
    planted = iter(values)
    monkeypatch.setattr(training, "validate", lambda *_: {"mrr@20": next(planted)})


def test_refit_trains_from_scratch_for_the_chosen_epochs(
    sessions: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(monkeypatch, [0.3, 0.5, 0.4, 0.4])
    report = Told()
    run = trained(sessions, tmp_path / "RUN", quick(epochs=4), report)
    assert run.record["epochs"] == 2
    assert report.phases == ["select", "refit"]
    refitted = [record for record in report.epochs if record["phase"] == "refit"]
    assert [record["epoch"] for record in refitted] == [1, 2]
    assert refitted[0]["loss"] > run.record["history"][1]["loss"]  # from new weights, not from trained ones
    # What validation selected are the weights after the chosen epoch, not after the last one.
    plant(monkeypatch, [0.3, 0.5])
    short = trained(sessions, tmp_path / "SHORT", quick(epochs=2, refit=False))
    assert_equal_weights(weights_of(run.folder, "selection"), weights_of(short.folder))


def test_training_stops_when_validation_gets_no_better(
    sessions: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(monkeypatch, [0.3, 0.5, 0.4, 0.5, 0.49, 0.9, 0.9])
    run = trained(sessions, tmp_path / "RUN", quick(epochs=7, patience=3, refit=False, dim=2))
    assert [record["mrr@20"] for record in run.record["history"]] == [0.3, 0.5, 0.4, 0.5, 0.49]
    assert run.record["epochs"] == 2
    assert run.record["validation"] == {"mrr@20": 0.5}


def test_training_is_selected_by_the_metric_asked_for(
    sessions: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    planted = iter([{"mrr@20": 0.9, "recall@5": 0.1}, {"mrr@20": 0.1, "recall@5": 0.2}])
    monkeypatch.setattr(training, "validate", lambda *_: next(planted))
    run = trained(sessions, tmp_path / "RUN", quick(epochs=2, refit=False, dim=2, select_by="recall@5"))
    assert run.record["epochs"] == 2


@pytest.mark.parametrize("stop_in", [("select", 1), ("select", 2), ("select", 3), ("refit", 1), ("refit", 2)])
def test_a_resumed_training_ends_where_an_uninterrupted_one_does(
    stop_in: tuple[str, int], straight: Run, sessions: Dataset, tmp_path: Path
) -> None:
    out, settings = tmp_path / "RUN", straight.settings
    with pytest.raises(KeyboardInterrupt):
        train(sessions, settings, out, resume=False, report=Told(stop_in))
    assert not out.exists()
    report = Told()
    train(sessions, settings, out, resume=True, report=report)
    run = Run(out)
    first = report.epochs[0]
    assert (first["phase"], first["epoch"]) == stop_in  # what was done before is not done again
    assert_equal_weights(weights_of(out), weights_of(straight.folder))
    assert_equal_weights(weights_of(out, "selection"), weights_of(straight.folder, "selection"))
    assert run.digest == straight.digest
    assert losses(run) == losses(straight)
    assert [path.name for path in tmp_path.iterdir()] == ["RUN"]


def losses(run: Run) -> list[float]:
    return [record["loss"] for record in run.record["history"]]


@pytest.fixture
def interrupted(sessions: Dataset, tmp_path: Path) -> Path:
    """Where the second epoch of a training was interrupted: its RUN to be, and beside it a checkpoint."""
    with pytest.raises(KeyboardInterrupt):
        train(sessions, quick(), tmp_path / "RUN", resume=False, report=Told(("select", 2)))
    return tmp_path / "RUN"


def test_without_resume_training_starts_over(interrupted: Path, sessions: Dataset) -> None:
    report = Told()
    train(sessions, quick(), interrupted, resume=False, report=report)
    assert report.epochs[0]["epoch"] == 1


def test_another_training_is_not_resumed(interrupted: Path, sessions: Dataset, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"begun with other settings: train without --resume"):
        train(sessions, quick(dim=4), interrupted, resume=True, report=Told())
    (tmp_path / "other").mkdir()
    other = prepare_cycle(tmp_path / "other", count=60)
    with pytest.raises(InputError, match=r"begun on other data: train without --resume"):
        train(other, quick(), interrupted, resume=True, report=Told())


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        *itertools.product(
            (f"{part}.safetensors" for part in ("weights", "best", "first_moments", "second_moments")),
            ("cut", "missing"),
        ),
        ("progress.json", "cut"),
    ],
)
def test_a_damaged_checkpoint_is_named(name: str, damage: str, interrupted: Path, sessions: Dataset) -> None:
    file = interrupted.with_name(".RUN.training") / name
    content = file.read_bytes()
    file.unlink()
    if damage == "cut":
        file.write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match=rf"{name} .*without --resume|{name} is damaged"):
        train(sessions, quick(), interrupted, resume=True, report=Told())


def test_a_finished_run_is_replaced_only_by_a_finished_one(sessions: Dataset, tmp_path: Path) -> None:
    before = trained(sessions, tmp_path / "RUN", quick(epochs=1)).digest
    with pytest.raises(KeyboardInterrupt):
        train(sessions, quick(seed=5), tmp_path / "RUN", resume=False, report=Told(("select", 1)))
    assert Run(tmp_path / "RUN").digest == before
    train(sessions, quick(seed=5, epochs=1), tmp_path / "RUN", resume=False, report=Told())
    assert Run(tmp_path / "RUN").digest != before


@pytest.mark.parametrize("occupied", ["folder", "file"])
def test_what_is_no_run_is_never_replaced(occupied: str, sessions: Dataset, tmp_path: Path) -> None:
    out = tmp_path / "thesis"
    precious = out / "chapter.txt" if occupied == "folder" else out
    precious.parent.mkdir(exist_ok=True)
    precious.write_text("years of work")
    with pytest.raises(InputError, match=r"thesis exists and is no finished run: name another folder"):
        train(sessions, quick(), out, resume=False, report=Told())
    assert precious.read_text() == "years of work"


def test_a_diverging_training_says_what_to_lower(sessions: Dataset, tmp_path: Path) -> None:
    settings = quick(learning_rate=1, l2=1, scale=1e38, scoring="cosine", dropout_global=0)
    with pytest.raises(DataError, match=r"the loss became (nan|inf) in epoch 1, step \d+: lower .*=1\.0"):
        train(sessions, settings, tmp_path / "RUN", resume=False, report=Told())
    assert not (tmp_path / "RUN").exists()


def test_metadata_asked_for_but_not_there_is_named(sessions: Dataset, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"tags=true needs metadata.*--games"):
        train(sessions, quick("gce-gnn", "tiny"), tmp_path / "RUN", resume=False, report=Told())


def test_reviews_cannot_be_refitted(reviews: Dataset, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"refit=true needs session files"):
        train(reviews, quick(refit=True), tmp_path / "RUN", resume=False, report=Told())


@pytest.mark.parametrize("model", ["pop", "gce-gnn"])
def test_refit_can_be_left_out(model: str, sessions: Dataset, tmp_path: Path) -> None:
    run = trained(sessions, tmp_path / "RUN", quick(model, refit=False))
    assert not run.refitted
    assert run.graph().digest == sessions.graph().digest


def test_session_files_without_a_training_example_are_refused(tmp_path: Path) -> None:
    """The one session of two clicks is validation's."""
    held_out = int(np.random.default_rng(0).permutation(10)[0])
    lines = ["1 2" if place == held_out else str(1 + place % 2) for place in range(10)]
    (tmp_path / "train.txt").write_text("\n".join(lines))
    (tmp_path / "test.txt").write_text("1 2")
    prepare_sessions(tmp_path / "train.txt", tmp_path / "test.txt", tmp_path / "DATA", SessionSettings())
    with pytest.raises(InputError, match=r"no training sequence of two clicks: give more sessions"):
        trained(Dataset(tmp_path / "DATA"), tmp_path / "RUN", quick())
