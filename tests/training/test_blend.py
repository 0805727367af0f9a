"""Two runs made one: on planted data each is right where the other is not, and validation knows where."""

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from srec.cli import app
from srec.data.dataset import Dataset
from srec.errors import InputError
from srec.evaluation.report import evaluate_run
from srec.evaluation.stability import CHANGES, changed_pairs, overlaps
from srec.export.pipeline import ShortSessionRun, export_run
from srec.prepare import SessionSettings, prepare_sessions
from srec.serving.artifact import Artifact
from srec.serving.contract import Request
from srec.training.blend import blend_runs, sample
from srec.training.blend_weights import BlendWish, Trials, checked
from srec.training.run import Run
from tests.training.small import prepare_cycle, quick, trained

PAIRS = 15  # items 10 and 20, 30 and 40, ... follow each other in sessions of two clicks


def planted(seed: int, count: int) -> list[list[int]]:
    """Half of the sessions are a pair; the others return to their first click again and again."""
    random = np.random.default_rng(seed)
    made = []
    for number in range(count):
        item = int(random.integers(2 * PAIRS))
        if number % 2:
            made.append([item, item ^ 1])
        else:
            others = random.permutation(2 * PAIRS)[:3].tolist()
            made.append([item, others[0], item, others[1], item, others[2], item])
    return [[10 * (item + 1) for item in session] for session in made]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    folder = tmp_path_factory.mktemp("planted")
    for name, sessions in (("train", planted(0, 500)), ("test", planted(1, 120))):
        (folder / f"{name}.txt").write_text("".join(" ".join(map(str, s)) + "\n" for s in sessions))
    prepare_sessions(folder / "train.txt", folder / "test.txt", folder / "DATA", SessionSettings())
    return Dataset(folder / "DATA")


@pytest.fixture(scope="module")
def parts(data: Dataset, tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Run]:
    """S-POP for sessions that return, the Markov chain for pairs."""
    folder = tmp_path_factory.mktemp("parts")
    return trained(data, folder / "s-pop", quick("s-pop")), trained(data, folder / "markov", quick("markov"))


@pytest.fixture(scope="module")
def blended(parts: tuple[Run, Run], tmp_path_factory: pytest.TempPathFactory) -> Run:
    out = tmp_path_factory.mktemp("blend") / "RUN"
    blend_runs(*parts, out, BlendWish())
    return Run(out)


def mrr(run: Run, split: str) -> float:
    figure: float = evaluate_run(run, split, None, None, lambda *_: None)[0]["mrr@20"]
    return figure


@pytest.mark.parametrize("split", ["validation", "test"])
def test_the_tuned_blend_beats_both_parts(split: str, blended: Run, parts: tuple[Run, Run]) -> None:
    assert mrr(blended, split) > 1.1 * max(mrr(part, split) for part in parts)


def test_short_sessions_are_the_co_clicks_and_validation_alone_says_so(
    parts: tuple[Run, Run], blended: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    groups = blended.record["settings"]["parameters"]["groups"]
    assert [group["longest"] for group in groups] == [1, 3, 6, None]
    assert groups[0]["weight"] < 0.5 <= groups[2]["weight"]
    original = Dataset.examples

    def only_validation(self: Dataset, split: str, times: bool = False) -> object:
        assert split == "validation"
        return original(self, split, times)

    monkeypatch.setattr(Dataset, "examples", only_validation)
    blend_runs(*parts, tmp_path / "again", BlendWish())
    assert Run(tmp_path / "again").digest == blended.digest


def test_the_run_names_both_and_what_was_tried(blended: Run, parts: tuple[Run, Run]) -> None:
    record = blended.record
    assert [record["blend"][name]["run"] for name in ("first", "second")] == [run.digest for run in parts]
    assert record["settings"]["model"] == "blend"
    assert record["validation"]["mrr@20"] == pytest.approx(mrr(blended, "validation"))
    tried = [one for one in record["tuning"]["weights"] if one["clicks"] == "1"]
    assert {0.0, 0.5, 1.0} <= {one["weight"] for one in tried}
    chosen = record["settings"]["parameters"]["groups"][0]
    best = max(tried, key=lambda one: one["mrr@20"])
    assert (best["weight"], best["sharpness"]) == (chosen["weight"], chosen["sharpness"])
    assert blended.refitted
    assert blended.graph().digest == parts[0].graph().digest
    assert blended.graph(selection=True).digest == parts[0].graph(selection=True).digest


def test_routed_sessions_go_to_one_model_or_the_other(parts: tuple[Run, Run], tmp_path: Path) -> None:
    for clicks in (None, 2):
        record = blend_runs(*parts, tmp_path / "RUN", BlendWish("routed", clicks))
        groups = record["settings"]["parameters"]["groups"]
        assert [(group["longest"], group["weight"]) for group in groups] == [(clicks or 1, 0), (None, 1)]
    assert (
        Run(tmp_path / "RUN").digest != blend_runs(*parts, tmp_path / "1", BlendWish("routed", 1))["digest"]
    )


def test_a_penalty_is_given_or_chosen_by_validation(parts: tuple[Run, Run], tmp_path: Path) -> None:
    given = blend_runs(*parts, tmp_path / "given", BlendWish(penalty=0.7, examples=50))
    assert given["settings"]["parameters"]["penalty"] == 0.7
    assert given["tuning"]["examples"] == 50
    tuned = blend_runs(*parts, tmp_path / "tuned", BlendWish(penalty=None, examples=50))
    tried = tuned["tuning"]["penalties"]
    best = max(tried, key=lambda one: one["mrr@20"])
    assert tuned["settings"]["parameters"]["penalty"] == best["penalty"]


def test_a_blend_is_exported_and_answers_as_blend(
    blended: Run, parts: tuple[Run, Run], tmp_path: Path
) -> None:
    export_run(blended, tmp_path / "artifact", "fast", ShortSessionRun(parts[1], 1))
    artifact = Artifact(tmp_path / "artifact")
    assert artifact.self_test() > 10
    answers = artifact.predictor().answer(
        [
            Request(appids=appids, k=1, exclude_clicked=False, explain=True)
            for appids in ([30], [30, 50, 30, 70])
        ],
        ["a", "b"],
    )
    assert [answer["source"] for answer in answers] == ["short-session", "blend"]
    assert [answer["items"][0]["appid"] for answer in answers] == [40, 30]
    assert answers[1]["items"][0]["because"][0] == 30  # what its score would lose most without
    assert artifact.manifest["run"]["validation"] == blended.record["validation"]


def test_runs_that_do_not_fit_are_refused(parts: tuple[Run, Run], data: Dataset, tmp_path: Path) -> None:
    other = trained(prepare_cycle(tmp_path, count=60), tmp_path / "other", quick("pop"))
    with pytest.raises(InputError, match=r"other was trained with other data than .*s-pop: train both alike"):
        blend_runs(parts[0], other, tmp_path / "RUN", BlendWish())
    shorter = trained(data, tmp_path / "shorter", quick("pop", max_clicks=9))
    with pytest.raises(InputError, match="another max_clicks than"):
        blend_runs(parts[0], shorter, tmp_path / "RUN", BlendWish())
    once = trained(data, tmp_path / "once", quick("pop", refit="false"))
    with pytest.raises(InputError, match="another refit than"):
        blend_runs(parts[0], once, tmp_path / "RUN", BlendWish())
    assert not (tmp_path / "RUN").exists()


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (BlendWish("routd"), r'--mode routd \(did you mean "routed"\?\)'),
        (BlendWish(select_by="mrr@21"), r"--select-by mrr@21 \(did you mean"),
        (BlendWish(short_clicks=2), "--short-clicks 2 goes with --mode routed"),
        (BlendWish(prefer="stead"), r'--prefer stead \(did you mean "steady"\?\)'),
        (BlendWish("routed", prefer="steady"), "--prefer steady goes with --mode blended"),
        (BlendWish(keep=0.3), "--keep 0.3 goes with --prefer steady"),
    ],
)
def test_wishes_that_make_no_sense_are_named(asked: BlendWish, message: str) -> None:
    with pytest.raises(InputError, match=message):
        checked(asked)


