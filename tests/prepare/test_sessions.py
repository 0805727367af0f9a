"""Session files, as papers' splits come."""

import gzip
import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from srec.cli import app
from srec.data.dataset import Dataset
from srec.errors import InputError
from srec.io import read_json
from srec.prepare import Report, SessionSettings, prepare_sessions

TRAIN = [[30, 10, 20], [10, 20], [20, 40, 10, 30], [10], [40, 20, 10], [20, 10]] * 5
WHY = "not a line of ids, which are integers from 1 to 2147483647 (where yours begin at 0, add 1 to all)"
TEST = [[10, 20, 30], [99, 10], [40, 99, 20], [10]]


def write(path: Path, sessions: list[list[int]]) -> Path:
    text = "".join(" ".join(map(str, session)) + "\n" for session in sessions)
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


def prepare(
    folder: Path, train: list[list[int]] = TRAIN, test: list[list[int]] = TEST, **settings: Any
) -> Report:
    files = write(folder / "train.txt.gz", train), write(folder / "test.txt", test)
    return prepare_sessions(*files, folder / "DATA", SessionSettings(**settings))


def rows(path: Path) -> list[dict[str, Any]]:
    return list(pq.read_table(path).to_pylist())


def test_prefix_expansion_oldest_first(tmp_path: Path) -> None:
    report = prepare(tmp_path)
    assert rows(tmp_path / "DATA" / "test.parquet") == [
        {"items": [1], "target": 2, "times": None},
        {"items": [1, 2], "target": 3, "times": None},
        {"items": [4], "target": 2, "times": None},
    ]
    assert report.dropped["test_clicks_on_items_not_in_training"] == 2
    assert report.dropped["test_sessions_without_an_example"] == 2
    assert report.counts["test_examples"] == 3


def test_validation_is_a_tenth_of_the_sessions_cut_before_expansion(tmp_path: Path) -> None:
    report = prepare(tmp_path)
    appid = {item: 10 * item for item in range(1, 5)}
    full = [[appid[item] for item in row["items"]] for row in rows(tmp_path / "DATA" / "train_full.parquet")]
    assert full == TRAIN
    held_out = set(np.random.default_rng(0).permutation(len(TRAIN))[:3].tolist())
    train = [[appid[item] for item in row["items"]] for row in rows(tmp_path / "DATA" / "train.parquet")]
    assert train == [session for place, session in enumerate(TRAIN) if place not in held_out]
    examples = [
        (session[:place], session[place])
        for number, session in enumerate(TRAIN)
        if number in held_out
        for place in range(1, len(session))
    ]
    validation = rows(tmp_path / "DATA" / "validation.parquet")
    assert [([appid[item] for item in row["items"]], appid[row["target"]]) for row in validation] == examples
    assert report.counts == {
        "items": 4,
        "train_sequences": 27,
        "train_clicks": sum(map(len, train)),
        "train_examples": sum(len(session) - 1 for session in train),
        "train_full_sequences": 30,
        "train_full_clicks": 75,
        "train_full_examples": 45,
        "validation_examples": len(examples),
        "test_examples": 3,
    }


def test_inputs_that_are_cut_are_told_of(tmp_path: Path) -> None:
    assert prepare(tmp_path).notes == []
    report = prepare(tmp_path, test=[[10, 20] * 501])  # its last click alone follows more than 1,000
    assert report.notes == ["1 inputs have more than 1,000 clicks: the newest are written"]
    files = "--train-sessions", tmp_path / "train.txt.gz", "--test-sessions", tmp_path / "test.txt"
    said = CliRunner().invoke(app, list(map(str, ["prepare", *files, "--out", tmp_path / "DATA"])))
    assert report.notes[0] in " ".join(said.output.split())
    assert max(len(row["items"]) for row in rows(tmp_path / "DATA" / "test.parquet")) == 1_000


def test_the_reader_accepts_it(tmp_path: Path) -> None:
    report = prepare(tmp_path, neighbours=2)
    data = Dataset(tmp_path / "DATA")
    data.verify()
    assert data.manifest["time_unit"] is None
    assert data.manifest["counts"] == report.counts
    assert data.vocabulary.appids.tolist() == [10, 20, 30, 40]
    assert data.graph().neighbours.shape == data.graph(full=True).neighbours.shape == (5, 2)
    assert data.graph(full=True).weights.sum() > data.graph().weights.sum()


def test_an_item_only_in_validation_is_dropped_from_it(tmp_path: Path) -> None:
    (only,) = np.random.default_rng(0).permutation(10)[:1].tolist()
    sessions = [[10, 20, 30] for _ in range(10)]
    sessions[only] = [10, 77, 20]
    report = prepare(tmp_path, sessions)
    assert report.dropped["validation_clicks_on_items_not_in_training"] == 1
    assert rows(tmp_path / "DATA" / "validation.parquet") == [{"items": [1], "target": 2, "times": None}]
    clicks = {row["appid"]: row["train_clicks"] for row in rows(tmp_path / "DATA" / "items.parquet")}
    assert clicks == {10: 9, 20: 9, 30: 9, 77: 0}


