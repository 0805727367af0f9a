"""Training speed: our rows, and a stand-in with the interface of the authors' code beside them."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from srec.bench.training import Settings, measure_training
from srec.bench.training_data import LONGEST, synthetic_data
from srec.bench.training_reference import neighbour_lists, prefixes
from srec.bench.training_report import COLUMNS, training_cells, write_training_report
from srec.data.dataset import Dataset, Sequences
from srec.errors import HostError, InputError
from srec.graph.neighbours import GlobalGraph
from srec.io import read_json

ROUNDS, STEPS, WARMUP, REFERENCE_STEPS = 2, 3, 1, 2
OPTIONS = ["dim=8", "hops=2", "dropout_aggregator=0.3", "batch_size=30"]

MODEL = """
import json
import torch
from torch import nn
from tqdm import tqdm

class CombineGraph(nn.Module):
    def __init__(self, opt, num_node, adj_all, num):
        super().__init__()
        self.batch_size = opt.batch_size
        self.embedding = nn.Embedding(num_node, opt.hiddenSize)
        self.optimizer = torch.optim.Adam(self.parameters(), lr=opt.lr, weight_decay=opt.l2)
        self.told = {**vars(opt), "num_node": num_node, "adj": adj_all.tolist(), "num": num.tolist()}

def trans_to_cuda(variable):
    return variable

def train_test(model, train_data, test_data):
    model.told |= {"inputs": train_data.inputs, "targets": train_data.targets, "losses": []}
    loader = torch.utils.data.DataLoader(train_data, batch_size=model.batch_size, shuffle=True)
    for last, target in tqdm(loader):
        model.optimizer.zero_grad()
        scores = model.embedding(last) @ model.embedding.weight.T
        loss = nn.functional.cross_entropy(scores, target)
        loss.backward()
        model.optimizer.step()
        model.told["losses"].append(loss.item())
        with open("told.json", "w") as file:
            json.dump(model.told, file)
    raise AssertionError("the benchmark ends the loop")
"""
UTILS = """
import numpy as np
from torch.utils.data import Dataset

def handle_adj(adj_dict, n_entity, sample_num, num_dict=None):
    adj, num = np.zeros((n_entity, sample_num), int), np.zeros((n_entity, sample_num), int)
    for item in range(1, n_entity):
        adj[item, : len(adj_dict[item])] = adj_dict[item]
        num[item, : len(num_dict[item])] = num_dict[item]
    return adj, num

class Data(Dataset):
    def __init__(self, data, train_len=None):
        self.inputs, self.targets = data

    def __getitem__(self, index):
        return self.inputs[index][-1], self.targets[index]

    def __len__(self):
        return len(self.targets)
"""


def stand_in(folder: Path, model: str = MODEL) -> Path:
    """A package with the names that the authors' has, in words of this test."""
    code = folder / "reference"
    code.mkdir()
    for name, text in (("model", model), ("utils", UTILS), ("aggregator", "")):
        (code / f"{name}.py").write_text(text)
    return code


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return synthetic_data(tmp_path_factory.mktemp("sessions"), items=40, sessions=150)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("bench")


