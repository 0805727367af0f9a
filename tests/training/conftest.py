from collections.abc import Iterator

import pytest
import torch

from srec.data.dataset import Dataset
from srec.training.run import Run
from tests.training.small import prepare_cycle, prepare_log, quick, trained


@pytest.fixture(scope="package", autouse=True)
def _one_thread() -> Iterator[None]:
    """Tensors this small gain nothing from threads, which wait for each other on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def sessions(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """DATA of session files; tests only read it."""
    return prepare_cycle(tmp_path_factory.mktemp("sessions"))


@pytest.fixture(scope="session")
def reviews(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """DATA of reviews with metadata; tests only read it."""
    return prepare_log(tmp_path_factory.mktemp("reviews"))


@pytest.fixture(scope="session")
def straight(sessions: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Three epochs, all of them better than the one before, and three of refitting."""
    run = trained(sessions, tmp_path_factory.mktemp("straight") / "RUN", quick(epochs=3))
    assert run.record["epochs"] == 3
    return run
