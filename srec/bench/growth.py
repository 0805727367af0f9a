"""Time and memory an input as the catalogue grows: one size after the other, one process at a time."""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from srec.bench.backends import EAGER
from srec.bench.cpu import describe
from srec.bench.process import Process, make, write
from srec.errors import HostError

BATCHES = (1, 32)
TABLE_READS = 10
# Ten million rows of 352 would be 14 GB, twice in some rows; the last size is narrow.
SIZES = ((10_000, 352), (42_429, 352), (100_000, 352), (1_000_000, 352), (10_000_000, 64))


@dataclass(frozen=True)
class Settings:
    """How to measure.

    Attributes:
        rows: which rows, eager first.
        sizes: (items, D), ascending.
        inputs: at most so many a batch size, after a few to warm up.
        limit: seconds after which a batch size begins no further call.
    """

    rows: list[str]
    sizes: Sequence[tuple[int, int]] = SIZES
    inputs: int = 2000
    limit: float = 10.0


class Growth:
    """One measurement of all sizes; ``figures`` is complete when ``measure`` returns.

    ``rows`` holds one for each size, backend and batch size; ``skipped`` what could not run, with reasons.
    """

    def __init__(
        self, settings: Settings, progress: Callable[[str], None], save: Callable[[Any], None]
    ) -> None:
        """Prepare; ``progress`` is told what is done, ``save`` is given the figures after every row."""
        self.settings, self.progress, self._save = settings, progress, save
        self.figures: dict[str, Any] = {
            "complete": False,
            "machine": describe(),
            "settings": {
                "backends": settings.rows,
                "inputs": settings.inputs,
                "seconds_at_most": settings.limit,
                "threads": 1,
                "k": 20,
            },
            "sizes_done": [],
            "rows": [],
            "skipped": [],
        }

    def go_on_from(self, earlier: dict[str, Any]) -> None:
        """Keep the sizes that a measurement which was broken off had completed, where it was this one."""
        if earlier.get("complete", True):
            return
        if other := [part for part in ("settings", "machine") if earlier[part] != self.figures[part]]:
            self.progress(f"what was broken off has other {' and '.join(other)}: starting anew")
            return
        done = self.figures["sizes_done"] = earlier["sizes_done"]
        for part in ("rows", "skipped"):
            self.figures[part] = [row for row in earlier[part] if [row["items"], row["dim"]] in done]

    def measure(self) -> dict[str, Any]:
        """Measure what is not measured yet."""
        for items, dim in self.settings.sizes:
            if [items, dim] not in self.figures["sizes_done"]:
                self._measure_size(items, dim)
                self.figures["sizes_done"].append([items, dim])
                self._save(self.figures)
        self.figures["complete"] = True
        self._save(self.figures)
        return self.figures

    def _measure_size(self, items: int, dim: int) -> None:
        with tempfile.TemporaryDirectory(prefix="srec-growth-") as name:
            folder = Path(name)
            self.progress(f"{items} items of {dim}: making the model")
            size = {"items": items, "dim": dim, "parameters": make(folder, items, dim)["parameters"]}
            eager: list[dict[str, Any]] = []
            for backend in self.settings.rows:
                self.progress(f"{items} items of {dim}: {backend}")
                try:
                    seconds = write(folder, backend, "native")["seconds"]
                    rows = _measure_row(folder, backend, self.settings)
                except HostError as error:
                    self.progress(f"skipped {backend}: {error}")
                    self.figures["skipped"].append({**size, "backend": backend, "reason": str(error)})
                    continue
                eager = rows if backend == EAGER else eager
                for row in rows:
                    same = _same(folder, backend, row["batch"])
                    more = {"same_order_strict": same, "write_seconds": seconds, **_beside(eager, row)}
                    self.figures["rows"].append({**size, "backend": backend, **row, **more})
                self._save(self.figures)


def _beside(eager: list[dict[str, Any]], row: dict[str, Any]) -> dict[str, Any]:
    """A row's time beside eager's at the same batch size, and beside one read of the table."""
    for reference in eager:
        if reference["batch"] == row["batch"]:
            read = reference["table_read_ms"]
            ratio = reference["ms_per_input"] / row["ms_per_input"]
            return {"ratio": ratio, "table_read_ms": read, "of_one_table_read": row["ms_per_input"] / read}
    return {"ratio": None, "table_read_ms": None, "of_one_table_read": None}


def _measure_row(folder: Path, backend: str, settings: Settings) -> list[dict[str, Any]]:
    """Load a row and run it at every batch size."""
    with Process(folder, backend, "native") as process:
        hello = process.ask("hello", inputs=settings.inputs)
        rows = []
        for batch in BATCHES:
            warmup = max(batch, min(20, settings.inputs))
            process.ask("run", first=0, count=warmup, batch=batch, keep=None, limit=settings.limit)
            run = process.ask(
                "run",
                first=0,
                count=settings.inputs,
                batch=batch,
                keep=str(_answers(folder, backend, batch)),
                limit=settings.limit,
            )
            p50, p99 = np.percentile(run["latencies"], [50, 99])
            rows.append(
                {
                    "batch": batch,
                    "inputs": run["inputs"],
                    "fallbacks": run["fallbacks"],
                    "ms_per_input": 1000 * run["seconds"] / run["inputs"],
                    "p50_ms": 1000 * float(p50),
                    "p99_ms": 1000 * float(p99),
                    "load_seconds": hello["load_seconds"],
                    **{f"{name}_bytes": value for name, value in process.ask("memory").items()},
                }
            )
        if backend == EAGER:
            read = process.ask("table_read", repeats=TABLE_READS)
            for row in rows:
                row["table_read_ms"] = min(read["sum"], read["product"])
    return rows


def _answers(folder: Path, backend: str, batch: int) -> Path:
    return folder / f"{backend}-{batch}.npy"


def _same(folder: Path, backend: str, batch: int) -> float | None:
    """Share of inputs with eager's items in eager's order, near ties not forgiven; None without eager."""
    if not _answers(folder, EAGER, batch).is_file():
        return None
    ours, theirs = (np.load(_answers(folder, name, batch)) for name in (EAGER, backend))
    count = min(len(ours), len(theirs))
    return float((ours[:count] == theirs[:count]).all(axis=1).mean())
