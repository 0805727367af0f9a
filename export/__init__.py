"""The registry of export backends: a new one is one file and one line here."""

import importlib
from pathlib import Path
from typing import Any, Final, Protocol

from torch import nn

from srec.errors import InputError, nearest
from srec.graph.inputs import ModelInputs
from srec.serving.ranker import Scorer


class Backend(Protocol):
    """A way to write a model down and to run it again."""

    def write(self, model: nn.Module, example: ModelInputs, folder: Path) -> dict[str, Any]:
        """Write the model's files into ``folder``; returns what the manifest says of them.

        Raises:
            HostError: this machine cannot write it; the message says why.
        """

    def load(self, folder: Path, manifest: dict[str, Any]) -> Scorer:
        """Load what ``write`` wrote; ``DataError`` where it cannot be read."""


# Modules, imported when first asked for: a worker loads the one backend of its archive.
BACKENDS: Final = {
    "torchscript": "srec.export.torchscript",
    "ipex": "srec.export.ipex",
    "fast": "srec.export.fast",
}


def backend(name: str) -> Backend:
    """Look a backend up; ``InputError`` naming the nearest known one."""
    if name not in BACKENDS:
        raise InputError(
            f'there is no export backend "{name}"{nearest(name, BACKENDS)}: known are {", ".join(BACKENDS)}'
        )
    found: Backend = importlib.import_module(BACKENDS[name]).BACKEND
    return found
