"""RUN: what it keeps, and what is named when it is damaged or its data changed."""

import json
import shutil
from pathlib import Path

import pytest

from srec.errors import DataError, InputError
from srec.training.run import Run
from tests.training.small import ITEMS, prepare_cycle, quick, trained


@pytest.mark.parametrize("name", ["model.safetensors", "graph.safetensors", "items.parquet", "sessions.json"])
def test_a_damaged_run_is_named(name: str, straight: Run, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(straight.folder, tmp_path / "RUN"))
    with (copy / name).open("ab") as stream:
        stream.write(b"?")
    with pytest.raises(DataError, match=rf"{name} is missing or damaged: run `srec train` again"):
        Run(copy)
    (copy / name).unlink()
    with pytest.raises(DataError, match=rf"{name} is missing or damaged"):
        Run(copy)


def test_no_run_and_another_format_are_named(straight: Run, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"holds no finished run \(run.json\): make it with `srec train`"):
        Run(tmp_path)
    record = straight.record | {"format": 99}
    (tmp_path / "run.json").write_text(json.dumps(record))
    with pytest.raises(
        DataError, match=r"run\.json has format 99, this srec reads 1: run `srec train` again"
    ):
        Run(tmp_path)


def test_changed_data_is_refused(tmp_path: Path) -> None:
    data = prepare_cycle(tmp_path, count=60)
    run = trained(data, tmp_path / "RUN", quick("pop"))
    assert run.data().digest == data.digest
    prepare_cycle(tmp_path, count=61)
    with pytest.raises(
        DataError, match=r"is not the data that .*RUN was trained on .*--data, or train again"
    ):
        run.data()


def test_a_run_keeps_sessions_for_self_tests(straight: Run) -> None:
    samples = straight.sample_sessions()
    assert 0 < len(samples) <= 64
    assert all(1 <= item <= ITEMS for session in samples for item in session)
    assert len({len(session) for session in samples}) > 2
