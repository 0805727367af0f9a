"""What an input costs on one thread at batch 1, from appids to top-20, row by row.

SRec's benchmark (1 to 5 random appids an input) with what it left out: preprocessing and top-k. Every row has
a process of its own; the runs are interleaved, so that a slow minute of the machine meets every row.
"""

import contextlib
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from srec.bench.backends import EAGER, SUBJECT
from srec.bench.cpu import Cpu, describe
from srec.bench.process import Process, write
from srec.bench.subject import Subject
from srec.errors import HostError
from srec.export import BACKENDS

MOVED_INPUTS = 1000  # inputs whose full ranking is searched for the farthest move
TABLE_READS = 30
IPEX = "ipex"

Progress = Callable[[str], None]
Save = Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class Settings:
    """How to measure.

    Attributes:
        rows: which rows, eager first.
        limit: seconds after which a run begins no further input; None makes all.
        ipex_python: the Python of IPEX's own environment, None where there is none.
    """

    rows: list[str]
    inputs: int = 10_000
    warmup: int = 1_000
    runs: int = 3
    cpu: Cpu = "native"
    limit: float | None = None
    ipex_python: Path | None = None


@dataclass
class _Row:
    """One row: its process, what it is compared with, and what was measured so far."""

    name: str
    against: str
    process: Process
    written: dict[str, Any]
    hello: dict[str, Any] = field(default_factory=dict)
    runs: list[dict[str, Any]] = field(default_factory=list)
    memory: dict[str, int] = field(default_factory=dict)
    agreement: dict[str, Any] = field(default_factory=dict)


def measure_model(subject: Subject, settings: Settings, progress: Progress, save: Save) -> dict[str, Any]:
    """Measure every row that this machine can run.

    Args:
        subject: the model, its graph and its appids.
        progress: told what is done.
        save: given the figures after every round, ``complete`` false, and at the end.

    Returns:
        ``rows``, ``skipped`` with reasons, ``table_read`` in milliseconds, the model and the machine.
    """
    facts = subject.facts()
    with tempfile.TemporaryDirectory(prefix="srec-bench-") as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        (folder / SUBJECT).mkdir()
        subject.save(folder / SUBJECT)
        del subject
        rows, skipped = _start_all(folder, settings, stack, progress)
        reads: list[dict[str, float]] = []

        def figures(complete: bool) -> dict[str, Any]:
            table = _table_read(reads)
            return {
                "complete": complete,
                "model": facts,
                "settings": _told(settings),
                "machine": describe(),
                "table_read": table,
                "rows": [_figures(row, rows, table, facts) for row in rows],
                "skipped": skipped,
            }

        def each(action: Callable[[_Row], None]) -> None:
            """Do something with every row; one whose process fails is skipped from then on."""
            for row in list(rows):
                try:
                    action(row)
                except HostError as error:
                    if row.name == EAGER:
                        raise
                    rows.remove(row)
                    skipped.append({"backend": row.name, "reason": str(error)})

        def warm_up(row: _Row) -> None:
            progress(f"warming up {row.name}")
            row.hello = row.process.ask("hello", inputs=settings.warmup + settings.inputs)
            _run(row, 0, settings.warmup, settings, None)

        def measure(row: _Row) -> None:
            progress(f"run {len(row.runs) + 1} of {settings.runs}: {row.name}")
            answers = _answers(folder, row.name)
            row.runs.append(_run(row, settings.warmup, settings.inputs, settings, answers))
            row.memory = row.process.ask("memory")

        def compare(row: _Row) -> None:
            progress(f"comparing {row.name} with {row.against}")
            _compare(row, rows, folder, settings)

        each(warm_up)
        for _ in range(settings.runs):
            reads.append(rows[0].process.ask("table_read", repeats=TABLE_READS))
            each(measure)
            save(figures(False))
        each(compare)
        done = figures(True)
    save(done)
    return done


def _start_all(
    folder: Path, settings: Settings, stack: contextlib.ExitStack, progress: Progress
) -> tuple[list[_Row], list[dict[str, str]]]:
    """Write and load all rows; those that cannot run are skipped with their reason."""
    rows, skipped = [], []
    for name in settings.rows:
        progress(f"preparing {name}")
        try:
            if name == IPEX and settings.ipex_python is not None:
                rows += _start_ipex(folder, settings, stack)
                continue
            written = write(folder, name, settings.cpu)
            process = stack.enter_context(Process(folder, name, settings.cpu))
        except HostError as error:
            if name == EAGER:
                raise
            progress(f"skipped {name}: {error}")
            skipped.append({"backend": name, "reason": str(error)})
            continue
        rows.append(_Row(name, EAGER, process, written))
    return rows, skipped


