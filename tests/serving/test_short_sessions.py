"""An artifact with models beside the main one: made, proved, archived, replayed, used."""

import json
import shutil
from pathlib import Path

import pytest

from srec.data.dataset import Dataset
from srec.errors import DataError, InputError
from srec.export.archive import build_archive, read_archive
from srec.export.pipeline import ShortSessionRun, TagsRun, export_run
from srec.graph.neighbours import GlobalGraph
from srec.io import digest_of, sha256
from srec.serving.artifact import Artifact
from srec.serving.contract import Request
from srec.training.run import Run
from tests.conftest import Line, srec, srec_ok
from tests.training.small import quick, trained


@pytest.fixture(scope="module")
def artifact(line: Line, markov: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("short") / "artifact"
    srec_ok("export", "--run", line.run, "--short-run", markov, "--short-clicks", 2, "--out", out)
    return out


def ask(artifact: Path, *appids: int) -> tuple[str, list[int]]:
    answer = json.loads(srec_ok("recommend", "--artifact", artifact, "--k", 5, "--json", *appids))
    return answer["source"], [item["appid"] for item in answer["items"]]


def test_few_known_clicks_are_answered_by_the_second_model(
    line: Line, markov: Path, artifact: Path, tmp_path: Path
) -> None:
    export_run(Run(markov), tmp_path / "alone", "torchscript")
    assert ask(artifact, 620, 400) == ("short-session", ask(tmp_path / "alone", 620, 400)[1])
    assert ask(artifact, 620, 999999999, 400)[0] == "short-session"
    assert ask(artifact, 620, 400, 220) == ask(line.artifact, 620, 400, 220)
    assert ask(artifact, 999999999)[0] == "popular"


def test_the_manifest_covers_it(line: Line, artifact: Path) -> None:
    manifest = Artifact(artifact).manifest
    short = {name for name in manifest["files"] if name.startswith("short/")}
    assert short == {"short/model.pt", "short/golden.json", "short/short.json"}
    assert (manifest["model"], manifest["short"]["model"]) == ("gce-gnn", "markov")
    assert manifest["short"]["clicks"] == 2
    assert manifest["short"]["proof"]["sessions"] > 100
    assert manifest["short"]["run"]["data"] == manifest["run"]["data"]
    assert manifest["digest"] != Artifact(line.artifact).manifest["digest"]


def test_both_models_replay_their_golden_sessions_also_from_an_archive(
    artifact: Path, tmp_path: Path
) -> None:
    srec_ok("archive", "--artifact", artifact, "--out", tmp_path)
    with read_archive(tmp_path / "srec.mar") as unpacked:
        assert Artifact(unpacked).self_test() == 32


def test_wrong_golden_answers_of_the_second_model_are_found(artifact: Path, tmp_path: Path) -> None:
    """Even where someone has made the digests fit."""
    changed = tmp_path / "artifact"
    shutil.copytree(artifact, changed)
    golden = json.loads((changed / "short" / "golden.json").read_text())
    golden[0]["items"].reverse()
    (changed / "short" / "golden.json").write_text(json.dumps(golden))
    manifest = json.loads((changed / "manifest.json").read_text())
    manifest["files"]["short/golden.json"] = sha256(changed / "short" / "golden.json")
    manifest["digest"] = digest_of(manifest["files"])
    (changed / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(DataError, match="golden session"):
        Artifact(changed).self_test()


def test_another_threshold_is_another_version(markov: Path, tmp_path: Path) -> None:
    run = Run(markov)
    for clicks in (2, 3):
        export_run(run, tmp_path / str(clicks), "torchscript", ShortSessionRun(run, clicks))
    assert Artifact(tmp_path / "2").version != Artifact(tmp_path / "3").version


def test_runs_on_other_data_and_impossible_lengths_are_refused(
    line: Line, markov: Path, tmp_path: Path
) -> None:
    done = srec(
        "export", "--run", line.run, "--short-run", markov, "--short-clicks", 51, "--out", tmp_path / "no"
    )
    assert done.returncode == 1
    assert "--short-clicks 51: the model for short sessions takes 1 to 50" in " ".join(done.stderr.split())
    other = Run(markov)
    other.record["data"]["digest"] = "0" * 64
    with pytest.raises(InputError, match="was trained on other data than"):
        export_run(Run(line.run), tmp_path / "no", "torchscript", ShortSessionRun(other, 2))
    assert not (tmp_path / "no").exists()


def test_a_second_model_that_reads_neighbours_needs_the_same_graph(line: Line, tmp_path: Path) -> None:
    """An artifact holds one graph."""

    class WithAnotherGraph(Run):
        def graph(self, selection: bool = False) -> GlobalGraph:
            graph = super().graph(selection)
            return GlobalGraph(graph.neighbours, graph.weights + 1)

    with pytest.raises(InputError, match="has another global graph than"):
        export_run(
            Run(line.run), tmp_path / "no", "torchscript", ShortSessionRun(WithAnotherGraph(line.run), 1)
        )


@pytest.fixture(scope="module")
def tags(line: Line, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return trained(Dataset(line.data), tmp_path_factory.mktemp("tags") / "run", quick("tags"))


def answer_of(artifact: Path, *appids: int) -> tuple[str, list[int]]:
    """``ask`` without a process of its own."""
    answer = Artifact(artifact).predictor().answer([Request(appids=list(appids), k=5)], [""])[0]
    return answer["source"], [item["appid"] for item in answer["items"]]


def test_rare_games_alone_are_answered_by_tags(line: Line, markov: Path, tags: Run, tmp_path: Path) -> None:
    """In the demo every game has many clicks: the limit is set among them."""
    table = tags.items().to_pydict()
    clicks = dict(zip(table["appid"], table["train_clicks"], strict=True))
    rare, common = min(clicks, key=lambda appid: clicks[appid]), max(clicks, key=lambda appid: clicks[appid])
    out, below = tmp_path / "artifact", clicks[rare] + 1
    short = ("--short-run", markov, "--short-clicks", 1)
    beside = ("--tags-run", tags.folder, "--tags-below", below)
    srec_ok("export", "--run", line.run, *short, *beside, "--out", out)
    export_run(tags, tmp_path / "alone", "fast")
    assert answer_of(out, rare) == ("tags", answer_of(tmp_path / "alone", rare)[1])
    assert answer_of(out, rare, rare)[0] == "tags"
    assert answer_of(out, common)[0] == "short-session"
    assert answer_of(out, rare, common)[0] == "gce-gnn"
    build_archive(out, tmp_path)
    with read_archive(tmp_path / "srec.mar") as unpacked:
        assert Artifact(unpacked).self_test() == 48
        assert Artifact(unpacked).manifest["tags"]["below"] == below


def test_a_tags_run_must_be_one(line: Line, markov: Path, tags: Run, tmp_path: Path) -> None:
    for main, beside, below, message in (
        (Run(line.run), Run(markov), 5, "is a run of markov: make one with `srec train --model tags`"),
        (tags, tags, 5, "is the tag recommender itself: leave out --tags-run"),
        (Run(line.run), tags, 0, "--tags-below 0: it is a number of training clicks"),
    ):
        with pytest.raises(InputError, match=message):
            export_run(main, tmp_path / "no", "torchscript", tags=TagsRun(beside, below))
