"""Training that goes on from an earlier run, with games that came and went."""

import contextlib
import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from srec.data.dataset import Dataset
from srec.errors import InputError
from srec.prepare import ReviewSettings, prepare_reviews
from srec.training.features import item_features
from srec.training.run import Run
from srec.training.train import train
from srec.training.warm import WarmStart
from tests.training.small import DAY, Told, prepare_cycle, prepare_log, quick, trained


def prepare_later(folder: Path) -> Dataset:
    """The log of ``prepare_log`` later on: five games are gone, five came; developers are new."""
    random, games = np.random.default_rng(1), list(range(5, 35))
    folder.mkdir()
    with (folder / "reviews.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["steamid", "appid", "timestamp_created", "voted_up"])
        for user in range(80):
            first = int(random.integers(len(games)))
            for step in range(5):
                moment = 1_510_000_000 + int(random.integers(12)) * DAY + step * 12 * DAY
                writer.writerow([f"v{user}", 10 * (games[(first + step) % len(games)] + 1), moment, 1])
    pages = [
        {
            "appid": 10 * (game + 1),
            "name": f"Game {game}",
            "tags": [f"T{game % 7}", f"T{game % 3}", "New"],
            "price": game % 4,
            "developer": f"D{game % 3}",
        }
        for game in games
    ]
    (folder / "games.jsonl").write_text("".join(json.dumps(page) + "\n" for page in pages))
    settings = ReviewSettings(min_user_reviews=2, min_game_reviews=2, popular_share=None, tag_width=8)
    prepare_reviews([folder / "reviews.csv"], folder / "games.jsonl", folder / "DATA", settings)
    return Dataset(folder / "DATA")


@pytest.fixture(scope="module")
def later(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return prepare_later(tmp_path_factory.mktemp("later") / "log")


@pytest.fixture(scope="module")
def earlier(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("earlier")
    data = prepare_log(folder)
    return trained(data, folder / "RUN", quick("gce-gnn", "tiny", dim=6, epochs=6, learning_rate=0.03))


def test_games_keep_their_rows_and_context_its_values(earlier: Run, later: Dataset) -> None:
    settings = quick("gce-gnn", "tiny", dim=6)
    warm = WarmStart(earlier, later)
    features = warm.features(item_features(later, settings))
    model = type(earlier.model())(settings.model_settings(), features)
    first = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    warm.apply(model, selection=True)
    ours, theirs = model.state_dict(), earlier.model().state_dict()
    old_items = {appid: row for row, appid in enumerate(earlier.items()["appid"].to_pylist(), start=1)}
    new_items = {appid: row for row, appid in enumerate(later.items["appid"].to_pylist(), start=1)}
    assert len(old_items.keys() & new_items.keys()) >= 20
    assert len(new_items.keys() - old_items.keys()) == 5
    for appid, row in new_items.items():
        expected = (
            theirs["items.weight"][old_items[appid]] if appid in old_items else first["items.weight"][row]
        )
        assert torch.equal(ours["items.weight"][row], expected), appid
        if appid in old_items:  # tag vectors mean what they meant to the weights
            torch.testing.assert_close(ours["tags.factors"][row], theirs["tags.factors"][old_items[appid]])
    values = dict(zip(earlier.context_values(), theirs["context.values.weight"], strict=False))
    shared = 0
    for value, row, before in zip(
        later.context_values(), ours["context.values.weight"], first["context.values.weight"], strict=False
    ):
        assert torch.equal(row, values.get(value, before)), value
        shared += value in values
    assert 3 < shared < len(later.context_values())
    assert torch.equal(ours["attention.w3.weight"], theirs["attention.w3.weight"])
    assert torch.equal(ours["context.indices"], first["context.indices"])


def test_it_starts_where_the_earlier_run_ended_and_is_resumed(
    earlier: Run, later: Dataset, tmp_path: Path
) -> None:
    settings = quick("gce-gnn", "tiny", dim=6, epochs=2)
    cold = trained(later, tmp_path / "COLD", settings)
    train(later, settings, tmp_path / "WARM", resume=False, report=Told(), earlier=earlier)
    warm = Run(tmp_path / "WARM")
    assert warm.record["from"] == earlier.digest
    assert warm.record["history"][0]["loss"] < cold.record["history"][0]["loss"] - 0.2
    with pytest.raises(KeyboardInterrupt):
        train(later, settings, tmp_path / "B", resume=False, report=Told(("select", 2)), earlier=earlier)
    with pytest.raises(InputError, match="begun with another --from"):
        train(later, settings, tmp_path / "B", resume=True, report=Told())
    train(later, settings, tmp_path / "B", resume=True, report=Told(), earlier=earlier)
    straight, resumed = (load_file(tmp_path / name / "model.safetensors") for name in ("WARM", "B"))
    assert all(torch.equal(tensor, resumed[name]) for name, tensor in straight.items())


@pytest.mark.parametrize(
    ("model", "changes", "message"),
    [
        ("gru4rec", {}, r"is a run of gce-gnn, not of gru4rec: train with --model gce-gnn"),
        ("gce-gnn", {"dim": 8}, r"was trained with dim=6, not 8: add --set dim=6"),
        ("gce-gnn", {"tags": False}, r"was trained with tags=True, not False: add --set tags=true"),
        ("gce-gnn", {"dim": 6, "initial": "pmi"}, r"leave out initial and content"),
        ("pop", {}, r"pop counts anew and starts from no run: leave out --from"),
    ],
)
def test_a_run_that_does_not_fit_is_refused(
    model: str, changes: dict[str, object], message: str, earlier: Run, later: Dataset, tmp_path: Path
) -> None:
    preset = "tiny" if model == "gce-gnn" else "paper"
    settings = quick(model, preset, **({"dim": 6} | changes if model == "gce-gnn" else changes))
    with pytest.raises(InputError, match=message):
        train(later, settings, tmp_path / "RUN", resume=False, report=Told(), earlier=earlier)


def test_a_run_that_has_learnt_reviews_of_validation_is_refused(earlier: Run, tmp_path: Path) -> None:
    """The same log: where validation is longer, its first days were the earlier run's training."""
    prepare_log(tmp_path)
    settings = quick("gce-gnn", "tiny", dim=6, epochs=1)
    refused = r"on reviews until 2017-08-14 .*, and validation of .* begins at 2017-08-08 .*--no-warm"
    for days, expected in ((10, None), (14, None), (20, refused)):
        chosen = ReviewSettings(
            min_user_reviews=2, min_game_reviews=2, popular_share=None, tag_width=8, validation_days=days
        )
        prepare_reviews([tmp_path / "reviews.csv"], tmp_path / "games.jsonl", tmp_path / "DATA", chosen)
        warm = WarmStart(earlier, Dataset(tmp_path / "DATA"))
        with pytest.raises(InputError, match=expected) if expected else contextlib.nullcontext():
            warm.check(settings)


def test_session_files_that_changed_take_no_earlier_run(
    sessions: Dataset, straight: Run, tmp_path: Path
) -> None:
    """Another file's validation is drawn anew, out of the sessions that the run learnt from."""
    WarmStart(straight, sessions).check(quick())
    more = WarmStart(straight, prepare_cycle(tmp_path, count=241))
    with pytest.raises(InputError, match=r"on other data than .*, whose validation is drawn at random"):
        more.check(quick())