def _start_ipex(folder: Path, settings: Settings, stack: contextlib.ExitStack) -> list[_Row]:
    """IPEX and the eager model that it is compared with, both in IPEX's environment."""
    own, python = folder / "environment", str(settings.ipex_python)
    own.mkdir()
    (own / SUBJECT).symlink_to(folder / SUBJECT)
    started = []
    for name in (EAGER, IPEX):
        written = write(own, name, settings.cpu, python)
        started.append((written, stack.enter_context(Process(own, name, settings.cpu, python))))
    beside = f"{EAGER} (in {IPEX}'s environment)"
    return [
        _Row(name, beside, process, written)
        for name, (written, process) in zip((beside, IPEX), started, strict=True)
    ]


def _answers(folder: Path, name: str) -> str:
    return str(folder / f"{name}.npy")


def _run(row: _Row, first: int, count: int, settings: Settings, keep: str | None) -> dict[str, Any]:
    if count == 0:
        return {}
    return row.process.ask("run", first=first, count=count, batch=1, keep=keep, limit=settings.limit)


def _compare(row: _Row, rows: Sequence[_Row], folder: Path, settings: Settings) -> None:
    """Answers of the last run with those of eager; the process that knows the scores does it."""
    eager = next(other for other in rows if other.name == row.against)
    reference = _answers(folder, eager.name)
    row.agreement = eager.process.ask(
        "compare", first=settings.warmup, reference=reference, answered=_answers(folder, row.name)
    )
    row.agreement |= row.process.ask(
        "rank_moves", first=settings.warmup, count=MOVED_INPUTS, reference=reference
    )


def _figures(row: _Row, rows: Sequence[_Row], table: dict[str, Any], facts: dict[str, Any]) -> dict[str, Any]:
    """The row of the report; every rate is the median of the runs."""
    eager = next(other for other in rows if other.name == row.against)
    each = [1000 * run["seconds"] / run["inputs"] for run in row.runs]  # ms an input
    ratios = [
        (theirs["seconds"] / theirs["inputs"]) / (ours["seconds"] / ours["inputs"])
        for ours, theirs in zip(row.runs, eager.runs, strict=False)
    ]
    p50, p99 = np.percentile([latency for run in row.runs for latency in run["latencies"]], [50, 99])
    return {
        "backend": row.name,
        "ships": row.name == EAGER or row.name in BACKENDS,
        "inputs_per_s": 1000 / float(np.median(each)),
        "model_only_inputs_per_s": _rate(row, ("model",), other=False),
        "with_preprocessing_inputs_per_s": _rate(row, ("graph", "store", "model"), other=True),
        "with_top_k_inputs_per_s": _rate(row, ("model", "top_k"), other=False),
        "ms_per_input": float(np.median(each)),
        "p50_ms": 1000 * float(p50),
        "p99_ms": 1000 * float(p99),
        "seconds": [run["seconds"] for run in row.runs],
        "inputs": [run["inputs"] for run in row.runs],
        "stage_seconds": [run["stages"] for run in row.runs],
        "fallbacks": [run["fallbacks"] for run in row.runs],
        "against": row.against,
        "ratio": float(np.median(ratios)),
        "ratio_of_each_run": ratios,
        "of_one_table_read": float(np.median(each)) / table["fastest"],
        **row.agreement,
        **{f"{name}_bytes": value for name, value in row.memory.items()},
        **{name: facts[name] for name in ("parameters", "dim", "items")},
        "threads": row.hello["threads"],
        "versions": {k: v for k, v in row.written["facts"].items() if isinstance(v, str)}
        | {"torch": row.hello["torch"]},
        "kernels": row.hello["kernels"],
        "write_seconds": row.written["seconds"],
        "load_seconds": row.hello["load_seconds"],
    }


def _rate(row: _Row, stages: Sequence[str], other: bool) -> float:
    """Inputs a second if only these stages cost; ``other`` adds what belongs to none (appids to items)."""
    rates = []
    for run in row.runs:
        seconds = sum(run["stages"][stage] for stage in stages)
        seconds += other * (run["seconds"] - sum(run["stages"].values()))
        rates.append(run["inputs"] / seconds)
    return float(np.median(rates))


def _table_read(reads: Sequence[dict[str, float]]) -> dict[str, Any]:
    """Milliseconds of one read of the float32 item table; the faster way is the yardstick."""
    ways = {way: float(np.median([read[way] for read in reads])) for way in ("sum", "product")}
    return {**ways, "fastest": min(ways.values()), "bytes": reads[0]["bytes"]}


def _told(settings: Settings) -> dict[str, Any]:
    return {
        "inputs": settings.inputs,
        "clicks": "1 to 5 random appids",
        "warmup": settings.warmup,
        "runs": settings.runs,
        "batch": 1,
        "threads": 1,
        "k": 20,
        "cpu": settings.cpu,
        "seconds_at_most": settings.limit,
    }
