"""What a table's figures are made from: a job a row, data set and seed; commands and digests of each."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from srec.models import model_class
from srec.tables.config import DataSet, Row, TableConfig, text
from srec.training.settings import RunSettings, resolve

Command = list[str]


@dataclass(frozen=True)
class Job:
    """One training and its evaluation."""

    row: Row
    dataset: str
    seed: int

    @property
    def name(self) -> str:
        """For file names: the row and the seed."""
        return f"{self.row.slug}-s{self.seed}"

    def settings(self) -> RunSettings | None:
        """The resolved settings; None for a blend."""
        if self.row.model is None:
            return None
        return resolve(
            self.row.model, self.row.preset, {**self.row.settings(self.dataset), "seed": str(self.seed)}
        )


class Plan:
    """All jobs of a table, in the order listed: rows, then data sets, then seeds."""

    def __init__(self, config: TableConfig) -> None:
        self.config = config

    def jobs(self, row: Row, dataset: str) -> list[Job]:
        """A row's jobs on a data set, a seed each."""
        return [Job(row, dataset, seed) for seed in self.config.seeds_of(row)] if row.measured else []

    def __iter__(self) -> Iterator[Job]:
        for row in self.config.rows:
            for dataset in self.config.datasets_of(row):
                yield from self.jobs(row, dataset)

    def parts(self, job: Job) -> tuple[Job, Job]:
        """The two jobs that a blend puts together: of its seed, or of a row's first where that lacks it."""
        assert job.row.blend is not None  # noqa: S101 (asked of blends alone)
        found = []
        for label in (job.row.blend.run, job.row.blend.partner):
            row = self.config.row(label)
            seeds = self.config.seeds_of(row)
            found.append(Job(row, job.dataset, job.seed if job.seed in seeds else seeds[0]))
        return found[0], found[1]

    def digest(self, job: Job) -> str:
        """Names all that decides a job but the data; settings at their defaults do not count.

        So a setting that a later version adds leaves the rows of before finished.
        """
        measured = {"split": self.config.split, "exclude_clicked": self.config.exclude_clicked}
        if job.row.blend is not None:
            made: Any = {
                "blend": [self.digest(part) for part in self.parts(job)],
                "set": job.row.blend.changes,
            }
        else:
            made = _changed(job.settings())
        return hashlib.sha256(json.dumps([made, measured], sort_keys=True).encode()).hexdigest()


def _changed(settings: RunSettings | None) -> dict[str, Any]:
    """What of the settings differs from the defaults."""
    if settings is None:
        return {}
    own = model_class(settings.model).Settings(**settings.parameters)
    return {
        "model": settings.model,
        "parameters": own.model_dump(mode="json", exclude_defaults=True),
        "training": settings.training.model_dump(mode="json", exclude_defaults=True),
    }


def prepare_command(dataset: DataSet, root: Path, out: Path) -> Command:
    """``srec prepare`` of a data set."""
    if dataset.reviews:
        inputs = [part for name in dataset.reviews for part in ("--reviews", str(root / name))]
        inputs += ["--games", str(root / (dataset.games or ""))]
    else:
        inputs = ["--train-sessions", str(root / (dataset.train_sessions or ""))]
        inputs += ["--test-sessions", str(root / (dataset.test_sessions or ""))]
    changes = dict(dataset.changes)
    columns = changes.pop("columns", {})
    mapped = [part for field, name in columns.items() for part in ("--column", f"{field}={name}")]
    return ["prepare", *inputs, *_options(changes), *mapped, "--out", str(out)]


def input_files(dataset: DataSet, root: Path) -> list[Path]:
    """The files, folders and patterns that a data set is prepared from."""
    named = (*dataset.reviews, dataset.games, dataset.train_sessions, dataset.test_sessions)
    return [root / name for name in named if name]


def train_command(job: Job, data: Path, out: Path, threads: int | None) -> Command:
    """``srec train`` of a row; it goes on where it was interrupted."""
    changes = {**job.row.settings(job.dataset), "seed": str(job.seed)}
    command = ["train", "--data", str(data), "--model", str(job.row.model), "--preset", job.row.preset]
    command += [part for name, value in changes.items() for part in ("--set", f"{name}={value}")]
    return [*command, "--out", str(out), "--resume", *_threads(threads)]


def blend_command(job: Job, first: Path, second: Path, out: Path) -> Command:
    """``srec blend`` of two rows' runs."""
    changes = job.row.blend.changes if job.row.blend else {}
    return ["blend", "--run", str(first), "--with", str(second), *_options(changes), "--out", str(out)]


def evaluate_command(
    config: TableConfig, run: Path, figures: Path, ranks: Path, threads: int | None
) -> Command:
    """``srec evaluate`` of a run."""
    files = ["--json", str(figures), "--ranks", str(ranks)]
    return ["evaluate", "--run", str(run), *_how(config), *files, *_threads(threads)]


def served_commands(
    config: TableConfig, run: Path, data: Path, artifact: Path, figures: Path
) -> list[Command]:
    """``srec export`` of a run, and ``srec evaluate`` of the artifact; a worker has one thread."""
    asked = ["--artifact", str(artifact), "--data", str(data), *_how(config)]
    return [
        ["export", "--run", str(run), "--out", str(artifact)],
        ["evaluate", *asked, "--json", str(figures), *_threads(1)],
    ]


def stability_command(config: TableConfig, runs: list[Path], figures: Path, threads: int | None) -> Command:
    """``srec stability`` of a row's runs."""
    named = [part for run in runs for part in ("--run", str(run))]
    sessions = ["--sessions", str(config.stability_sessions)]
    return [
        "stability",
        *named,
        "--split",
        config.split,
        *sessions,
        "--json",
        str(figures),
        *_threads(threads),
    ]


def compare_command(ranks: list[Path], base: list[Path], figures: Path) -> Command:
    """``srec compare`` of a row's ranks with the base row's."""
    named = [part for path in ranks for part in ("--run", str(path))]
    others = [part for path in base for part in ("--with", str(path))]
    return ["compare", *named, *others, "--json", str(figures)]


def _how(config: TableConfig) -> list[str]:
    """Options of ``srec evaluate`` that say what is measured."""
    clicked = {None: [], True: ["--exclude-clicked"], False: ["--keep-clicked"]}[config.exclude_clicked]
    return ["--split", config.split, *clicked]


def _options(changes: dict[str, Any]) -> list[str]:
    """Settings as options of a command; true and false are flags, null is left out."""
    parts: list[str] = []
    for name, value in changes.items():
        option = name.replace("_", "-")
        if isinstance(value, bool):
            parts.append(f"--{option}" if value else f"--no-{option}")
        elif value is not None:
            parts += [f"--{option}", text(value)]
    return parts


def _threads(threads: int | None) -> list[str]:
    return [] if threads is None else ["--threads", str(threads)]
