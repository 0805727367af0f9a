"""Retraining: new reviews in, a new version or a refusal out, and the last good one through everything."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from srec.cli import app
from srec.errors import HostError, InputError
from srec.export.archive import read_archive
from srec.io import read_json, write_json
from srec.prepare import ReviewSettings
from srec.retraining.judge import judge
from srec.retraining.retrain import Retraining, RetrainSettings, retrain
from srec.retraining.state import State
from srec.serving.artifact import Artifact
from srec.serving.contract import Request
from srec.training.run import Run
from srec.training.settings import resolve
from tests.conftest import srec
from tests.prepare.conftest import write_csv, write_lines
from tests.training.small import Told

DAY, START, ITEMS, USERS = 86_400, 1_500_000_000, 20, 24
PREPARE = ReviewSettings(
    min_user_reviews=2, min_game_reviews=2, popular_share=None, test_days=2, validation_days=6, tag_width=4
)


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def settings(model: str = "markov", **changes: Any) -> RetrainSettings:
    small = {"dim": "8", "batch_size": "50", "epochs": "1"} if model == "gce-gnn" else {}
    return RetrainSettings(prepare=PREPARE, run=resolve(model, "paper", small), **changes)


def write_log(folder: Path, days: int, shuffled: range = range(0)) -> list[str]:
    """Every day every user reviews the next game of a circle; on ``shuffled`` days any game."""
    random = np.random.default_rng(0)
    rows = [
        (
            f"u{user}-{day // ITEMS}",
            10 * (1 + (int(random.integers(ITEMS)) if day in shuffled else (user + day) % ITEMS)),
            START + day * DAY + user,
            1,
        )
        for day in range(days)
        for user in range(USERS)
    ]
    return [str(write_csv(folder / f"reviews-{days}-{len(shuffled)}.csv", rows))]


@pytest.fixture(scope="module")
def games(tmp_path_factory: pytest.TempPathFactory) -> str:
    records = [
        {"appid": 10 * (i + 1), "name": f"Game {i}", "tags": [f"T{i % 3}", f"U{i % 4}"], "price": 1}
        for i in range(ITEMS)
    ]
    new = {"appid": 777, "name": "New", "tags": ["T1", "U2"], "price": 1, "release_date": "2017-07-20"}
    return str(write_lines(tmp_path_factory.mktemp("games") / "games.jsonl", [*records, new]))


def once(
    state: State, reviews: list[str], games: str, chosen: RetrainSettings | None = None, said: Any = None
) -> Retraining:
    return retrain(state, reviews, games, chosen or settings(), report=Told(), say=said or (lambda _: None))


@pytest.fixture
def state(tmp_path: Path) -> State:
    return State(tmp_path / "state")


@pytest.fixture(scope="module")
def first(games: str, tmp_path_factory: pytest.TempPathFactory) -> State:
    """A state with one version, of 30 days; tests take copies."""
    folder = tmp_path_factory.mktemp("first")
    made = State(folder / "state")
    done = once(made, write_log(folder, 30), games)
    assert (done.decision, done.archive) == ("accepted", good(made) / "srec.mar")
    return made


@pytest.fixture
def started(first: State, tmp_path: Path) -> State:
    shutil.copytree(first.folder, tmp_path / "started", symlinks=True)
    return State(tmp_path / "started")


def good(state: State) -> Path:
    assert state.current is not None
    return state.current


def fingerprint(version: Path | None) -> dict[str, bytes]:
    assert version is not None
    return {
        str(path.relative_to(version)): path.read_bytes() for path in version.rglob("*") if path.is_file()
    }


def test_new_reviews_become_a_version_beside_the_last_one(
    started: State, first: State, games: str, tmp_path: Path
) -> None:
    state, old = started, good(started)
    same = once(state, write_log(first.folder.parent, 30), games)
    assert (same.decision, state.current, state.candidate) == ("unchanged", old, None)
    second = once(state, write_log(tmp_path, 40), games)
    assert second.decision == "accepted"
    assert state.current not in (None, old)
    assert state.predecessor(good(state)) == old
    record = read_json(good(state) / "record.json")
    assert record["predecessor"] == old.name
    assert record["old"].keys() == record["new"].keys()
    clicks = [one["data"]["counts"]["train_clicks"] for one in (read_json(old / "record.json"), record)]
    assert clicks[0] < clicks[1]
    assert record["difference"]["first"] == record["new"]["mrr@20"]
    with read_archive(good(state) / "srec.mar") as folder:
        answer = Artifact(folder).predictor().answer([Request(appids=[10], k=1)], ["id"])[0]
    assert [item["appid"] for item in answer["items"]] == [20]
    assert state.go_back() == old == state.current
    with pytest.raises(InputError, match="no version before"):
        state.go_back()


def test_a_worse_model_is_refused_and_changes_nothing(started: State, games: str, tmp_path: Path) -> None:
    """The new reviews come from shuffled labels, all but those that both models are judged by."""
    state = started
    before = fingerprint(state.current)
    done = once(state, write_log(tmp_path, 60, shuffled=range(52)), games)
    assert done.decision == "refused"
    assert "worse" in done.reason
    assert fingerprint(state.current) == before
    assert state.candidate is None
    assert [path.name for path in (state.folder / "versions").iterdir()] == [good(state).name]
    (path,) = (state.folder / "refused").iterdir()
    record = read_json(path)
    assert record["decision"] == "refused"
    assert record["new"]["mrr@20"] < 0.5 * record["old"]["mrr@20"]
    tolerant = once(state, write_log(tmp_path, 60, shuffled=range(52)), games, settings(tolerance=1))
    assert tolerant.decision == "accepted"


def test_the_old_model_is_judged_by_the_games_it_knows(state: State, games: str, tmp_path: Path) -> None:
    """Half of the games are unknown to the old model: what follows them counts as not found."""
    (reviews,) = write_log(tmp_path, 30)
    lines = Path(reviews).read_text().splitlines()
    few = [line for line in lines[1:] if int(line.split(",")[1]) <= 100]
    (tmp_path / "half.csv").write_text("\n".join([lines[0], *few]) + "\n")
    once(state, [str(tmp_path / "half.csv")], games)
    old = Run(good(state) / "run")
    once(state, [reviews], games)
    new = Run(good(state) / "run")
    data = new.data()
    verdict = judge(new, old, data, "recall@20", 0.0)
    assert verdict.old is not None
    known = set(old.items()["appid"].to_pylist())
    examples, appid = data.examples("validation"), data.vocabulary.appid
    rankable = [
        appid(int(examples.targets[i])) in known and any(appid(item) in known for item in examples.inputs[i])
        for i in range(len(examples))
    ]
    assert 0 < sum(rankable) < len(rankable)
    assert verdict.old["recall@20"] <= np.mean(rankable)
    assert verdict.old["recall@20"] > 0.8 * np.mean(rankable)
    assert verdict.refused is None
    assert judge(old, new, old.data(), "mrr@20", 0.0).new["recall@20"] > 0.9


def test_what_is_broken_off_leaves_the_last_version_and_is_taken_up(
    started: State, games: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = started
    before, old = fingerprint(state.current), state.current
    reviews = write_log(tmp_path, 40)
    for step in ("train", "judge", "export_run", "build_archive"):
        with monkeypatch.context() as broken:
            broken.setattr(f"srec.retraining.retrain.{step}", interrupt)
            with pytest.raises(KeyboardInterrupt):
                once(state, reviews, games)
        assert state.current == old
        assert fingerprint(old) == before
    assert state.candidate is not None
    prepared = (state.candidate / "data" / "manifest.json").stat().st_mtime_ns
    said: list[str] = []
    assert once(state, reviews, games, said=said.append).decision == "accepted"
    assert said[0].startswith("going on with")
    assert (good(state) / "data" / "manifest.json").stat().st_mtime_ns == prepared


def interrupt(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


def test_a_candidate_of_other_files_starts_clean(
    state: State, games: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as broken:
        broken.setattr("srec.retraining.retrain.train", interrupt)
        with pytest.raises(KeyboardInterrupt):
            once(state, write_log(tmp_path, 30), games)
    left = state.candidate
    assert left is not None
    assert once(state, write_log(tmp_path, 40), games).decision == "accepted"
    assert not left.exists()
    assert [path.name for path in state.folder.iterdir() if path.name == "candidate"] == []


@pytest.mark.parametrize("named", ["{}", "{}/*.csv", "http://shop{}/reviews.csv"])
def test_a_candidate_whose_reviews_were_rewritten_starts_clean(
    state: State, games: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: str
) -> None:
    """Whatever they are named by; what a URL names may have been rewritten at any time."""
    folder = tmp_path / "reviews"
    folder.mkdir()
    (reviews,) = (Path(name) for name in write_log(tmp_path, 30))
    kept = shutil.copyfile(reviews, folder / "reviews.csv")
    monkeypatch.setattr("srec.prepare.files.download", lambda url, path: shutil.copyfile(kept, path))
    monkeypatch.setattr("srec.retraining.retrain.train", interrupt)

    def broken_off() -> tuple[Path, bool]:
        said: list[str] = []
        with pytest.raises(KeyboardInterrupt):
            once(state, [named.format(folder)], games, said=said.append)
        assert state.candidate is not None
        return state.candidate, said[0].startswith("going on with")

    first, _ = broken_off()
    assert broken_off()[1] == ("://" not in named)
    with kept.open("r+") as stream:  # the folder's own time of change stays
        stream.write(reviews.read_text().replace("u0-", "v0-"))
    second, resumed = broken_off()
    assert not resumed
    assert second != first


def test_a_version_starts_from_the_last_one_and_may_hold_new_games(
    state: State, games: str, tmp_path: Path
) -> None:
    chosen = settings("gce-gnn", tolerance=1, new_games=True)
    once(state, write_log(tmp_path, 30), games, chosen)
    done = once(state, write_log(tmp_path, 34), games, chosen)
    assert done.decision == "accepted"
    progress = Run(good(state) / "run").record
    afresh = Run(
        good(state).parent / str(read_json(good(state) / "record.json")["predecessor"]) / "run"
    ).record
    assert progress["history"][0]["loss"] < afresh["history"][0]["loss"]
    assert read_json(good(state) / "artifact" / "manifest.json")["new_games"]["games"] == 1


def test_only_the_last_versions_are_kept(state: State) -> None:
    made = []
    for number in range(4):
        before = state.current
        version, _ = state.begin({"number": number}, datetime(2025, 1, 1 + number, tzinfo=UTC))
        write_json(version / "record.json", {"predecessor": before and before.name})
        state.accept(version, keep=1)
        made.append(version)
    assert sorted((state.folder / "versions").iterdir()) == made[2:]
    assert (state.current, state.predecessor(made[3]), state.predecessor(made[2])) == (made[3], made[2], None)


def test_one_at_a_time_and_only_in_its_own_folder(state: State, games: str, tmp_path: Path) -> None:
    with state.locked(), pytest.raises(HostError, match="under way"):
        once(State(state.folder), write_log(tmp_path, 30), games)
    with pytest.raises(InputError, match="is no state"):
        State(Path(games).parent)


def test_the_command_refuses_with_3_and_survives_a_kill(started: State, games: str, tmp_path: Path) -> None:
    state = started
    fields = ("min_user_reviews", "min_game_reviews", "test_days", "validation_days", "tag_width")
    options = [f"--prepare={name}={getattr(PREPARE, name)}" for name in fields]
    common = ["retrain", "--state", state.folder, "--games", games, *options, "--prepare=popular_share=1"]
    common += ["--model", "markov", "--preset", "paper", "--threads", "1"]
    before, old = fingerprint(state.current), state.current
    killed = subprocess.Popen(
        [sys.executable, "-m", "srec", *map(str, common), "--reviews", *write_log(tmp_path, 40)],
        env={**os.environ, "SREC_REDIS_URL": ""},
        stderr=subprocess.DEVNULL,
    )
    while killed.poll() is None and state.candidate is None:
        time.sleep(0.01)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    assert state.current == old
    assert fingerprint(old) == before
    refused = srec(*common, "--reviews", *write_log(tmp_path, 60, shuffled=range(52)))
    assert refused.returncode == 3, refused.stderr
    assert "worse" in refused.stderr
    assert fingerprint(state.current) == before
    assert read_json(next((state.folder / "refused").iterdir()))["reason"] in refused.stderr


def test_a_setting_that_is_none_is_named(tmp_path: Path) -> None:
    options = ["--state", str(tmp_path), "--reviews", "x.csv", "--games", "y.csv"]
    with pytest.raises(InputError, match='did you mean "test_days"'):
        app(["retrain", *options, "--prepare", "test_dais=1"], standalone_mode=False)
    with pytest.raises(InputError, match="--prepare test_days=0"):
        app(["retrain", *options, "--prepare", "test_days=0"], standalone_mode=False)