@pytest.mark.parametrize(("keep", "weight"), [(1.0, 0.9), (0.7, 0.3), (0.4, 0.2), (0.0, 0.0)])
def test_steady_is_the_steadiest_that_keeps_enough_of_the_gain(keep: float, weight: float) -> None:
    """Hits of a hundred: 40 and 50 of either model alone, up to 60 of mixtures, the steadier the fewer."""
    tried = [(1.0, 1.0), (0.0, 1.0), (0.9, 1.0), (0.3, 1.0), (0.2, 1.0), (0.1, 1.0)]
    hits, steadiness = [40, 50, 60, 58, 55, 49], np.array([0.1, 0.8, 0.2, 0.4, 0.5, 0.9])
    ranks = (np.arange(100) < np.array(hits)[:, np.newaxis]).astype(np.int64)
    trials = Trials(tried, ranks, np.full(100, 5), steadiness)
    (group,) = trials.choose(BlendWish(prefer="steady", keep=keep))
    assert (group.longest, group.weight) == (None, weight)


def test_steadiness_is_what_the_served_blend_shows(parts: tuple[Run, Run], tmp_path: Path) -> None:
    """The Markov chain's answers hang on the last click, those of S-POP do not."""
    first, second = reversed(parts)
    record = blend_runs(first, second, tmp_path / "RUN", BlendWish(prefer="steady", keep=0.0, examples=120))
    tried = {(one["weight"], one["sharpness"]): one for one in record["tuning"]["steadiness"]}
    (group,) = record["settings"]["parameters"]["groups"]
    chosen = tried[group["weight"], group["sharpness"]]
    assert chosen["steadiness"] > max(tried.values(), key=lambda one: one["mrr@20"])["steadiness"]
    assert chosen["mrr@20"] >= max(tried[weight, 1.0]["mrr@20"] for weight in (0.0, 1.0))

    run = Run(tmp_path / "RUN")
    examples, ranker = sample(run.data().examples("validation"), 120), run.ranker(selection=True)
    changes = [changed_pairs(examples, change, 500, ranker.max_clicks) for change in CHANGES]
    served = [overlaps(ranker, ranker, pairs)["jaccard@10"].mean() for pairs in changes]
    assert chosen["steadiness"] == pytest.approx(np.mean(served), abs=0.01)  # near ties are by rounding


def test_the_parts_are_sealed_with_the_blend(blended: Run) -> None:
    assert {"blend.json", "first/run.json", "second/model.safetensors"} <= blended.record["files"].keys()


def test_the_command(parts: tuple[Run, Run], tmp_path: Path) -> None:
    out = tmp_path / "RUN"
    options = ["--run", str(parts[0].folder), "--with", str(parts[1].folder), "--out", str(out)]
    done = CliRunner().invoke(app, ["blend", *options, "--mode", "routed", "--penalty", "0.1"])
    assert done.exit_code == 0, done.output
    assert Run(out).record["settings"]["parameters"]["penalty"] == 0.1
    for penalty in ("2", "tuned", "nan"):
        wrong = CliRunner().invoke(app, ["blend", *options, "--penalty", penalty])
        assert isinstance(wrong.exception, InputError)
        assert f"--penalty {penalty}" in str(wrong.exception)
