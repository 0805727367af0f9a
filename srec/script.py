"""TorchScript's compiler for the functions that every request calls: a call of torch costs half of Python's.

A successor of TorchScript replaces this file and ``export/torchscript.py``.
"""

import contextlib
import warnings
from collections.abc import Callable, Iterator
from typing import ParamSpec, TypeVar, cast

import torch

P = ParamSpec("P")
R = TypeVar("R")


def script(function: Callable[P, R]) -> Callable[P, R]:
    """Compile a function of tensors and numbers; it answers as the plain one does."""
    with quiet():
        return cast(Callable[P, R], torch.jit.script(function))


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """TorchScript warns of its own deprecation at every call; the project knows."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        yield
