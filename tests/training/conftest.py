from collections.abc import Iterator

import pytest
import torch

from srec.data.dataset import Dataset
from tests.training.small import prepare_cycle, prepare_log


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
