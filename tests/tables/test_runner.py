"""A tiny table, made by the command's own verbs."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TextIO

import pytest
from typer.testing import CliRunner

from srec.cli import app
from srec.errors import InputError, SrecError
from srec.tables.config import read_config
from srec.tables.results import Results
from srec.tables.runner import Limits, TableRunner
from srec.tables.work import Work
from tests.training.small import cycle

YAML = """
title: Tiny
about: Circles.
data:
  one: {title: First, train_sessions: one/train.txt, test_sessions: one/test.txt}
  two: {title: Second, train_sessions: two/train.txt, test_sessions: two/test.txt}
base: popularity
served: true
rows:
  - label: graph
    model: gce-gnn
    set: {dim: 8, batch_size: 50, learning_rate: 0.005, epochs: 2}
    seeds: 2
    data: [one]
    stability: true
    published: {one: {recall@20: 54.22, mrr@20: 19.04}}
  - {label: markov, model: markov}
  - {label: popularity, model: pop, note: Counts clicks.}
"""
MORE = "  three: {title: Third, train_sessions: one/test.txt, test_sessions: two/test.txt}\nbase:"


class Bench:
    """A table's files, and its runner over commands that run in this process and are remembered."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.asked = folder, list[str]()
        for name, seed in (("one", 0), ("two", 5)):
            (folder / "root" / name).mkdir(parents=True)
            for file, sessions in (("train", cycle(seed, 120)), ("test", cycle(seed + 1, 40))):
                lines = "".join(" ".join(map(str, session)) + "\n" for session in sessions)
                (folder / "root" / name / f"{file}.txt").write_text(lines)
        self.yaml = folder / "tiny.yaml"
        self.yaml.write_text(YAML)

    def launch(self, arguments: Sequence[str], output: TextIO) -> int:
        self.asked.append(arguments[0])
        result = CliRunner().invoke(app, list(arguments))
        output.write(f"{result.output}{result.exception or ''}\n")
        return result.exit_code

    def run(self, **limits: Any) -> TableRunner:
        """Work on the table; what was asked before is forgotten."""
        self.asked.clear()
        config = read_config(self.yaml)
        results = Results(self.folder / "tiny", config, "srec table --config tiny.yaml")
        work = Work(self.folder / "work", self.folder / "root", self.launch)
        runner = TableRunner(config, work, results, Limits(threads=1, **limits), lambda _: None)
        runner.run()
        return runner

    @property
    def table(self) -> dict[str, Any]:
        content: dict[str, Any] = json.loads((self.folder / "tiny" / "table.json").read_text())
        return content

    @property
    def page(self) -> str:
        return (self.folder / "tiny" / "table.md").read_text()

    def row(self, dataset: str, label: str) -> dict[str, Any]:
        (found,) = [row for row in self.table["datasets"][dataset]["rows"] if row["label"] == label]
        return dict(found)


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    made = Bench(tmp_path_factory.mktemp("table"))
    made.run()
    return made


def test_every_row_is_made_once(bench: Bench) -> None:
    """The rest of this file works on the finished table, so that this comes first."""
    page, files = bench.page, sorted(path.name for path in (bench.folder / "tiny").iterdir())
    assert files == [
        "by-length-one.svg", "by-length-two.svg", "quality-one.svg", "quality-two.svg",
        "rows", "table.json", "table.md",
    ]  # fmt: skip
    assert bench.run().failures == []
    assert bench.asked == []
    assert bench.page == page


def test_figures_are_those_of_the_runs(bench: Bench) -> None:
    graph = bench.row("one", "graph")
    seeds = [
        json.loads((bench.folder / "tiny" / "rows" / "one" / f"graph-s{seed}.json").read_text())
        for seed in (0, 1)
    ]
    values = [one["figures"]["mrr@20"] for one in seeds]
    assert values[0] != values[1]
    assert graph["seeds"] == [0, 1]
    assert graph["figures"]["mrr@20"]["mean"] == pytest.approx(sum(values) / 2)
    assert graph["figures"]["mrr@20"]["deviation"] == pytest.approx(abs(values[0] - values[1]) / 2**0.5)
    assert graph["stability"]["seed"]["sessions"] == graph["stability"]["add"]["sessions"] > 20
    assert graph["served"]["backend"] == "fast"
    assert graph["served"]["mrr@20"] == pytest.approx(values[0])
    lead = graph["comparison"]["mrr@20"]
    popularity = bench.row("one", "popularity")["figures"]["mrr@20"]
    assert popularity["deviation"] is None
    assert lead["difference"] == pytest.approx(sum(values) / 2 - popularity["mean"])
    assert bench.row("two", "markov")["comparison"]["recall@20"]["second"] < 1
    assert seeds[0]["commands"][0].startswith(
        "srec train --data $WORK/data/one --model gce-gnn --preset paper"
    )


