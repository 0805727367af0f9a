"""Reading DATA: what was prepared comes back, and what is damaged is named."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from srec.data import dataset
from srec.data.dataset import Dataset
from srec.errors import DataError, InputError
from tests.training.small import prepare_cycle, prepare_log


@pytest.fixture(scope="module")
def sessions(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return prepare_cycle(tmp_path_factory.mktemp("sessions"), count=40)


@pytest.fixture(scope="module")
def reviews(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return prepare_log(tmp_path_factory.mktemp("reviews"))


@pytest.fixture
def copy(reviews: Dataset, tmp_path: Path) -> Path:
    return Path(shutil.copytree(reviews.folder, tmp_path / "DATA"))


def appids_of(data: Dataset, items: list[int]) -> list[int]:
    return [data.vocabulary.appid(item) for item in items]


def test_sessions_come_back_as_they_were_written(sessions: Dataset) -> None:
    lines = (sessions.folder.parent / "train.txt").read_text().splitlines()
    full = sessions.sequences(full=True)
    read = [appids_of(sessions, full[index]) for index in range(len(full))]
    assert read == [[int(appid) for appid in line.split()] for line in lines]
    assert len(sessions.sequences()) == len(full) - round(len(full) / 10)
    assert sessions.kind == "sessions"
    assert not sessions.has_metadata
    assert sessions.n_items == len(sessions.vocabulary) == sessions.graph().n_items


def test_examples_are_the_prefixes_of_the_test_sessions(sessions: Dataset) -> None:
    examples = sessions.examples("test")
    lines = (sessions.folder.parent / "test.txt").read_text().splitlines()
    known = set(sessions.vocabulary.appids.tolist())
    clicked = [[int(a) for a in line.split() if int(a) in known] for line in lines]
    expected = [(session[:end], session[end]) for session in clicked for end in range(1, len(session))]
    read = [
        (appids_of(sessions, examples.inputs[index]), sessions.vocabulary.appid(int(target)))
        for index, target in enumerate(examples.targets)
    ]
    assert read == expected


def test_metadata_has_a_row_per_item_and_one_of_padding(reviews: Dataset) -> None:
    rows = reviews.n_items + 1
    assert reviews.has_metadata
    assert reviews.tags().shape == (rows, 8)
    assert reviews.tag_matrix().shape[0] == rows
    indices, values = reviews.context()
    assert indices.shape[0] == rows
    assert indices.dtype == np.int64
    assert 0 <= indices.min() <= indices.max() < values
    assert not reviews.tags()[0].any()
    assert not indices[0].any()


@given(lists=st.lists(st.lists(st.integers(1, 9), max_size=4), max_size=6), cut=st.integers(0, 6))
def test_lists_are_flattened_whatever_chunk_or_slice_they_stand_in(lists: list[list[int]], cut: int) -> None:
    whole = pa.array(lists, pa.list_(pa.int32()))
    for column in (pa.chunked_array([whole]), pa.chunked_array([whole[:cut], whole[cut:]])):
        flat = dataset._flat(column)
        assert [flat[index] for index in range(len(flat))] == lists
    tail = dataset._flat(pa.chunked_array([whole[cut:]]))
    assert [tail[index] for index in range(len(tail))] == lists[cut:]


def test_a_table_without_rows_is_read(copy: Path) -> None:
    path = copy / "validation.parquet"
    pq.write_table(pq.read_table(path).slice(0, 0), path)
    examples = Dataset(copy).examples("validation")
    assert len(examples) == len(examples.inputs) == 0


def test_verify_names_the_first_file_that_differs(copy: Path) -> None:
    Dataset(copy).verify()
    with (copy / "train.parquet").open("ab") as stream:
        stream.write(b"?")
    with pytest.raises(DataError, match=r"train\.parquet is missing or damaged: run `srec prepare` again"):
        Dataset(copy).verify()
    (copy / "train.parquet").unlink()
    with pytest.raises(DataError, match=r"train\.parquet is missing"):
        Dataset(copy).verify()


def test_verify_checks_the_manifest_itself(copy: Path) -> None:
    manifest = json.loads((copy / "manifest.json").read_text()) | {"digest": "0" * 64}
    (copy / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(DataError, match=r"manifest\.json does not fit its own digest"):
        Dataset(copy).verify()


def test_no_data_another_format_and_a_broken_manifest_are_named(copy: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"holds no prepared data \(manifest\.json\): make it with"):
        Dataset(tmp_path)
    (copy / "manifest.json").write_text('{"format": 9}')
    with pytest.raises(DataError, match=r"has format 9, this srec reads 1: run `srec prepare` again"):
        Dataset(copy)
    (copy / "manifest.json").write_text('{"format": ')
    with pytest.raises(DataError, match=r"manifest\.json is damaged"):
        Dataset(copy)


READERS: dict[str, Callable[[Dataset], Any]] = {
    "train.parquet": lambda data: data.sequences(),
    "validation.parquet": lambda data: data.examples("validation"),
    "items.parquet": lambda data: data.vocabulary,
    "graph.safetensors": lambda data: data.graph(),
    "tags.safetensors": lambda data: data.tags(),
    "context.safetensors": lambda data: data.context(),
    "tag_matrix.npz": lambda data: data.tag_matrix(),
}


@pytest.mark.parametrize("damage", ["missing", "empty", "cut"])
@pytest.mark.parametrize("name", READERS)
def test_a_file_that_cannot_be_read_is_named(name: str, damage: str, copy: Path) -> None:
    READERS[name](Dataset(copy))
    content = (copy / name).read_bytes()
    (copy / name).unlink()
    if damage != "missing":
        (copy / name).write_bytes(content[: len(content) // 2] if damage == "cut" else b"")
    with pytest.raises(DataError, match=rf"{name} .*again"):
        READERS[name](Dataset(copy))