@pytest.fixture(scope="module")
def figures(data: Dataset, place: Path) -> dict[str, Any]:
    """One run of the command, with the stand-in beside ours."""
    code = stand_in(place)
    options = [part for option in OPTIONS for part in ("--set", option)]
    numbers = ["--rounds", ROUNDS, "--steps", STEPS, "--warmup", WARMUP, "--threads", 1]
    command = ["srec", "bench", "training", "--data", data.folder, *options, "--precision", "float32"]
    command += [*numbers, "--reference", code, "--reference-steps", REFERENCE_STEPS]
    command += ["--name", "small", "--report", place / "report"]
    words = [str(word) for word in command]
    done = subprocess.run(
        [sys.executable, "-m", *words], cwd=place, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = read_json(place / "report" / "small.json")
    return found


def test_a_row_each_in_every_round(figures: dict[str, Any]) -> None:
    assert [row["row"] for row in figures["rows"]] == ["reference", "srec, float32"]
    for row, steps in zip(figures["rows"], (REFERENCE_STEPS, STEPS), strict=True):
        assert [len(seconds) for seconds in row["seconds"]] == [steps] * ROUNDS
        assert row["mean_of_each_round"] == pytest.approx([np.mean(seconds) for seconds in row["seconds"]])
        assert row["step_seconds"] == pytest.approx(np.median(row["mean_of_each_round"]))
        assert row["examples_per_s"] == pytest.approx(30 / row["step_seconds"])
        assert row["epoch_seconds"] == pytest.approx(-(-row["examples"] // 30) * row["step_seconds"])
        assert row["peak_memory_bytes"] > 50 << 20
    theirs, ours = (row["mean_of_each_round"] for row in figures["rows"])
    assert figures["rows"][1]["ratio_of_each_round"] == pytest.approx(np.divide(theirs, ours))
    assert figures["rows"][1]["ratio"] == pytest.approx(np.median(np.divide(theirs, ours)))
    assert figures["settings"]["parameters"]["hops"] == 2


def test_the_reference_trains_on_the_same(figures: dict[str, Any], data: Dataset, place: Path) -> None:
    told = read_json(place / "told.json")
    sequences, graph = data.sequences(full=True), data.graph(full=True)
    pairs = [
        (sequences[s][:end], sequences[s][end])
        for s in range(len(sequences))
        for end in range(1, len(sequences[s]))
    ]
    assert list(zip(told["inputs"], told["targets"], strict=True)) == pairs
    assert {row["examples"] for row in figures["rows"]} == {len(pairs)}
    assert told["adj"] == graph.neighbours.tolist()
    assert told["num"] == graph.weights.tolist()
    assert told["num_node"] == data.n_items + 1
    given = {name: told[name] for name in ("batch_size", "hiddenSize", "n_iter", "dropout_gcn", "lr", "l2")}
    expected = {"batch_size": 30, "hiddenSize": 8, "n_iter": 2, "dropout_gcn": 0.3, "lr": 1e-3, "l2": 1e-5}
    assert given == expected
    assert len(told["losses"]) == 1 + ROUNDS * REFERENCE_STEPS, "one step of warm-up comes first"


def test_the_report_says_how_it_was_made(figures: dict[str, Any], place: Path) -> None:
    text = (place / "report" / "small.md").read_text()
    assert figures["command"].startswith("srec bench training --data")
    assert figures["command"] in text
    assert figures["versions"]["torch"] in text
    assert "| srec, float32 |" in text


def test_cells(tmp_path: Path) -> None:
    row = {
        "row": "srec, float32",
        "step_seconds": 0.02,
        "mean_of_each_round": [0.02, 0.018, 0.025],
        "step_quantiles": [0.01, 0.019, 0.04],
        "examples_per_s": 5000.0,
        "epoch_seconds": 90.0,
        "peak_memory_bytes": 700 << 20,
        "ratio": 36.0,
        "ratio_of_each_round": [36.0, 40.0, 28.5],
    }
    expected = ["srec, float32", "20.0", "18.0-25.0", "10.0 / 19.0 / 40.0", "5,000", "1.5", "700", "36.0"]
    assert training_cells(row) == [*expected, "28.5-40.0"]
    alone = {name: value for name, value in row.items() if not name.startswith("ratio")}
    assert training_cells(alone) == [*expected[:-1], "", ""]
    figures = {
        "machine": {"cores": 2, "cpu": "a CPU", "memory_gb": 8, "system": "Linux", "python": "3.11"},
        "versions": {"torch": "2"},
        "data": {"counts": {"items": 1234}},
        "settings": {"model": "m", "preset": "p", "training": {"batch_size": 9}, "parameters": {"dim": 8}},
        "threads": 2,
        "rounds": 3,
        "rows": [{**alone, "examples": 7}],
    }
    written = write_training_report(tmp_path, "made", figures, "srec bench").read_text()
    assert f"| {' | '.join(COLUMNS)} |" in written
    assert "1,234 items, 7 examples. Parameters: dim 8." in written


def test_ours_alone_has_no_ratio(data: Dataset) -> None:
    settings = Settings("stamp", "best", precisions=("bfloat16",), rounds=1, steps=2, warmup=1)
    (row,) = measure_training(data, settings)["rows"]
    assert row["row"] == "srec, bfloat16"
    assert "ratio" not in row
    assert len(row["seconds"][0]) == 2


def test_a_reference_that_fails_says_why(data: Dataset, tmp_path: Path) -> None:
    code = stand_in(tmp_path, "def trans_to_cuda(v): return v\nraise RuntimeError('needs another torch')\n")
    with pytest.raises(HostError, match="the reference failed: RuntimeError: needs another torch"):
        measure_training(data, Settings(reference=code))


def test_what_cannot_be_compared_is_refused(data: Dataset, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"has no model\.py: give a checkout"):
        measure_training(data, Settings(reference=tmp_path))
    code = stand_in(tmp_path)
    for other in (Settings(model="sr-gnn", reference=code), Settings(preset="best", reference=code)):
        with pytest.raises(InputError, match="GCE-GNN as published"):
            measure_training(data, other)


def test_data_in_the_form_of_the_reference() -> None:
    sequences = Sequences(np.array([5, 6, 7, 8, 9, 9], np.int32), np.array([0, 3, 4, 6]))
    assert prefixes(sequences) == ([[5], [5, 6], [9]], [6, 7, 9])
    graph = GlobalGraph(np.array([[0, 0], [2, 0], [2, 1]], np.int32), np.array([[0, 0], [3, 0], [4, 3.0]]))
    assert neighbour_lists(graph) == ([[], [2], [2, 1]], [[], [3], [4, 3]])


def test_made_up_sessions_are_the_same_for_a_seed(data: Dataset, tmp_path: Path) -> None:
    again = synthetic_data(tmp_path / "again", items=40, sessions=150)
    other = synthetic_data(tmp_path / "other", items=40, sessions=150, seed=1)
    assert again.digest == data.digest != other.digest
    lengths = np.diff(data.sequences(full=True).offsets)
    assert lengths.min() >= 2
    assert lengths.max() <= LONGEST
    assert json.loads((data.folder / "manifest.json").read_text())["counts"]["items"] <= 40
