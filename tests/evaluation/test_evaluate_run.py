from pathlib import Path
from typing import Any

import pytest

from srec.data.dataset import Dataset
from srec.data.groups import groups_of
from srec.errors import DataError, InputError
from srec.evaluation.metrics import METRICS, rank_intervals
from srec.evaluation.report import evaluate_run
from srec.training.run import Run
from tests.training.small import prepare_cycle, quick, trained


@pytest.fixture(scope="module")
def run(sessions: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return trained(sessions, tmp_path_factory.mktemp("runs") / "RUN", quick(epochs=3))


def evaluate(run: Run, split: str, exclude: bool | None = None, data: Path | None = None) -> dict[str, Any]:
    return evaluate_run(run, split, data, exclude, lambda *_: None)[0]


def test_validation_measures_what_validation_selected(run: Run) -> None:
    figures = evaluate(run, "validation")
    recorded = run.record["validation"]
    assert {name: figures[name] for name in METRICS} == pytest.approx(recorded)
    history = [record["mrr@20"] for record in run.record["history"]]
    assert figures["mrr@20"] == pytest.approx(max(history))


def test_each_split_uses_its_own_weights_and_graph(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    used: list[tuple[str, bool]] = []
    for name in ("model", "graph"):
        original = getattr(Run, name)

        def spy(self: Run, selection: bool = False, name: str = name, original: Any = original) -> Any:
            used.append((name, selection))
            return original(self, selection)

        monkeypatch.setattr(Run, name, spy)
    evaluate(run, "validation")
    assert used == [("model", True), ("graph", True)]
    used.clear()
    evaluate(run, "test")
    assert used == [("model", False), ("graph", False)]
    selected, served = (run.model(selection).state_dict() for selection in (True, False))
    assert any(not selected[name].equal(served[name]) for name in served)
    assert run.graph(True).digest != run.graph(False).digest


def test_figures_say_what_was_measured(run: Run, sessions: Dataset) -> None:
    figures, measured = evaluate_run(run, "test", None, None, lambda *_: None)
    examples = sessions.examples("test")
    assert figures["examples"] == len(examples)
    assert figures["run"] == run.digest
    assert figures["data"] == sessions.digest
    assert (figures["model"], figures["preset"], figures["split"]) == ("gce-gnn", "paper", "test")
    assert figures["alone"] == len(examples)  # so few that each is asked in a call of its own
    assert 0 < figures["alone_p50_ms"] <= figures["alone_p99_ms"]
    assert figures["distance_by"] == "co-clicks"
    assert figures["intervals_by"] == "session"
    assert figures["intervals_95"] == rank_intervals(measured.ranks, groups_of(sessions, "test"))
    assert all(
        0 <= figures[f"{name}@20"] <= 1 for name in ("coverage", "distance", "percentile", "top_share")
    )
    assert sum(group["examples"] for group in figures["by_length"].values()) == len(examples)
    assert figures["mean_clicks"] == pytest.approx(len(examples.inputs.items) / len(examples))
    for name in METRICS:
        low, high = figures["intervals_95"][name]
        assert 0 <= low <= figures[name] <= high <= 1


def test_session_files_keep_clicked_items_unless_said(run: Run) -> None:
    plain = evaluate(run, "test")
    assert plain["exclude_clicked"] is False
    excluded = evaluate(run, "test", exclude=True)
    assert excluded["exclude_clicked"] is True
    assert excluded["mrr@20"] != plain["mrr@20"]


def test_data_may_have_moved_but_not_changed(run: Run, sessions: Dataset, tmp_path: Path) -> None:
    moved = prepare_cycle(tmp_path)  # the same sessions in another place
    assert evaluate(run, "test", data=moved.folder)["data"] == sessions.digest
    changed = prepare_cycle(tmp_path, count=100)
    with pytest.raises(DataError, match=r"is not the data that .*RUN was trained on"):
        evaluate(run, "test", data=changed.folder)
    with pytest.raises(InputError, match=r"holds no prepared data"):
        evaluate(run, "test", data=tmp_path / "nowhere")
