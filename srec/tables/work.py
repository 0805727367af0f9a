"""The scratch folder of a table: DATA, RUNs, ranks and logs; one process at a time works in it."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TextIO

from srec.errors import InputError, SrecError
from srec.lock import held
from srec.serve_config import follow_parent
from srec.tables.plan import Job

LAST_LINES: Final = 5  # of a failed command's log, repeated in the message
KEY: Final = 10  # characters of a digest in the names of runs


Launch = Callable[[Sequence[str], TextIO], int]
"""Runs ``srec`` with these arguments, all output to the stream; returns the exit code."""


class Work:
    """The folders and files of one table's work."""

    def __init__(self, folder: Path, root: Path, launch: Launch | None = None) -> None:
        """Take a folder that may not exist yet, the one of the data sets' files, and what runs commands."""
        self.folder, self.root = folder.resolve(), root.resolve()
        self.launch = launch or in_a_process

    def data(self, dataset: str) -> Path:
        """DATA of a data set."""
        return self.folder / "data" / dataset

    def prepared(self, dataset: str) -> Path:
        """What DATA was prepared from, as JSON."""
        return self.folder / "data" / f"{dataset}.json"

    def run(self, job: Job, key: str) -> Path:
        """RUN of a job; ``key`` names its settings and DATA, so that no other's is taken for it."""
        return self.folder / "runs" / job.dataset / f"{job.name}-{key[:KEY]}"

    def ranks(self, job: Job, key: str) -> Path:
        """Every example's rank by a job."""
        return self.folder / "ranks" / job.dataset / f"{job.name}-{key[:KEY]}.safetensors"

    def artifact(self, job: Job) -> Path:
        """ARTIFACT of a job, while its milliseconds are measured."""
        return self.folder / "artifacts" / job.dataset / job.name

    def log(self, name: str) -> Path:
        """What a command said."""
        return self.folder / "logs" / f"{name}.log"

    def figures(self, name: str) -> Path:
        """Where a command leaves its figures, until they are put into the table."""
        return self.folder / "figures" / f"{name}.json"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder; ``InputError`` where another table, or a command that it left behind, holds it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        busy = InputError(f"another `srec table` works in {self.folder}: wait for it, or take another --work")
        with held(self.folder / ".lock", busy):
            yield

    def command(self, arguments: Sequence[str], name: str) -> float:
        """Run ``srec`` with ``arguments``, its output added to the log ``name``; returns the seconds.

        Raises:
            SrecError: it failed; the message ends with its last lines.
        """
        log = self.log(name)
        log.parent.mkdir(parents=True, exist_ok=True)
        began = time.monotonic()
        with log.open("a") as stream:
            first = stream.tell()
            stream.write(f"$ {self.shown(arguments)}\n")
            stream.flush()
            code = self.launch(arguments, stream)
        if code:
            last = "\n  ".join(log.read_bytes()[first:].decode().splitlines()[-LAST_LINES:])
            raise SrecError(f"`srec {arguments[0]}` of {name} failed ({code}), see {log}:\n  {last}")
        return time.monotonic() - began

    def shown(self, arguments: Sequence[str]) -> str:
        """A command as a reader may repeat it, with $ROOT and $WORK for this machine's folders."""
        text = " ".join(("srec", *(_quoted(argument) for argument in arguments)))
        return text.replace(str(self.folder), "$WORK").replace(str(self.root), "$ROOT")


def in_a_process(arguments: Sequence[str], output: TextIO) -> int:
    """Run ``srec`` in a process that ends when this one does; an interruption here ends it first."""
    follow = [sys.executable, str(Path(follow_parent.__file__)), str(os.getpid())]
    process = subprocess.Popen(  # noqa: S603 (our own command)
        [*follow, sys.executable, "-m", "srec", *arguments],
        stdout=output,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
    )
    try:
        return process.wait()
    except BaseException:
        process.terminate()
        process.wait()
        raise


def _quoted(argument: str) -> str:
    return f"'{argument}'" if any(sign in argument for sign in " ;&|*?()[]") else argument
