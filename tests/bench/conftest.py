"""A model of a few hundred items, measured once with every row that this machine can run."""

from pathlib import Path
from typing import Any

import pytest

from srec.bench.backends import names
from srec.bench.model import Settings, measure_model
from srec.bench.subject import Subject, synthetic

INPUTS, WARMUP, RUNS = 24, 4, 2


@pytest.fixture(scope="session")
def subject() -> Subject:
    return synthetic(items=300, dim=16)


@pytest.fixture(scope="session")
def saved() -> list[dict[str, Any]]:
    """What the measurement handed out on its way."""
    return []


@pytest.fixture(scope="session")
def figures(subject: Subject, saved: list[dict[str, Any]]) -> dict[str, Any]:
    # A compiler takes half a minute for a model of any size: not in a test.
    rows = [name for name in names() if name != "inductor"]
    settings = Settings(rows, INPUTS, WARMUP, RUNS, ipex_python=Path("/nowhere/python"))
    return measure_model(subject, settings, lambda _: None, saved.append)
