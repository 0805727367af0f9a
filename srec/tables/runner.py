"""A table from its YAML: prepare, train and evaluate what is not finished yet, row by row."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from srec.errors import SrecError
from srec.tables.config import Row, TableConfig
from srec.tables.plan import Job, Plan
from srec.tables.results import Results
from srec.tables.steps import Note, Steps
from srec.tables.work import Work


@dataclass(frozen=True)
class Limits:
    """What of a table is worked on.

    Attributes:
        only: labels of rows; empty: all.
        datasets: names of data sets; empty: all.
        seeds: so many seeds of each row at most; None: all.
        minutes: nothing new is begun later; None: no limit.
        threads: CPU threads of every training and evaluation; None: all cores.
    """

    only: tuple[str, ...] = ()
    datasets: tuple[str, ...] = ()
    seeds: int | None = None
    minutes: float | None = None
    threads: int | None = None


class TableRunner:
    """Works through a plan; whatever is finished stays finished, across interruptions."""

    def __init__(self, config: TableConfig, work: Work, results: Results, limits: Limits, note: Note) -> None:
        self.config, self.plan = config, Plan(config)
        self.work, self.results, self.limits, self.note = work, results, limits, note
        self.steps = Steps(config, work, results, limits.threads, note)
        self.failures: list[str] = []
        self._prepared: dict[str, bool] = {}
        self._began = time.monotonic()

    def run(self) -> None:
        """Do what is not done; a row that fails is told of, the others go on."""
        with self.work.locked():
            for row, dataset in self._wanted():
                self._row(row, dataset)
            for row, dataset in self._wanted():
                self._compare(row, dataset)
            self.results.write()

    def _wanted(self) -> Iterator[tuple[Row, str]]:
        """Rows and data sets within the limits, in order."""
        for row in self.config.rows:
            for dataset in self.config.datasets_of(row):
                rows, datasets = self.limits.only, self.limits.datasets
                if (not rows or row.label in rows) and (not datasets or dataset in datasets):
                    yield row, dataset

    def _jobs(self, row: Row, dataset: str) -> list[Job]:
        return self.plan.jobs(row, dataset)[: self.limits.seeds]

    def _row(self, row: Row, dataset: str) -> None:
        """All seeds of a row on a data set, then what is made of its finished runs."""
        jobs, complete = self._jobs(row, dataset), True
        if not jobs or not self._is_prepared(dataset):
            return
        for job in jobs:
            complete &= self._attempt(
                f"{row.label}, {dataset}, seed {job.seed}", partial(self.steps.job, job)
            )
        if not complete:
            return
        if self.config.served:
            self._attempt(f"{row.label}, {dataset}, served", partial(self.steps.served, jobs[0]))
        if row.stability:
            self._attempt(f"{row.label}, {dataset}, stability", partial(self.steps.stability, jobs))

    def _is_prepared(self, dataset: str) -> bool:
        """Prepare a data set, once: where that fails none of its rows is tried."""
        if dataset not in self._prepared:
            self._prepared[dataset] = self._attempt(dataset, partial(self.steps.prepare, dataset))
        return self._prepared[dataset]

    def _compare(self, row: Row, dataset: str) -> None:
        """A row with the base row: a matter of seconds, whatever the time."""
        if self.config.base in {None, row.label}:
            return
        base = self.config.row(str(self.config.base))
        others = self._jobs(base, dataset) if dataset in self.config.datasets_of(base) else []
        step = partial(self.steps.comparison, self._jobs(row, dataset), others)
        self._guarded(f"{row.label}, {dataset}, comparison", step)

    def _attempt(self, what: str, step: Callable[[], object]) -> bool:
        """Take a step unless the time is over; False where it is not finished."""
        minutes = self.limits.minutes
        if minutes is not None and time.monotonic() - self._began >= 60 * minutes:
            return False
        return self._guarded(what, step)

    def _guarded(self, what: str, step: Callable[[], object]) -> bool:
        """Take a step; what fails is told of, its first line remembered, and False."""
        try:
            step()
        except SrecError as error:
            told = f"{what}: {error}"
            self.failures.append(told.splitlines()[0].removesuffix(":"))
            self.note(told)
            return False
        return True
