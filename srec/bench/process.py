"""The other side of ``srec.bench.worker``: starts the processes, asks, and ends them."""

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Self, cast

from srec.bench.cpu import Cpu, environment
from srec.errors import HostError

SOURCE = Path(__file__).resolve().parents[2]


class Conversation:
    """A process that answers lines of JSON with lines of JSON; its first line says that it is ready."""

    def __init__(self, process: "subprocess.Popen[str]", log: Path) -> None:
        """Wait until it is ready; ``HostError`` where it cannot be. What it prints else is in ``log``."""
        self._process, self._log = process, log
        self._questions, self._answers = cast(IO[str], process.stdin), cast(IO[str], process.stdout)
        try:
            self.ready = self._answer()
        except BaseException:
            self.close()
            raise

    def ask(self, do: str, **arguments: Any) -> dict[str, Any]:
        """Send a request and wait for the answer."""
        try:
            self._questions.write(json.dumps({"do": do, **arguments}) + "\n")
            self._questions.flush()
        except BrokenPipeError:
            raise HostError(self._last_words()) from None
        return self._answer()

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()
        with contextlib.suppress(BrokenPipeError):
            self._questions.close()
        self._answers.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _answer(self) -> dict[str, Any]:
        line = self._answers.readline()
        if not line:
            raise HostError(self._last_words())
        return _checked(line)

    def _last_words(self) -> str:
        code = self._process.wait()
        return f"its process ended with {code}: {_last_line(self._log)}"


class Process(Conversation):
    """A row that is loaded in a process of its own; it answers as ``srec.bench.worker.Served`` says."""

    def __init__(self, folder: Path, name: str, cpu: Cpu, python: str = sys.executable) -> None:
        """Start and wait until it is loaded; ``HostError`` where it cannot be."""
        self.name = name
        super().__init__(_start("serve", folder, name, cpu, python), folder / f"{name}.log")


def write(folder: Path, name: str, cpu: Cpu, python: str = sys.executable) -> dict[str, Any]:
    """Write a row's files in a process of its own; ``HostError`` with the reason where it cannot be."""
    return run_once("write", folder, name, cpu, python)


def make(folder: Path, items: int, dim: int) -> dict[str, Any]:
    """Write a synthetic subject in a process of its own, so that its memory is free again."""
    return run_once("make", folder, f"{items}x{dim}", "native", sys.executable)


def run_once(verb: str, folder: Path, name: str, cpu: Cpu, python: str) -> dict[str, Any]:
    """Run one of the worker's verbs to its end; ``HostError`` with the reason where it fails."""
    process = _start(verb, folder, name, cpu, python)
    try:
        output, _ = process.communicate()
    except BaseException:
        process.kill()
        process.wait()
        raise
    if not output.strip():
        raise HostError(f"its process ended with {process.returncode}: {_last_line(folder / f'{name}.log')}")
    return _checked(output)


def start(command: Sequence[str], log: Path, environment: Mapping[str, str]) -> "subprocess.Popen[str]":
    """Start a Python program of srec's that talks over its pipes; ``HostError`` where it cannot be."""
    with log.open("a") as stream:
        try:
            return subprocess.Popen(  # noqa: S603  # this Python, or the one that the user names
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stream,
                text=True,
                env={**environment, "PYTHONPATH": _with_source()},
            )
        except OSError as error:
            raise HostError(f"{command[0]} cannot be started: {error.strerror}") from error


def _start(verb: str, folder: Path, name: str, cpu: Cpu, python: str) -> "subprocess.Popen[str]":
    command = [python, "-m", "srec.bench.worker", verb, str(folder), name]
    return start(command, folder / f"{name}.log", environment(cpu))


def _with_source() -> str:
    """This very srec, for a Python that has another one installed or none."""
    return os.pathsep.join(filter(None, [str(SOURCE), os.environ.get("PYTHONPATH")]))


def _checked(line: str) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(line)
    if "failed" in answer:
        raise HostError(answer["failed"])
    return answer


def _last_line(log: Path) -> str:
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return lines[-1][:300] if lines else "it said nothing"
