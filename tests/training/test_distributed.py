"""Two real processes, as torchrun starts them, give what one gives."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from srec.data.dataset import Dataset
from srec.errors import InputError
from srec.training.distributed import Group, join_group
from srec.training.run import Run
from tests.training.small import quick, trained

CHANGES = {"dim": 8, "dropout_global": 0, "batch_size": 33, "epochs": 2, "averaging": "ema"}


def test_two_processes_give_the_weights_of_one(sessions: Dataset, tmp_path: Path) -> None:
    """Through selection and refit; batches of 33 are dealt out unevenly."""
    settings = quick("gce-gnn", "paper", **CHANGES)
    one = trained(sessions, tmp_path / "ONE", settings)
    changes = [f"--set={name}={value}" for name, value in CHANGES.items()] + ["--set=learning_rate=0.005"]
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "-m"]
    command = ["srec", "train", "--preset=paper", "--threads=1", f"--data={sessions.folder}", *changes]
    ended = subprocess.run(
        [*torchrun, *command, f"--out={tmp_path / 'TWO'}"],
        check=False, capture_output=True, text=True, timeout=500,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    assert (ended.stdout + ended.stderr).count("wrote") == 1  # the second process is silent
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ONE", "TWO"]
    two = Run(tmp_path / "TWO")
    assert two.settings == one.settings
    for name in ("model", "selection"):
        alone, together = (load_file(run.folder / f"{name}.safetensors") for run in (one, two))
        for key, tensor in alone.items():
            torch.testing.assert_close(together[key], tensor, atol=2e-4, rtol=1e-3)
    for ours, theirs in zip(one.record["history"], two.record["history"], strict=True):
        assert ours["loss"] == pytest.approx(theirs["loss"], rel=1e-4)
        assert ours["mrr@20"] == pytest.approx(theirs["mrr@20"], abs=0.01)


def test_a_process_alone_is_a_group_of_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    group = join_group()
    assert (group.rank, group.size, group.first, group.told({"a": 0.1})) == (0, 1, True, {"a": 0.1})
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.delenv("RANK", raising=False)
    with pytest.raises(InputError, match=r"WORLD_SIZE=2 is set, RANK.* not: .*torchrun"):
        join_group()


def test_a_batch_is_dealt_out_whole() -> None:
    indices = torch.arange(7).numpy()
    parts = [Group(rank, 3).share(indices).tolist() for rank in range(3)]
    assert parts == [[0, 3, 6], [1, 4], [2, 5]]
    assert len({Group(rank, 3).seed(5) for rank in range(3)}) == 3
