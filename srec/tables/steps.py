"""The steps of a table: each knows whether it is finished, and if not runs the commands that make it so."""

import hashlib
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import srec
from srec.bench.cpu import describe
from srec.data.dataset import Dataset
from srec.errors import InputError, SrecError
from srec.io import read_json, write_json
from srec.manifest import DATA, RUN
from srec.prepare.files import stamps
from srec.tables import plan
from srec.tables.config import TableConfig
from srec.tables.plan import Job, Plan
from srec.tables.results import Results, row_figures
from srec.tables.work import Work

Note = Callable[[str], None]


class Steps:
    """What is done for a job or a row; a failing command is an ``SrecError``."""

    def __init__(
        self, config: TableConfig, work: Work, results: Results, threads: int | None, note: Note
    ) -> None:
        self.config, self.plan = config, Plan(config)
        self.work, self.results, self.threads, self.note = work, results, threads, note
        self._data: dict[str, str] = {}  # digests of the data sets that are ready

    def job(self, job: Job) -> None:
        """One row of one seed, unless its figures are there."""
        data = self.prepare(job.dataset)
        digest = self.plan.digest(job)
        if self.results.is_finished(job, digest, data):
            return
        name = f"{job.dataset}-{job.name}"
        self.note(f"{job.row.label}, {job.dataset}, seed {job.seed}: training, log {self.work.log(name)}")
        trained = self._train(job)
        key = self._key(job)
        evaluated = self._evaluate(job, key)
        figures = read_json(self.work.figures(name))
        content = {
            "label": job.row.label,
            "dataset": job.dataset,
            "seed": job.seed,
            "config": digest,
            "data": data,
            "figures": figures,
            "training": row_figures(read_json(self.work.run(job, key) / RUN.name)),
            "seconds": {"train": trained, "evaluate": evaluated},
            "commands": [self.work.shown(one) for one in self._commands(job, key)],
            "machine": describe(),
            "srec": srec.__version__,
            "code": code_version(),
        }
        self.results.keep(job, content)
        shown = ", ".join(f"{metric} {100 * figures[metric]:.2f}" for metric in self.config.metrics)
        self.note(f"{job.row.label}, {job.dataset}, seed {job.seed}: {shown}")

    def prepare(self, dataset: str) -> str:
        """DATA of a data set, prepared again where its files or options have changed; returns its digest."""
        if dataset in self._data:
            return self._data[dataset]
        config, out = self.config.data[dataset], self.work.data(dataset)
        command = plan.prepare_command(config, self.work.root, out)
        files = plan.input_files(config, self.work.root)
        expected = {"command": command, "files": [mark for file in files for mark in _marks(file)]}
        known = self.work.prepared(dataset)
        if not (known.is_file() and (out / DATA.name).is_file() and read_json(known) == expected):
            self.note(f"{dataset}: preparing")
            self.work.command(command, f"{dataset}-prepare")
            write_json(known, expected)
        prepared = Dataset(out)
        self.results.know_data(dataset, prepared.manifest["counts"], self.work.shown(command))
        self._data[dataset] = prepared.digest
        return prepared.digest

    def _train(self, job: Job) -> float | None:
        """Make RUN of a job; the seconds, None where it was there already."""
        run = self.work.run(job, self._key(job))
        if (run / RUN.name).is_file():
            return None
        if job.row.blend is not None:
            for part in self.plan.parts(job):
                self._train(part)
        return self.work.command(self._commands(job, self._key(job))[0], f"{job.dataset}-{job.name}")

    def _evaluate(self, job: Job, key: str) -> float:
        """Measure the run of a job; the seconds."""
        return self.work.command(self._commands(job, key)[1], f"{job.dataset}-{job.name}")

    def _commands(self, job: Job, key: str) -> list[list[str]]:
        """How the run of a job is made, and how it is measured."""
        run, threads = self.work.run(job, key), self.threads
        if job.row.blend is not None:
            first, second = (self.work.run(part, self._key(part)) for part in self.plan.parts(job))
            made = plan.blend_command(job, first, second, run)
        else:
            made = plan.train_command(job, self.work.data(job.dataset), run, threads)
        figures = self.work.figures(f"{job.dataset}-{job.name}")
        return [made, plan.evaluate_command(self.config, run, figures, self.work.ranks(job, key), threads)]

    def served(self, job: Job) -> None:
        """Milliseconds of the exported model; a model that cannot be exported keeps the reason."""
        key = self._key(job)
        run, artifact = self.work.run(job, key), self.work.artifact(job)
        if self.results.is_kept(job, "served", key) or not (run / RUN.name).is_file():
            return
        name = f"{job.dataset}-{job.row.slug}-served"
        figures = self.work.figures(name)
        commands = plan.served_commands(self.config, run, self.work.data(job.dataset), artifact, figures)
        self.note(f"{job.row.label}, {job.dataset}: served")
        content: dict[str, Any] = {"figures": None, "commands": [self.work.shown(one) for one in commands]}
        try:
            for command in commands:
                self.work.command(command, name)
            content["figures"] = read_json(figures)
        except SrecError as error:
            content["reason"] = str(error).splitlines()[-1].strip()
        finally:
            shutil.rmtree(artifact, ignore_errors=True)
        self.results.keep_extra([job], "served", key, content)

    def stability(self, jobs: list[Job]) -> None:
        """Stability of a row's runs, all seeds together."""
        name = f"{jobs[0].dataset}-{jobs[0].row.slug}-stability"
        digest = self._digest_of(jobs) + f"-{self.config.stability_sessions}"
        if self.results.is_kept(jobs[0], "stability", digest):
            return
        for job in jobs:
            self._train(job)
        self.note(f"{jobs[0].row.label}, {jobs[0].dataset}: stability")
        runs = [self.work.run(job, self._key(job)) for job in jobs]
        figures = self.work.figures(name)
        command = plan.stability_command(self.config, runs, figures, self.threads)
        self.work.command(command, name)
        content = {"figures": read_json(figures), "command": self.work.shown(command)}
        self.results.keep_extra(jobs, "stability", digest, content)

    def comparison(self, jobs: list[Job], others: list[Job]) -> None:
        """The paired difference of a row from the base row, where the ranks of both are at hand."""
        if not jobs or not others or jobs[0].dataset not in self._data:
            return
        ranks, against = ([self.work.ranks(job, self._key(job)) for job in side] for side in (jobs, others))
        if not all(path.is_file() for path in (*ranks, *against)):
            return
        digest = self._digest_of([*jobs, *others])
        if self.results.is_kept(jobs[0], "comparison", digest):
            return
        name = f"{jobs[0].dataset}-{jobs[0].row.slug}-comparison"
        figures = self.work.figures(name)
        command = plan.compare_command(ranks, against, figures)
        self.work.command(command, name)
        content = {
            "figures": read_json(figures),
            "base": others[0].row.label,
            "command": self.work.shown(command),
        }
        self.results.keep_extra(jobs, "comparison", digest, content)

    def _key(self, job: Job) -> str:
        """Names a job's settings together with its DATA."""
        return hashlib.sha256(f"{self.plan.digest(job)} {self._data[job.dataset]}".encode()).hexdigest()

    def _digest_of(self, jobs: list[Job]) -> str:
        return hashlib.sha256(json.dumps([self._key(job) for job in jobs]).encode()).hexdigest()


def _marks(path: Path) -> list[list[Any]]:
    """Name, size and time of change of the files that a path, folder or pattern stands for."""
    try:
        return [[name, *(stamp or (None, None))] for name, stamp in stamps([path], "data")]
    except InputError:  # `srec prepare` says it, and its log is kept
        return [[str(path), None, None]]


def code_version() -> str | None:
    """The commit of the code, marked where files differ from it; None outside a repository."""
    here = Path(__file__).parent
    try:
        found = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=12"],  # noqa: S607 (whichever git there is)
            cwd=here, capture_output=True, text=True, check=True,
        )  # fmt: skip
    except (OSError, subprocess.CalledProcessError):
        return None
    return found.stdout.strip()
