"""Large logs and odd ones: typed Parquet, folders, web addresses, giant users, a full disk."""

import functools
import os
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from http.server import SimpleHTTPRequestHandler
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from srec.data.dataset import LONGEST_INPUT
from srec.demo.scale import write_scale
from srec.demo.shape import Lengths, Shape, Store
from srec.errors import InputError
from srec.io import read_json
from srec.prepare.engine import SCRATCH, Engine
from srec.prepare.filters import latest_vote, latest_vote_of_many
from tests.prepare.conftest import DAY, HEADER, START, Prepare, Row, log, write_csv, write_lines
from tests.web import in_a_thread


def digest(folder: Path) -> str:
    return str(read_json(folder / "manifest.json")["digest"])


def typed(path: Path, rows: Sequence[Row], time_scale: int = 1) -> Path:
    """Users as text, all else as integers; None where there is nothing."""
    path.parent.mkdir(exist_ok=True)
    columns: list[list[Any]] = [list(column) for column in zip(*rows, strict=True)]
    columns[2] = [None if time is None else int(time) * time_scale for time in columns[2]]
    kinds = [pa.string(), pa.int32(), pa.int64(), pa.int8()]
    pq.write_table(
        pa.table([pa.array(c, k) for c, k in zip(columns, kinds, strict=True)], list(HEADER)), path
    )
    return path


BAD: list[Row] = [
    ("u", 0, START, 1), ("u", -3, START, 1), ("u", 10, 5, 1), ("u", 10, START, 2), ("u", 10, 2**62, 1),
    (None, 10, START, 1), (" ", 10, START, 1), ("u", None, START, 1), ("u", 10, None, 1),
    ("u", 10, START, None),
]  # fmt: skip


def test_typed_files_judge_rows_as_text_files_do(prepare: Prepare, tmp_path: Path) -> None:
    rows = [*log(users=20), *BAD[:5], *log(users=20), *BAD[5:]]
    text = prepare(write_csv(tmp_path / "log.csv", rows), out=tmp_path / "text").readings["reviews"]
    fast = prepare(typed(tmp_path / "log.parquet", rows), out=tmp_path / "fast").readings["reviews"]
    assert digest(tmp_path / "text") == digest(tmp_path / "fast")
    assert (fast.unparsable, fast.empty) == (text.unparsable, text.empty) == (5, {
        "appid": 1, "steamid": 2, "timestamp_created": 1, "voted_up": 1,
    })  # fmt: skip
    assert [(bad.why, bad.row) for bad in fast.shown] == [(bad.why, bad.row) for bad in text.shown]
    assert [(file.rows, file.unparsable, file.empty) for file in fast.files] == [(len(rows), 5, 5)]


@pytest.mark.parametrize(("unit", "scale"), [("milliseconds", 10**3), ("nanoseconds", 10**9)])
def test_finer_units_of_time_are_recognised_and_counted(
    unit: str, scale: int, prepare: Prepare, tmp_path: Path
) -> None:
    rows = log()
    prepare(write_csv(tmp_path / "plain.csv", rows), out=tmp_path / "plain")
    mixed = [(u, a, int(str(t)) * scale if place % 2 else t, v) for place, (u, a, t, v) in enumerate(rows)]
    for path in (write_csv(tmp_path / "mixed.csv", mixed), typed(tmp_path / "mixed.parquet", mixed)):
        report = prepare(path, out=tmp_path / "mixed")
        assert report.notes == [f"48 times are in {unit}: they are taken as seconds"]
        assert digest(tmp_path / "plain") == digest(tmp_path / "mixed")


def test_years_to_come_are_set_aside_and_counted(prepare: Prepare, tmp_path: Path) -> None:
    late = [("u1", 10, 4_000_000_000 + place, 1) for place in range(3)]
    report = prepare(typed(tmp_path / "log.parquet", [*log(), *late]))
    assert report.steps[0].name == "until"
    assert report.steps[0].removed.rows == 3


