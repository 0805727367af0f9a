"""What is compared: the plain model, every export backend, and engines that srec does not ship.

A new row is one file here with a ``CANDIDATE`` and one line below; an export backend is a row by itself.
"""

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Protocol

from srec.bench.subject import Subject
from srec.bench.subject import load as load_subject
from srec.errors import InputError, nearest
from srec.export import BACKENDS, backend
from srec.export.pipeline import served_module
from srec.serving.ranker import EagerScorer, Scorer

EAGER = "eager"
SUBJECT = "subject"


class Candidate(Protocol):
    """A way to run the model; written and loaded in processes of their own."""

    def write(self, subject: Subject, folder: Path) -> dict[str, Any]:
        """Write what ``load`` needs into an empty folder; returns facts for ``load`` and for the row.

        Raises:
            HostError, ImportError: it cannot be done here; the message becomes the reason.
        """

    def load(self, folder: Path, facts: dict[str, Any]) -> Scorer:
        """Load it, to run on one thread."""


class Eager:
    """The plain model as it was trained."""

    def write(self, subject: Subject, folder: Path) -> dict[str, Any]:
        """Nothing: the subject itself is loaded."""
        return {"hops": subject.model.hops}

    def load(self, folder: Path, facts: dict[str, Any]) -> Scorer:
        """Read the model with its weights in memory."""
        return EagerScorer(load_subject(folder.parent / SUBJECT).model, facts["hops"])


class Exported:
    """One of srec's export backends, as ``srec export`` writes and ``srec serve`` loads it."""

    def __init__(self, name: str) -> None:
        self.name = name

    def write(self, subject: Subject, folder: Path) -> dict[str, Any]:
        """Write the artifact's model."""
        facts = backend(self.name).write(served_module(subject.model), subject.example(), folder)
        return facts | {"hops": subject.model.hops}

    def load(self, folder: Path, facts: dict[str, Any]) -> Scorer:
        """Load it as the worker does."""
        return backend(self.name).load(folder, facts)


# Modules, imported when asked for: what they need is in the extra `bench`, or in no extra at all.
COMPARED: Final = {
    "onnxruntime": "srec.bench.backends.onnxruntime",
    "openvino": "srec.bench.backends.openvino",
    "inductor": "srec.bench.backends.inductor",
    "int8-dynamic": "srec.bench.backends.int8_dynamic",
    "int8-static": "srec.bench.backends.int8_static",
}


def names() -> list[str]:
    """All rows: eager first, then what srec ships, then what it is compared with."""
    return [EAGER, *BACKENDS, *COMPARED]


def check(wanted: list[str]) -> list[str]:
    """Eager and the wanted rows in the order of ``names``; ``InputError`` for one that is not known."""
    for name in wanted:
        if name not in names():
            raise InputError(
                f'there is no row "{name}"{nearest(name, names())}: known are {", ".join(names())}'
            )
    return [name for name in names() if name == EAGER or name in wanted]


def candidate(name: str) -> Candidate:
    """Look a row up; what it needs is imported now."""
    if name == EAGER:
        return Eager()
    if name in BACKENDS:
        return Exported(name)
    made: Callable[[], Candidate] = importlib.import_module(COMPARED[name]).CANDIDATE
    return made()


def fallbacks(scorer: Scorer) -> int | None:
    """How often a certified scan has needed the full one so far; None for a scorer without one."""
    found: int | None = getattr(getattr(scorer, "scan", None), "fallbacks", None)
    return found
