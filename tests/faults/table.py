"""The whole table, with thousands of requests a fault: `make faults`. Writes faults.json and faults.md."""

import argparse
import json
import platform
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import psutil
import redis
import torch

from srec import __version__
from srec.export.archive import build_archive
from tests.faults import archive_faults, client_faults, host_faults, redis_faults, worker_faults
from tests.faults.measure import Fault, Row, measure
from tests.faults.questions import Question, draw_questions
from tests.faults.rig import Rig

QUESTIONS = 500
STRETCH = 2000
HOSTILE, GOOD = 10_000, 200_000
FAILED = "NOT SURVIVED"


class Table:
    """Measures faults on rigs of its own, in ``folder``; rows are shown as they come."""

    def __init__(self, artifact: Path, folder: Path, share: float) -> None:
        self.rows: list[Row] = []
        self._artifact = artifact
        self._folder = folder
        self._share = share
        self._questions: Sequence[Question] = draw_questions(artifact, QUESTIONS)

    def make(self) -> None:
        """Every fault once."""
        hostile, growth = client_faults.faults(int(HOSTILE * self._share), int(GOOD * self._share))
        self._measure("shared", (*redis_faults.FAULTS, *worker_faults.FAULTS, hostile))
        self._refused_at_start()
        self._measure(
            "deploys",
            (
                archive_faults.DIGEST,
                archive_faults.HANDLER,
                archive_faults.BROKEN_OFF,
                archive_faults.THERE_AND_BACK,
                host_faults.SIGTERM,
            ),
            SREC_DRAIN_SECONDS="5",
        )
        with host_faults.small_disk(self._folder / "disk") as reason:
            if reason:
                self._add(_without_load(host_faults.DISK.name, f"skipped: {reason}"))
            else:
                self._measure("disk", (host_faults.DISK,), SREC_LOG_LEVEL="info")
        self._measure("growth", (growth,), SREC_STORE_CACHE_MB="32")

    def _measure(self, name: str, faults: Iterable[Fault], **settings: str) -> None:
        folder = self._folder / name
        folder.mkdir(exist_ok=True)
        mar = build_archive(self._artifact, folder / "store")
        with Rig(self._artifact, mar, folder, **settings) as rig:
            for fault in faults:
                try:
                    self._add(measure(fault, rig, self._questions, int(STRETCH * self._share)))
                except AssertionError as error:  # the others are worth knowing
                    self._add(_without_load(fault.name, f"{FAILED}: {error}"))

    def _refused_at_start(self) -> None:
        folder = self._folder / "refused"
        folder.mkdir()
        digest = archive_faults.with_wrong_digest(self._artifact, folder / "digest")
        handler = archive_faults.with_broken_handler(self._artifact, folder / "handler")
        for what, mar in (("a wrong digest", digest), ("a broken handler", handler)):
            said = archive_faults.refused_at_start(mar, folder / f"t-{mar.stem}")
            self._add(_without_load(f"`srec serve` of an archive with {what}", f"exit code 1: {said}"))

    def _add(self, row: Row) -> None:
        self.rows.append(row)
        sys.stdout.write(f"{json.dumps(asdict(row))}\n")
        sys.stdout.flush()


def _without_load(fault: str, note: str) -> Row:
    return Row(fault=fault, load="none", note=note)


def write(rows: Sequence[Row], out: Path) -> None:
    """Both files, with what they were measured on."""
    facts = {
        "srec": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "redis-py": redis.__version__,
        "cores": psutil.cpu_count(),
        "load_average_at_the_end": round(psutil.getloadavg()[1], 1),
        "time": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
    }
    out.mkdir(parents=True, exist_ok=True)
    content = {"measured": facts, "faults": [asdict(row) for row in rows]}
    (out / "faults.json").write_text(json.dumps(content, indent=1) + "\n")
    (out / "faults.md").write_text("\n".join(_markdown(rows, facts)) + "\n")


def _markdown(rows: Iterable[Row], facts: dict[str, object]) -> Iterator[str]:
    yield "# Faults, and what visitors saw of them\n"
    yield ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in facts.items()) + "\n"
    names = "fault, load, requests, wrong, 503, 500, no answer, errors (s), recovery (s), memory (MB), note"
    yield f"| {' | '.join(names.split(', '))} |"
    yield f"{'|---' * (names.count(', ') + 1)}|"
    for row in rows:
        seconds = "" if row.recovery_seconds is None else f"{row.recovery_seconds:.1f}"
        memory = f"{row.memory_before or ''} to {row.memory_after or 'its end'}" if row.memory_before else ""
        cells = (
            row.fault, row.load, f"{row.requests:,}", row.wrong, row.refused, row.failed, row.broken,
            f"{row.error_seconds:.1f}", seconds, memory, row.note.replace("|", "/"),
        )  # fmt: skip
        yield f"| {' | '.join(map(str, cells))} |"


def main() -> None:
    """Read the options, make the table, write it."""
    options = argparse.ArgumentParser(prog="python -m tests.faults.table", description=__doc__)
    options.add_argument(
        "--artifact", type=Path, default=Path("demo/artifact"), help="folder of `srec export`"
    )
    options.add_argument("--out", type=Path, default=Path("results/reliability"), help="where the table goes")
    options.add_argument("--share", type=float, default=1.0, help="of the requests; for a quick look")
    given = options.parse_args()
    with tempfile.TemporaryDirectory(prefix="srec-faults-") as folder:
        table = Table(given.artifact, Path(folder), given.share)
        table.make()
    write(table.rows, given.out)
    if any(row.wrong or row.note.startswith(FAILED) for row in table.rows):
        raise SystemExit("a fault was not survived: see the table")


if __name__ == "__main__":
    main()
