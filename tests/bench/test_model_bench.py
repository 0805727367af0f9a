"""The model benchmark: every row answers as eager does, and what cannot run says why. No bound on time."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from srec.bench import cpu
from srec.bench.backends import EAGER, candidate, check, names
from srec.bench.process import Process, run_once
from srec.bench.report import MODEL_COLUMNS, model_cells, write_model_report
from srec.bench.subject import LONGEST, SHORTEST, Subject, random_inputs
from srec.bench.worker import write
from srec.errors import HostError, InputError
from srec.export import BACKENDS
from tests.bench.conftest import INPUTS, RUNS
from tests.conftest import ROOT

QUANTISED = ("int8-dynamic", "int8-static")


def _row(figures: dict[str, Any], name: str) -> dict[str, Any]:
    found = [row for row in figures["rows"] if row["backend"] == name]
    if not found:
        reasons = [row["reason"] for row in figures["skipped"] if row["backend"] == name]
        assert reasons, f"{name} is neither a row nor skipped"
        pytest.skip(f"{name}: {reasons[0]}")
    return dict(found[0])


@pytest.mark.parametrize("name", [name for name in names() if name not in {*QUANTISED, "inductor"}])
def test_exact_rows_answer_as_eager(figures: dict[str, Any], name: str) -> None:
    row = _row(figures, name)
    assert row["compared"] == INPUTS
    assert row["same_order"] == 1.0
    assert row["same_order"] == row["same_order_strict"] + row["near_ties"]


@pytest.mark.parametrize("name", QUANTISED)
def test_eight_bits_move_ranks_and_the_row_tells(figures: dict[str, Any], name: str) -> None:
    row = _row(figures, name)
    assert row["same_order"] < 1.0
    assert row["largest_rank_move"] > 0


def test_what_srec_ships_and_eager_always_run(figures: dict[str, Any]) -> None:
    rows = [row["backend"] for row in figures["rows"]]
    assert rows[0] == EAGER
    assert set(rows) >= {name for name in BACKENDS if name != "ipex"}


def test_what_cannot_run_is_skipped_with_its_reason_and_is_no_row(figures: dict[str, Any]) -> None:
    skipped = {row["backend"]: row["reason"] for row in figures["skipped"]}
    assert skipped["ipex"] == "/nowhere/python cannot be started: No such file or directory"
    assert all(skipped.values())
    assert not skipped.keys() & {row["backend"] for row in figures["rows"]}
    for name in ("onnxruntime", "openvino"):
        if importlib.util.find_spec(name) is None:
            assert "No module named" in skipped[name]


def test_rows_hold_every_figure(figures: dict[str, Any], subject: Subject) -> None:
    for row in figures["rows"]:
        assert row["inputs"] == [INPUTS] * RUNS
        assert len(row["seconds"]) == len(row["ratio_of_each_run"]) == RUNS
        assert row["inputs_per_s"] == pytest.approx(INPUTS / np.median(row["seconds"]))
        assert row["model_only_inputs_per_s"] >= row["with_top_k_inputs_per_s"] >= row["inputs_per_s"]
        assert row["model_only_inputs_per_s"] >= row["with_preprocessing_inputs_per_s"] >= row["inputs_per_s"]
        assert row["p50_ms"] <= row["p99_ms"]
        assert row["peak_memory_bytes"] >= row["memory_bytes"] > row["imports_bytes"] > 0
        assert row["threads"] == 1
        assert (row["items"], row["dim"]) == (300, 16)
        assert row["parameters"] == sum(p.numel() for p in subject.model.parameters())
    eager = figures["rows"][0]
    assert eager["ratio_of_each_run"] == [1.0] * RUNS
    assert figures["table_read"]["bytes"] == 300 * 16 * 4


def test_figures_are_saved_after_every_round(figures: dict[str, Any], saved: list[dict[str, Any]]) -> None:
    assert [step["complete"] for step in saved] == [False] * RUNS + [True]
    assert len(saved[0]["rows"][0]["seconds"]) == 1, "figures that were handed out stay as they were"
    json.dumps(saved[0], allow_nan=False)
    assert saved[-1] == figures


def test_report(figures: dict[str, Any], tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="the plot needs the extra `bench`")
    text = write_model_report(tmp_path, figures).read_text()
    assert json.loads((tmp_path / "model-d16.json").read_text()) == figures
    assert (tmp_path / "model-d16.png").read_bytes().startswith(b"\x89PNG")
    for row in figures["rows"]:
        assert len(model_cells(row)) == len(MODEL_COLUMNS)
        assert f"| {row['backend']} |" in text
    for row in figures["skipped"]:
        assert f"- {row['backend']}: {row['reason']}" in text


def test_inputs_are_random_appids_of_one_to_five_clicks() -> None:
    appids = np.arange(10, 5000, 10)
    inputs = random_inputs(appids, 500)
    assert {len(clicks) for clicks in inputs} == set(range(SHORTEST, LONGEST + 1))
    assert {appid for clicks in inputs for appid in clicks} <= set(appids.tolist())
    assert inputs == random_inputs(appids, 500) != random_inputs(appids, 500, seed=1)


def test_an_unknown_row_names_the_nearest() -> None:
    assert check(["torchscript"]) == [EAGER, "torchscript"]
    with pytest.raises(InputError, match='did you mean "onnxruntime"'):
        check(["onnxrutime"])


WITH_ONLY = """
import importlib.metadata as metadata, re, sys
from importlib.machinery import PathFinder
from packaging.requirements import Requirement

