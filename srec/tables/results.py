"""What a table keeps: a small JSON a finished row, and from these the table, its page and its plots."""

from pathlib import Path
from typing import Any

from srec.evaluation.metrics import METRICS, spread
from srec.io import new_file, read_json, write_json
from srec.tables.config import Row, TableConfig
from srec.tables.markdown import page
from srec.tables.plan import Job, Plan
from srec.tables.plots import plots

OF_RUN = ("epochs", "seconds", "validation", "peak_memory_bytes", "threads", "versions", "settings")


class Results:
    """The results folder of a table: ``rows/DATASET/ROW-sSEED.json``, ``table.json``, ``table.md``, plots."""

    def __init__(self, folder: Path, config: TableConfig, command: str) -> None:
        """Take the folder, the table, and the command that a reader repeats it with."""
        self.folder, self.config, self.plan, self.command = folder, config, Plan(config), command

    def is_finished(self, job: Job, digest: str, data: str) -> bool:
        """Whether a job's figures are there, of these settings and this DATA."""
        kept = self._kept(job.dataset, job.name)
        return kept is not None and kept["config"] == digest and kept["data"] == data

    def keep(self, job: Job, content: dict[str, Any]) -> None:
        """Keep a finished job, and write the table with it."""
        write_json(self._path(job.dataset, job.name), content)
        self.write()

    def is_kept(self, job: Job, what: str, digest: str) -> bool:
        """Whether a row's ``served``, ``stability`` or ``comparison`` is there, of these runs."""
        kept = self._kept(job.dataset, f"{job.row.slug}-{what}")
        return kept is not None and kept["digest"] == digest

    def keep_extra(self, jobs: list[Job], what: str, digest: str, content: dict[str, Any]) -> None:
        """Keep a row's ``served``, ``stability`` or ``comparison``, and write the table with it."""
        of = [self.plan.digest(job) for job in jobs]
        path = self._path(jobs[0].dataset, f"{jobs[0].row.slug}-{what}")
        write_json(path, {"digest": digest, "of": of, **content})
        self.write()

    def know_data(self, dataset: str, counts: dict[str, int], command: str) -> None:
        """Keep what a data set holds."""
        content = {"counts": counts, "command": command}
        if self._kept(dataset, "data") != content:
            write_json(self._path(dataset, "data"), content)

    def table(self) -> dict[str, Any]:
        """The whole table from what is kept."""
        return {
            "title": self.config.title,
            "split": self.config.split,
            "metrics": self.config.metrics,
            "base": self.config.base,
            "command": self.command,
            "datasets": {name: self._dataset(name) for name in self.config.data},
        }

    def write(self) -> None:
        """Write ``table.json``, ``table.md`` and the plots anew."""
        table = self.table()
        write_json(self.folder / "table.json", table)
        drawn = plots(table)
        for name, content in {"table.md": page(self.config, table, list(drawn)), **drawn}.items():
            with new_file(self.folder / name) as temporary:
                temporary.write_text(content)

    def _dataset(self, dataset: str) -> dict[str, Any]:
        rows = [
            self._row(row, dataset) for row in self.config.rows if dataset in self.config.datasets_of(row)
        ]
        return {
            "title": self.config.data[dataset].title or dataset,
            "prepared": self._kept(dataset, "data"),
            "rows": [row for row in rows if row is not None],
        }

    def _row(self, row: Row, dataset: str) -> dict[str, Any] | None:
        """A row's mean over its finished seeds; None where there is nothing to show."""
        jobs = self.plan.jobs(row, dataset)
        kept = [self._kept(dataset, job.name) for job in jobs]
        of_now = [
            one for job, one in zip(jobs, kept, strict=True) if one and one["config"] == self.plan.digest(job)
        ]
        published = row.published.get(dataset)
        if not of_now and not published:
            return None
        shown: dict[str, Any] = {"label": row.label, "note": row.note, "published": published}
        if of_now:
            shown |= _summary(of_now)
            shown["served"] = self._extra(row, dataset, "served")
            shown["stability"] = self._extra(row, dataset, "stability")
            shown["comparison"] = self._extra(row, dataset, "comparison")
        return shown

    def _extra(self, row: Row, dataset: str, what: str) -> dict[str, Any] | None:
        """A row's ``served``, ``stability`` or ``comparison``, unless of runs no longer asked for."""
        kept = self._kept(dataset, f"{row.slug}-{what}")
        wanted = {self.plan.digest(job) for job in self.plan.jobs(row, dataset)}
        figures: dict[str, Any] | None = kept["figures"] if kept and wanted.issuperset(kept["of"]) else None
        return figures

    def _kept(self, dataset: str, name: str) -> dict[str, Any] | None:
        path = self._path(dataset, name)
        content: dict[str, Any] | None = read_json(path) if path.is_file() else None
        return content

    def _path(self, dataset: str, name: str) -> Path:
        return self.folder / "rows" / dataset / f"{name}.json"


def row_figures(run: dict[str, Any]) -> dict[str, Any]:
    """What of ``run.json`` a row keeps."""
    return {name: run[name] for name in OF_RUN if name in run}


def _summary(seeds: list[dict[str, Any]]) -> dict[str, Any]:
    """Means and deviations over seeds of every figure that is a number; the seeds' mean intervals."""
    figures = [one["figures"] for one in seeds]
    numbers = [
        n for n, value in figures[0].items() if isinstance(value, int | float) and not isinstance(value, bool)
    ]
    return {
        "model": figures[0]["model"],
        "seeds": [one["seed"] for one in seeds],
        "figures": {name: spread([one[name] for one in figures])._asdict() for name in numbers},
        "intervals_95": {
            name: [sum(one["intervals_95"][name][end] for one in figures) / len(figures) for end in (0, 1)]
            for name in METRICS
        },
        "by_length": _by_length([one["by_length"] for one in figures]),
        "distance_by": figures[0]["distance_by"],
        "epochs": [one["training"].get("epochs") for one in seeds],
        "training_seconds": [one["training"].get("seconds") for one in seeds],
        "peak_memory_bytes": max(one["training"].get("peak_memory_bytes", 0) for one in seeds),
        "machine": seeds[0]["machine"],
        "code": sorted({str(one["code"]) for one in seeds}),
        "srec": sorted({one["srec"] for one in seeds}),
        "commands": seeds[0]["commands"],
    }


def _by_length(seeds: list[dict[str, dict[str, float]]]) -> dict[str, dict[str, float]]:
    """The mean over seeds of every metric of every group; all seeds saw the same sessions."""
    return {
        group: {name: spread([one[group][name] for one in seeds]).mean for name in first}
        for group, first in seeds[0].items()
    }
