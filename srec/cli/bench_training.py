"""bench training: seconds a step, beside the GCE-GNN authors' code where a checkout of it is given."""

import os
import shlex
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from srec.cli.bench import bench
from srec.cli.console import note, table
from srec.cli.learn import pair

CORES = os.cpu_count() or 1
SHOWN = (0, 1, 4, 5, 6, 7, 8)  # columns of the report that a terminal has room for


def register(_app: typer.Typer) -> None:
    """Add the verb to the group."""
    bench.command("training")(bench_training)


def bench_training(
    data: Annotated[
        Path | None, typer.Option(help="Folder that `srec prepare` wrote; unset: made-up sessions.")
    ] = None,
    model: Annotated[str, typer.Option(help="Model, by its registry name.")] = "gce-gnn",
    preset: Annotated[str, typer.Option(help="Settings to start from, as of `srec train`.")] = "paper",
    change: Annotated[
        list[str] | None, typer.Option("--set", help="A setting over the preset's, name=value; repeat.")
    ] = None,
    precision: Annotated[
        str, typer.Option(help="A row each, comma between: float32, bfloat16.")
    ] = "float32,bfloat16",
    rounds: Annotated[int, typer.Option(min=1, help="Turns of every row.")] = 3,
    steps: Annotated[int, typer.Option(min=1, help="Steps of our rows in a turn.")] = 100,
    warmup: Annotated[int, typer.Option(min=1, help="Steps of our rows before the clock starts.")] = 20,
    threads: Annotated[int, typer.Option(min=1, help="CPU threads of a row.")] = CORES,
    reference: Annotated[
        Path | None, typer.Option(help="A checkout of the GCE-GNN authors' code, to measure beside ours.")
    ] = None,
    reference_steps: Annotated[int, typer.Option(min=1, help="Its steps in a turn.")] = 5,
    items: Annotated[int, typer.Option(min=10, help="Items of made-up sessions.")] = 40_000,
    sessions: Annotated[int, typer.Option(min=50, help="Made-up sessions.")] = 60_000,
    name: Annotated[str, typer.Option(help="Title of the report, and name of its files.")] = "training",
    report: Annotated[Path | None, typer.Option(help="Write NAME.json and NAME.md there.")] = None,
) -> None:
    """Training: time and memory a step, by precision, interleaved; a process a row."""
    from srec.bench.training import Settings, measure_training
    from srec.bench.training_data import synthetic_data
    from srec.bench.training_report import COLUMNS, training_cells, write_training_report
    from srec.data.dataset import Dataset

    settings = Settings(
        model,
        preset,
        dict(pair(text) for text in change or []),
        tuple(part.strip() for part in precision.split(",") if part.strip()),
        rounds,
        steps,
        warmup,
        threads,
        reference,
        reference_steps,
    )
    with ExitStack() as stack:
        if data is None:
            note(f"making {sessions:,} sessions of {items:,} items")
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="srec-sessions-"))
            dataset = synthetic_data(Path(folder), items, sessions)
        else:
            dataset = Dataset(data)
        figures = measure_training(dataset, settings, note)
    cells = [training_cells(row) for row in figures["rows"]]
    table(name, [COLUMNS[i] for i in SHOWN], [[row[i] for i in SHOWN] for row in cells])
    if report is not None:
        command = shlex.join(["srec", *sys.argv[1:]])
        note(f"wrote {write_training_report(report, name, figures, command)}")
