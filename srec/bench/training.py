"""Seconds a step of training, ours by precision, and a reference's beside it: a process a row, by turns."""

import json
import os
import sys
import tempfile
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

import srec
from srec.bench.cpu import describe
from srec.bench.process import Conversation, start
from srec.bench.training_desk import Spec
from srec.bench.training_reference import MODULES, check_reference
from srec.data.dataset import Dataset
from srec.io import digest_of, sha256
from srec.training.memory import ENVIRONMENT
from srec.training.settings import RunSettings, resolve

REFERENCE = "reference"


@dataclass(frozen=True)
class Settings:
    """What to measure, and how long.

    Attributes:
        model, preset, changes: as ``srec train`` takes them.
        precisions: a row each.
        rounds: of every row in turn.
        steps: of our rows in each round.
        warmup: steps of each of our rows before the first round.
        threads: of every row.
        reference: a checkout of the GCE-GNN authors' code; None measures ours alone.
        reference_steps: of the reference in each round.
        reference_warmup: steps of the reference before the first round.
    """

    model: str = "gce-gnn"
    preset: str = "paper"
    changes: Mapping[str, str] | None = None
    precisions: tuple[str, ...] = ("float32", "bfloat16")
    rounds: int = 3
    steps: int = 100
    warmup: int = 20
    threads: int = 1
    reference: Path | None = None
    reference_steps: int = 5
    reference_warmup: int = 1

    def run(self, precision: str) -> RunSettings:
        """All that decides a row's training; ``InputError`` where the settings cannot be."""
        return resolve(self.model, self.preset, {**(self.changes or {}), "precision": precision})


def measure_training(
    data: Dataset, settings: Settings, progress: Callable[[str], None] = lambda _: None
) -> dict[str, Any]:
    """Measure every row; see ``srec.bench.training_report`` for what the figures mean.

    Each row has a process, all are ready before the first round; while one works the others wait, asleep.
    """
    runs = {f"srec, {precision}": settings.run(precision) for precision in settings.precisions}
    rows = {
        name: Spec(str(data.folder), run.model_dump_json(), settings.threads) for name, run in runs.items()
    }
    first = next(iter(runs.values()))
    if settings.reference is not None:
        check_reference(settings.reference, first)
        spec = Spec(str(data.folder), first.model_dump_json(), settings.threads, str(settings.reference))
        rows = {REFERENCE: spec, **rows}
    with tempfile.TemporaryDirectory(prefix="srec-training-") as name, ExitStack() as stack:
        processes = {}
        for row, spec in rows.items():
            progress(f"{row}: getting ready")
            processes[row] = stack.enter_context(_begin(row, spec, Path(name)))
        measured = _rounds(processes, settings, progress)
    batch = first.training.batch_size
    return {
        "machine": describe(),
        "versions": {"srec": srec.__version__, "torch": torch.__version__, "numpy": np.__version__},
        "data": {"counts": data.manifest["counts"], "digest": data.digest},
        "settings": json.loads(first.model_dump_json()),
        "rounds": settings.rounds,
        "threads": settings.threads,
        "reference": None if settings.reference is None else _digest(settings.reference),
        "rows": [
            {"row": row, **_summary(found, processes[row].ready["examples"], batch)}
            | _beside(measured.get(REFERENCE), row, found)
            for row, found in measured.items()
        ],
    }


def _begin(row: str, spec: Spec, folder: Path) -> Conversation:
    """Start a row's process; ours with what ``srec train`` sets, the reference as a user would start it."""
    environment = os.environ if row == REFERENCE else {**ENVIRONMENT, **os.environ}
    log = folder / f"{row.replace(', ', '-')}.log"
    command = [sys.executable, "-m", "srec.bench.training_worker", spec.json()]
    return Conversation(start(command, log, environment), log)


def _rounds(
    processes: Mapping[str, Conversation], settings: Settings, progress: Callable[[str], None]
) -> dict[str, dict[str, Any]]:
    """Every row in every round: the seconds of its steps, and at last the most memory that it has held."""
    found: dict[str, dict[str, Any]] = {row: {"seconds": []} for row in processes}
    for row, process in processes.items():
        process.ask("steps", count=settings.reference_warmup if row == REFERENCE else settings.warmup)
    for turn in range(settings.rounds):
        for row, process in processes.items():
            steps = settings.reference_steps if row == REFERENCE else settings.steps
            answer = process.ask("steps", count=steps)
            found[row]["seconds"].append(answer["seconds"])
            found[row]["peak_memory_bytes"] = answer["peak_memory"]
            progress(f"round {turn + 1}, {row}: {np.mean(answer['seconds']):.4f} s a step")
    return found


def _summary(found: dict[str, Any], examples: int, batch: int) -> dict[str, Any]:
    """A row's figures; steps differ in length, so means count, and the median round of them."""
    means = [float(np.mean(seconds)) for seconds in found["seconds"]]
    step = float(np.median(means))
    every = np.concatenate(found["seconds"])
    return {
        **found,
        "mean_of_each_round": means,
        "step_seconds": step,
        "step_quantiles": [float(value) for value in np.quantile(every, [0.1, 0.5, 0.9])],
        "examples_per_s": batch / step,
        "examples": examples,
        "epoch_seconds": -(-examples // batch) * step,
    }


def _beside(reference: dict[str, Any] | None, row: str, found: dict[str, Any]) -> dict[str, Any]:
    """How many times faster than the reference, round by round."""
    if reference is None or row == REFERENCE:
        return {}
    pairs = zip(reference["seconds"], found["seconds"], strict=True)
    ratios = [float(np.mean(theirs) / np.mean(ours)) for theirs, ours in pairs]
    return {"ratio": float(np.median(ratios)), "ratio_of_each_round": ratios}


def _digest(code: Path) -> str:
    """Names the code that was run."""
    return digest_of({name: sha256(code / f"{name}.py") for name in MODULES})