def test_another_seed_draws_another_validation_and_the_same_is_repeatable(tmp_path: Path) -> None:
    digests = []
    for seed in (0, 0, 1):
        prepare(tmp_path, seed=seed)
        digests.append(read_json(tmp_path / "DATA" / "manifest.json")["digest"])
    assert digests[0] == digests[1] != digests[2]


def test_bad_lines_are_counted_shown_and_stop_at_five_percent(tmp_path: Path) -> None:
    lines = [" ".join(map(str, session)) for session in TRAIN] + ["", "\t \t", "1 two 3"]
    train, test = tmp_path / "train.txt", write(tmp_path / "test.txt", TEST)
    train.write_text("\r\n".join(lines) + "\r\n")
    report = prepare_sessions(train, test, tmp_path / "DATA", SessionSettings())
    assert report.readings["train"].unparsable == 1
    assert [(row.row, row.why) for row in report.readings["train"].shown] == [("1 two 3", WHY)]
    train.write_text("\n".join([*lines, "-1 2"]))
    message = f"{train}: 2 of 32 rows (6.2%) of sessions cannot be read, more than 5%"
    with pytest.raises(InputError, match=re.escape(message)):
        prepare_sessions(train, test, tmp_path / "DATA", SessionSettings())


@pytest.mark.parametrize("stray", ["0", "-1", "2147483648", "3000000000", "12345678901", "1" * 30, "1.0"])
def test_one_id_out_of_range_costs_its_line(stray: str, tmp_path: Path) -> None:
    train, test = write(tmp_path / "train.txt", TRAIN), write(tmp_path / "test.txt", TEST)
    train.write_text(f"{train.read_text()}10 {stray}\n2147483647 0020 10\n")
    report = prepare_sessions(train, test, tmp_path / "DATA", SessionSettings())
    assert report.readings["train"].rows == len(TRAIN) + 2
    assert [(row.row, row.why) for row in report.readings["train"].shown] == [(f"10 {stray}", WHY)]
    assert report.counts["train_full_sequences"] == len(TRAIN) + 1
    assert Dataset(tmp_path / "DATA").vocabulary.appids.tolist() == [10, 20, 30, 40, 2147483647]


def test_lines_that_cannot_be_read_are_counted_too(tmp_path: Path) -> None:
    """Not UTF-8, or too long for the reader."""
    train, test = write(tmp_path / "train.txt", TRAIN * 2), write(tmp_path / "test.txt", TEST)
    good = train.read_bytes()
    train.write_bytes(good + b"10 \xe9 20\n" + b"1 " * 1_100_000 + b"\n10 20\n")
    report = prepare_sessions(train, test, tmp_path / "DATA", SessionSettings())
    reading = report.readings["train"]
    assert (reading.rows, reading.unparsable) == (2 * len(TRAIN) + 3, 2)
    assert [row.why for row in reading.shown] == ["line 61: not UTF-8", "line 62: longer than 2 MB"]
    assert report.counts["train_full_sequences"] == 2 * len(TRAIN) + 1
    train.write_bytes(good + b"10 \xe9 20\n" * 4)
    with pytest.raises(InputError, match=r"4 of 64 rows .* cannot be read.* line 61: not UTF-8"):
        prepare_sessions(train, test, tmp_path / "DATA", SessionSettings())


@pytest.mark.parametrize(
    ("train", "test", "message"),
    [
        (TRAIN, [], "holds no sessions"),
        (TRAIN, [[99, 98]], "test holds no example"),
        ([[1], [2]], TEST, "validation holds no example"),
        ([[1, 2]], TEST, "cannot be divided into training and validation"),
        ([[item - 10 for item in session] for session in TRAIN], TEST, "where yours begin at 0, add 1"),
    ],
)
def test_what_cannot_be_used(
    train: list[list[int]], test: list[list[int]], message: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=message):
        prepare(tmp_path, train, test)
    assert not (tmp_path / "DATA").exists()


def test_missing_file(tmp_path: Path) -> None:
    test = write(tmp_path / "test.txt", TEST)
    with pytest.raises(InputError, match="no such file of sessions"):
        prepare_sessions(tmp_path / "none.txt", test, tmp_path / "DATA", SessionSettings())


@pytest.mark.parametrize("given", ["", "*.csv"])
def test_a_folder_or_pattern_may_name_one_file(given: str, tmp_path: Path) -> None:
    """The order of several would decide which sessions are validation."""
    (tmp_path / "train").mkdir()
    write(tmp_path / "train" / "a.csv", TRAIN)
    files = tmp_path / "train" / given, write(tmp_path / "test.txt", TEST)
    prepare_sessions(*files, tmp_path / "DATA", SessionSettings())
    write(tmp_path / "train" / "b.csv", TRAIN)
    with pytest.raises(InputError, match=r"2 files of sessions, and one is read: join them into one file"):
        prepare_sessions(*files, tmp_path / "DATA", SessionSettings())