def test_the_page_shows_them(bench: Bench) -> None:
    lines = bench.page.splitlines()
    mean, deviation = (100 * bench.row("one", "graph")["figures"]["mrr@20"][n] for n in ("mean", "deviation"))
    (graph,) = [line for line in lines if line.startswith("| graph ") and "54.22 / 19.04" in line]
    assert f"{mean:.2f} ± {deviation:.2f} (" in graph
    assert "| row | P@20 | MRR@20 | published P@20 / MRR@20 | seeds |" in bench.page
    assert "![by-length-one](by-length-one.svg)" in lines
    assert "popularity: Counts clicks." in lines
    assert "srec table --config tiny.yaml --only LABEL --dataset NAME" in lines
    assert str(bench.folder) not in bench.page


def test_a_changed_row_alone_is_made_again(bench: Bench) -> None:
    bench.yaml.write_text(YAML.replace("{label: markov, model: markov}", "{label: markov, model: pop}"))
    bench.run(datasets=("two",))
    assert bench.asked == ["train", "evaluate", "export", "evaluate", "compare"]
    bench.yaml.write_text(YAML)
    assert bench.run(minutes=0).failures == []
    assert bench.asked == []
    labels = [row["label"] for row in bench.table["datasets"]["two"]["rows"]]
    assert labels == ["popularity"]  # the markov row is no longer what the table says: it is not shown
    bench.run(only=("markov",))
    assert bench.asked == ["evaluate", "export", "evaluate", "compare"]  # its first run was kept


def test_a_new_data_set_needs_the_yaml_only_and_a_failure_stops_no_other_row(bench: Bench) -> None:
    bench.yaml.write_text(
        YAML.replace("base:", MORE).replace("epochs: 2}\n    seeds: 2\n    data: [one]", "epochs: 2}")
    )
    (bench.folder / "root" / "two" / "test.txt").rename(bench.folder / "root" / "away")
    runner = bench.run(datasets=("two", "three"), only=("markov", "popularity"))
    assert [failure.partition(" of ")[0] for failure in runner.failures] == [
        "two: `srec prepare`",
        "three: `srec prepare`",
    ]
    assert all(failure.endswith(".log") for failure in runner.failures)
    assert bench.asked == ["prepare", "prepare"]  # once a data set, whatever its rows
    (bench.folder / "root" / "away").rename(bench.folder / "root" / "two" / "test.txt")
    assert bench.run(datasets=("three",), only=("markov", "popularity")).failures == []
    assert bench.asked == ["prepare", *2 * ["train", "evaluate", "export", "evaluate"], "compare"]
    assert "## Third" in bench.page


def test_a_data_set_is_prepared_again_where_a_file_behind_its_pattern_has_changed(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.yaml.write_text(YAML.replace("two/train.txt", "two/tra*.txt").replace("two/test.txt", "two/test*"))
    asked = {"datasets": ("two",), "only": ("popularity",)}
    assert bench.run(**asked).failures == []
    marks = json.loads((tmp_path / "work" / "data" / "two.json").read_text())["files"]
    files = [tmp_path / "root" / "two" / name for name in ("train.txt", "test.txt")]
    assert marks == [[str(file), file.stat().st_size, file.stat().st_mtime_ns] for file in files]
    with files[0].open("a") as stream:
        stream.write("10 20\n")
    bench.run(**asked)
    assert bench.asked[0] == "prepare"
    bench.run(**asked)
    assert bench.asked == []


def test_a_failure_quotes_the_log_of_its_own_command(tmp_path: Path) -> None:
    def fails(arguments: Sequence[str], output: TextIO) -> int:
        output.write(f"no such {arguments[1]}\n")
        return 1

    work = Work(tmp_path / "work", tmp_path, fails)
    for name in ("first", "second"):
        with pytest.raises(SrecError) as failure:
            work.command(["prepare", name], "data")
        assert str(failure.value).splitlines()[1:] == [f"  $ srec prepare {name}", f"  no such {name}"]


def test_killed_in_a_training_it_goes_on_from_the_last_epoch(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.yaml.write_text(
        YAML.replace("epochs: 2}", "epochs: 30, patience: 30}").replace("seeds: 2", "seeds: 1")
    )
    command = [
        sys.executable,
        "-m",
        "srec",
        "table",
        "--config",
        bench.yaml,
        "--data-root",
        tmp_path / "root",
    ]
    limited = ["--work", tmp_path / "work", "--only", "graph", "--threads", "1"]
    process = subprocess.Popen(
        list(map(str, [*command, *limited])), env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    try:
        while not list((tmp_path / "work").glob("runs/one/.graph-*.training/progress.json")):
            assert process.poll() is None
            time.sleep(0.05)
        with pytest.raises(InputError, match="another `srec table` works in"):
            bench.run()
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    (checkpoint,) = (tmp_path / "work").glob("runs/one/.graph-*.training/progress.json")
    epochs = json.loads(checkpoint.read_text())["epoch"]
    assert bench.run(only=("graph",)).failures == []
    assert bench.asked == ["train", "evaluate", "export", "evaluate", "stability"]
    log = (tmp_path / "work" / "logs" / "one-graph-s0.log").read_text()
    again = log.split("$ srec train")[2]
    assert f"epoch {epochs}:" not in again.partition("once more")[0]
    assert "epoch 30:" in again
