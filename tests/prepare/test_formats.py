"""The same rows are the same DATA, whatever file they come in."""

import gzip
import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from srec.io import read_json
from tests.prepare.conftest import HEADER, Prepare, Row, log, write_csv, write_lines


def digest(folder: Path) -> str:
    return str(read_json(folder / "manifest.json")["digest"])


def as_parquet(path: Path, rows: Sequence[Row]) -> Path:
    columns = dict(zip(HEADER, zip(*rows, strict=True), strict=True))
    pq.write_table(pa.table({name: list(values) for name, values in columns.items()}), path)
    return path


def as_jsonl(path: Path, rows: Sequence[Row]) -> Path:
    return write_lines(path, [dict(zip(HEADER, row, strict=True)) for row in rows])


def as_gzip(path: Path, rows: Sequence[Row]) -> Path:
    plain = write_csv(path.with_suffix(""), rows)
    path.write_bytes(gzip.compress(plain.read_bytes()))
    return path


def as_zstd(path: Path, rows: Sequence[Row]) -> Path:
    plain = as_jsonl(path.with_suffix(""), rows)
    duckdb.sql(
        f"COPY (SELECT column0 FROM read_csv('{plain}', header = false, delim = '\x01', quote = '')) "
        f"TO '{path}' (FORMAT csv, HEADER false, QUOTE '', DELIMITER '\x01')"
    )
    return path


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("reviews.parquet", as_parquet),
        ("reviews.jsonl", as_jsonl),
        ("reviews.csv.gz", as_gzip),
        ("reviews.jsonl.zst", as_zstd),
    ],
)
def test_format_does_not_matter(
    name: str, write: Callable[[Path, Sequence[Row]], Path], prepare: Prepare, tmp_path: Path
) -> None:
    prepare(write_csv(tmp_path / "plain.csv", log()), out=tmp_path / "plain")
    prepare(write(tmp_path / name, log()), out=tmp_path / "other")
    assert digest(tmp_path / "plain") == digest(tmp_path / "other")


def test_several_files_are_one_log_in_the_order_given(prepare: Prepare, tmp_path: Path) -> None:
    rows = log()
    prepare(write_csv(tmp_path / "whole.csv", rows), out=tmp_path / "whole")
    parts = [
        as_jsonl(tmp_path / "part-1.jsonl", rows[:40]),
        as_parquet(tmp_path / "part-2.parquet", rows[40:]),
    ]
    report = prepare(*parts, out=tmp_path / "parts")
    assert digest(tmp_path / "parts") == digest(tmp_path / "whole")
    assert [file.rows for file in report.readings["reviews"].files] == [40, len(rows) - 40]


def test_a_pattern_names_several_files(prepare: Prepare, tmp_path: Path) -> None:
    rows = log()
    write_csv(tmp_path / "part-1.csv", rows[:40])
    write_csv(tmp_path / "part-2.csv", rows[40:])
    report = prepare(str(tmp_path / "part-*.csv"))
    assert [file.rows for file in report.readings["reviews"].files] == [40, len(rows) - 40]


def test_dates_votes_and_ids_in_any_spelling(prepare: Prepare, tmp_path: Path) -> None:
    def spelled(place: int, row: Row) -> Row:
        user, appid, time, _ = row
        moment = datetime.fromtimestamp(int(str(time)), UTC)
        times = [time, moment.isoformat(), moment.strftime("%Y-%m-%d %H:%M:%S"), f"{time}.0"]
        return f" {user} ", f"{appid}.0", times[place % 4], ["TRUE", "true", 1, "1.0"][place % 4]

    prepare(write_csv(tmp_path / "plain.csv", log()), out=tmp_path / "plain")
    odd = [spelled(place, row) for place, row in enumerate(log())]
    prepare(write_csv(tmp_path / "odd.csv", odd), out=tmp_path / "odd")
    assert digest(tmp_path / "plain") == digest(tmp_path / "odd")


def test_columns_are_renamed_and_separators_found(prepare: Prepare, tmp_path: Path) -> None:
    prepare(write_csv(tmp_path / "plain.csv", log()), out=tmp_path / "plain")
    lines = ["vote;note;user;app;when", *(f'{v};"a;\nb";{u};{a};{t}' for u, a, t, v in log())]
    (tmp_path / "mine.csv").write_text("\ufeff" + "\n".join(lines) + "\n")
    columns = {"steamid": "user", "appid": "app", "timestamp_created": "when", "voted_up": "vote"}
    prepare(tmp_path / "mine.csv", out=tmp_path / "mine", columns=columns)
    assert digest(tmp_path / "plain") == digest(tmp_path / "mine")


def test_mixed_line_ends_are_read(prepare: Prepare, tmp_path: Path) -> None:
    lines = [",".join(map(str, row)) for row in [HEADER, *log()]]
    text = "\r\n".join(lines[:40]) + "\r\n" + "\n".join(lines[40:]) + "\n"
    (tmp_path / "reviews.csv").write_bytes(text.encode())
    report = prepare(tmp_path / "reviews.csv")
    assert report.readings["reviews"].rows == len(log())


def test_a_second_run_gives_the_same_digest(prepare: Prepare, tmp_path: Path) -> None:
    reviews = write_csv(tmp_path / "reviews.csv", log())
    for name in ("first", "second"):
        prepare(reviews, out=tmp_path / name)
    assert digest(tmp_path / "first") == digest(tmp_path / "second")
    files = read_json(tmp_path / "first" / "manifest.json")["files"]
    assert set(files) == {
        "items.parquet", "train.parquet", "validation.parquet", "test.parquet", "graph.safetensors",
        "new_validation.parquet", "new_test.parquet",
        "tags.safetensors", "tag_matrix.npz", "tag_names.json", "context.safetensors", "context.json",
    }  # fmt: skip


def test_keys_that_need_quoting(prepare: Prepare, tmp_path: Path) -> None:
    records = [
        {'the "user"/~': user, "appid": appid, "timestamp_created": time, "voted_up": True}
        for user, appid, time, _ in log()
    ]
    (tmp_path / "reviews.jsonl").write_text("".join(json.dumps(record) + "\n\n" for record in records))
    report = prepare(tmp_path / "reviews.jsonl", columns={"steamid": 'the "user"/~'})
    assert report.counts["train_sequences"] == 12