def test_a_giant_user_has_bounded_inputs(prepare: Prepare, tmp_path: Path) -> None:
    clicks = 10_000
    giant = [
        ("giant", 100 + place, START + 20 * DAY + place * 39 * DAY // clicks, 1) for place in range(clicks)
    ]
    others = [("other", 100 + place, START + place, 1) for place in range(clicks)]
    report = prepare(typed(tmp_path / "log.parquet", [*log(), *giant, *others]), test_days=20)
    assert any(f"more than {LONGEST_INPUT:,} clicks: the newest are written" in note for note in report.notes)
    rows = pq.read_table(tmp_path / "DATA" / "test.parquet")
    lengths = pc.list_value_length(rows["items"]).to_numpy()
    assert lengths.max() == LONGEST_INPUT
    first, second = np.flatnonzero(lengths == LONGEST_INPUT)[:2].tolist()
    before, after = (rows["items"][place].as_py() for place in (first, second))
    assert after == [*before[1:], rows["target"][first].as_py()]  # the window moves by one click


def test_a_folder_is_one_log_sorted_by_name(prepare: Prepare, tmp_path: Path) -> None:
    rows = log()
    prepare(write_csv(tmp_path / "whole.csv", rows), out=tmp_path / "whole")
    folder = tmp_path / "many [files]"
    for number in (2, 0, 1):
        typed(folder / f"part-{number}.snappy.parquet", rows[32 * number : 32 * (number + 1)])
    for name in ("_SUCCESS", ".part-0.crc", "_old.parquet"):
        (folder / name).touch()
    report = prepare(folder)
    assert digest(tmp_path / "whole") == digest(tmp_path / "DATA")
    assert [Path(file.path).name[:6] for file in report.readings["reviews"].files] == [
        "part-0",
        "part-1",
        "part-2",
    ]


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is theirs
        pass

    def end_headers(self) -> None:
        if "short" in self.path:
            self.send_header("Connection", "close")
        super().end_headers()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[str]:
    handler = functools.partial(_Quiet, directory=str(tmp_path))
    with in_a_thread(handler) as url:
        yield url


def test_web_addresses_are_files_like_others(prepare: Prepare, tmp_path: Path, site: str) -> None:
    rows = log()
    prepare(write_csv(tmp_path / "whole.csv", rows), out=tmp_path / "whole")
    typed(tmp_path / "part-0.parquet", rows[:40])
    write_csv(tmp_path / "part-1.csv", rows[40:])
    report = prepare(f"{site}/part-0.parquet", f"{site}/part-1.csv?day=1", out=tmp_path / "web")
    assert digest(tmp_path / "whole") == digest(tmp_path / "web")
    assert report.readings["reviews"].files[0].path == f"{site}/part-0.parquet"
    with pytest.raises(InputError, match=r"none\.csv cannot be read: 404"):
        prepare(f"{site}/none.csv")


def test_both_ways_to_the_latest_vote_agree() -> None:
    rng = np.random.default_rng(0)
    rows = 3000
    reviews = pa.table(
        {
            "user": rng.integers(0, 30, rows),
            "appid": pa.array(rng.integers(1, 30, rows), pa.int32()),
            "time": 1041379200 + rng.choice([0, 1, 2, 3061065599], rows),
            "positive": rng.random(rows) < 0.5,
            "row": rng.permutation(rows),
        }
    )
    import ibis  # type: ignore[import-untyped]  # noqa: PLC0415

    table = ibis.table(ibis.Schema.from_pyarrow(reviews.schema), name="reviews")
    found = []
    for way in (latest_vote, latest_vote_of_many):
        ordered = way(table).select("user", "appid", "time", "positive", "row").order_by(["user", "appid"])
        with duckdb.connect() as database:
            database.register("reviews", reviews)
            found.append(database.execute(ibis.to_sql(ordered, dialect="duckdb")).fetchall())
    assert found[0] == found[1]
    assert len(found[0]) < rows


FULL_DISK = """
import resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
from srec.cli import main
sys.argv = ["srec", "prepare", *sys.argv[1:]]
main()
"""


def test_a_full_disk_leaves_what_was_there(prepare: Prepare, tmp_path: Path, games: Path) -> None:
    reviews = write_csv(tmp_path / "log.csv", log(users=400))
    prepare(reviews)
    before = {path: path.read_bytes() for path in (tmp_path / "DATA").iterdir()}
    command = [sys.executable, "-c", FULL_DISK, "--reviews", str(reviews), "--games", str(games)]
    options = ["--out", str(tmp_path / "DATA"), "--min-game-reviews", "1", "--popular-share", "1"]
    done = subprocess.run([*command, *options], capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    assert "error:" in done.stderr
    assert "Traceback" not in done.stderr
    assert {path: path.read_bytes() for path in (tmp_path / "DATA").iterdir()} == before
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != 4096


def test_a_killed_run_leaves_what_was_there_and_the_next_one_clears_up(
    prepare: Prepare, tmp_path: Path, games: Path
) -> None:
    reviews = write_csv(tmp_path / "log.csv", log(users=400))
    prepare(reviews)
    before = {path: path.read_bytes() for path in (tmp_path / "DATA").iterdir()}
    command = [sys.executable, "-m", "srec", "prepare", "--reviews", str(reviews), "--games", str(games)]
    with subprocess.Popen(
        [*command, "--out", str(tmp_path / "DATA"), "--min-game-reviews", "2"],
        stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True,
    ) as run:  # fmt: skip
        assert run.stderr is not None
        assert any(line.startswith("typing") for line in run.stderr)
        run.kill()
    assert run.returncode == -signal.SIGKILL
    assert {path: path.read_bytes() for path in (tmp_path / "DATA").iterdir()} == before
    assert list(tmp_path.glob(SCRATCH + "*"))
    with Engine(tmp_path) as other:  # a run that lives is let alone
        prepare(reviews, min_user_reviews=2)
        assert list(tmp_path.glob(SCRATCH + "*")) == [other.scratch]
    assert not list(tmp_path.glob(SCRATCH + "*"))
    assert read_json(tmp_path / "DATA" / "manifest.json")["settings"]["min_user_reviews"] == 2


def test_spark_runs_on_the_java_of_a_wheel(tmp_path: Path, games: Path) -> None:
    """As on a host without Java: all of its programs are there but that one."""
    pytest.importorskip("pyspark", reason="the extra `spark` is not installed: it is 500 MB")
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("bash", "chmod", "dirname", "env", "ls", "mkdir", "ps", "rm", "uname"):
        (programs / name).symlink_to(str(shutil.which(name)))
    environment = {name: value for name, value in os.environ.items() if name != "JAVA_HOME"}
    reviews = write_csv(tmp_path / "log.csv", log(users=20))
    command = [sys.executable, "-m", "srec", "prepare", "--reviews", str(reviews), "--games", str(games)]
    command += ["--popular-share", "1", "--tag-width", "8", "--engine"]
    for engine in ("duckdb", "spark"):
        done = subprocess.run(
            [*command, engine, "--out", str(tmp_path / engine)],
            env=environment | {"PATH": str(programs)}, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
    assert digest(tmp_path / "duckdb") == digest(tmp_path / "spark")


def test_a_log_of_a_store_has_its_proportions(tmp_path: Path, prepare: Prepare) -> None:
    for name in ("one", "two"):
        made = write_scale(tmp_path / name, "steam", reviews=30_000, users=10_000, games=20_000, seed=7)
    one, two = (pq.read_table(tmp_path / name / "reviews") for name in ("one", "two"))
    assert one.equals(two)
    assert made.reviews == len(one) == pytest.approx(30_000, rel=0.03)
    counts = np.unique(one["steamid"].to_numpy(), return_counts=True)[1]
    assert len(counts) == 10_000
    assert np.mean(counts == 1) == pytest.approx(0.547, abs=0.002)
    assert np.mean(counts <= 15) == pytest.approx(0.977, abs=0.003)
    assert np.mean(one["voted_up"].to_numpy()) == pytest.approx(5.9 / 6.9, abs=0.015)
    assert one["steamid"].to_numpy().min() > 76_561_197_960_265_728
    assert (np.diff(one["steamid"].to_numpy()) < 0).any()
    report = prepare(tmp_path / "one" / "reviews", catalogue=tmp_path / "one" / "games.jsonl")
    assert report.metadata["games_without_metadata"] == 0
    assert next(step for step in report.steps if step.name == "latest vote").removed.rows > 0


def test_histories_do_not_depend_on_blocks() -> None:
    lengths = Lengths(Shape(), 1000, 3000)
    whole = lengths.of(np.arange(1000))
    assert (
        np.concatenate([lengths.of(np.arange(500)), lengths.of(np.arange(500, 1000))]).tolist()
        == whole.tolist()
    )
    shares = np.diff(Store(Shape(), 1000, np.random.SeedSequence(1)).explored, prepend=0)
    assert (np.diff(shares) <= 1e-12).all()
    with pytest.raises(InputError, match="times as many reviews as users"):
        Lengths(Shape(), 1000, 100_000)


def test_a_folder_of_something_else_is_not_replaced(tmp_path: Path) -> None:
    write_lines(tmp_path / "letter.jsonl", [1])
    with pytest.raises(InputError, match="is no folder of reviews made here"):
        write_scale(tmp_path, "steam", reviews=3000, users=1000, games=100)
    with pytest.raises(InputError, match="scale stream is not known"):
        write_scale(tmp_path / "x", "stream", reviews=3000, users=1000, games=100)