def plain(name):
    return re.sub("[-_.]+", "-", name).lower()

there, left = set(), [Requirement(word).name for word in sys.argv[1:]]
while left:
    name = plain(left.pop())
    if name not in there:
        there.add(name)
        try:
            needs = [Requirement(text) for text in metadata.requires(name) or ()]
        except metadata.PackageNotFoundError:
            continue
        left += [need.name for need in needs if not need.marker or need.marker.evaluate({"extra": ""})]
owners = metadata.packages_distributions()

class Limited(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        of = set(map(plain, owners.get(name.partition(".")[0], ())))
        hidden = of and not of & {"srec", *there}
        return None if hidden else super().find_spec(name, path, target)

sys.meta_path = [Limited if finder is PathFinder else finder for finder in sys.meta_path]
import srec.bench.worker
"""
"""Import the worker as if only the packages that are named, and what they need, were installed."""


def test_the_worker_runs_with_the_packages_of_the_environment_of_ipex() -> None:
    script = (ROOT / "results" / "bench" / "ipex.sh").read_text()
    asked = script.partition("pip install")[2].partition("\n.venv")[0].replace("\\\n", " ").split()
    packages = [word for word in asked if not word.startswith("-") and "/" not in word]
    done = subprocess.run(
        [sys.executable, "-c", WITH_ONLY, *packages], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def folder(subject: Subject, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eager, written in this process; a process takes seconds to start."""
    made = tmp_path_factory.mktemp("rows")
    (made / "subject").mkdir()
    subject.save(made / "subject")
    write(made, EAGER)
    return made


def test_without_avx2_every_library_obeys(folder: Path) -> None:
    with Process(folder, EAGER, "no-avx2") as process:
        kernels = process.ask("hello", inputs=1)["kernels"]
    assert kernels["torch"] in {"DEFAULT", "NO AVX"}
    assert kernels["numpy"] == []
    assert kernels["openblas"] in {"Nehalem", None}


@pytest.mark.parametrize("name", ["onnxruntime", "openvino", "inductor"])
def test_a_library_that_would_not_obey_is_refused(
    name: str, subject: Subject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if name != "inductor":
        pytest.importorskip(name, reason="compared engines are in the extra `bench`")
    monkeypatch.setenv(cpu.LIMITED, "no-avx2")
    with pytest.raises(HostError, match="would use AVX2 all the same"):
        candidate(name).write(subject, tmp_path)


def test_the_callers_own_limits_do_not_reach_the_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ATEN_CPU_CAPABILITY", "default")
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Haswell")
    native, limited = cpu.environment("native"), cpu.environment("no-avx2")
    assert not cpu.NO_AVX2.keys() & native.keys()
    assert limited["OPENBLAS_CORETYPE"] == "NEHALEM"
    assert native["OMP_NUM_THREADS"] == limited["OMP_NUM_THREADS"] == "1"


def test_a_process_that_cannot_load_or_dies_is_a_reason_and_no_hang(folder: Path) -> None:
    with pytest.raises(HostError, match="is missing"):
        Process(folder, "torchscript", "native")
    with pytest.raises(HostError, match="its process ended with"):
        run_once("nothing", folder, EAGER, "native", "/bin/false")
