"""The engine's result equals the reference's, for logs that nobody thought of."""

import random
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import Phase, event, given, settings
from hypothesis import strategies as st

from srec.errors import InputError
from srec.prepare import ReviewSettings, prepare_reviews
from srec.prepare.engine import Engine
from tests.prepare import reference
from tests.prepare.conftest import DAY, START, write_csv, write_lines
from tests.prepare.reference import Review

HALF_DAYS = 80
APPIDS = [610, 10, 20, 30, 400, 500, 55, 66, 77, 88]


def random_log(rows: int, users: int, seed: int, name: str) -> list[Review]:
    """Popular games are reviewed more; half days make equal times and times on bounds frequent."""
    rng = random.Random(seed)
    return [
        Review(
            user=name.format(rng.randrange(users)),
            appid=APPIDS[int(len(APPIDS) * rng.random() ** 2)],
            time=START + rng.randint(0, HALF_DAYS) * DAY // 2,
            positive=rng.random() < 0.8,
        )
        for _ in range(rows)
    ]


names = st.sampled_from(["player{}", "7656119796{:03}"])
logs = st.builds(random_log, st.integers(60, 250), st.integers(8, 60), st.integers(0, 10**6), names)
forms = st.sampled_from(["csv", "typed", "texts", "mixed"])


# Without shrinking: a run takes a quarter of a second, and shrinking would take minutes.
@settings(max_examples=20, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(
    log=logs,
    users=st.integers(1, 3),
    games=st.integers(1, 5),
    share=st.sampled_from([None, 0.5, 0.75]),
    days=st.integers(4, 12),
    until=st.sampled_from([HALF_DAYS, HALF_DAYS - 6]),
    form=forms,
    rows_at_a_time=st.sampled_from([10**6, 40]),
)
def test_equals_the_reference(
    log: list[Review],
    users: int,
    games: int,
    share: float | None,
    days: int,
    until: int,
    form: str,
    rows_at_a_time: int,
) -> None:
    last = START + until * DAY // 2
    chosen = ReviewSettings(
        min_user_reviews=users,
        min_game_reviews=games,
        popular_games=0.3,
        popular_share=share,
        test_days=days,
        validation_days=days + 1,
        until=datetime.fromtimestamp(last, UTC),
    )
    expected = reference.prepare(log, chosen, last)
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(Engine, "rows_at_a_time", rows_at_a_time)
        result = run(log, chosen, Path(folder), form)
    event("prepared" if expected else "nothing left")
    assert result == (None if expected is None else vars(expected))


def store(log: list[Review], folder: Path, form: str) -> list[Path]:
    """The log as one CSV file, as Parquet files with types or with texts, or as one of each."""
    rows = [(review.user, review.appid, review.time, int(review.positive)) for review in log]
    if form == "csv":
        return [write_csv(folder / "reviews.csv", rows)]
    third = len(log) // 3
    pieces = {"mixed": [log[:third], log[third : 2 * third]]}.get(form, [log[:third], log[third:]])
    paths = []
    for number, piece in enumerate(pieces):
        texts = form == "texts" or (form == "mixed" and number == 1)
        users = [review.user for review in piece]
        paths.append(folder / f"part-{number}.parquet")
        table = pa.table(
            {
                "steamid": users if texts or not users[0].isdigit() else [int(user) for user in users],
                "appid": [review.appid for review in piece],
                "timestamp_created": [review.time * 1000 if texts else review.time for review in piece],
                "voted_up": [int(review.positive) if texts else review.positive for review in piece],
            }
        )
        pq.write_table(table, paths[-1], row_group_size=50)
    if form == "mixed":
        paths.append(write_csv(folder / "part-2.csv", rows[2 * third :]))
    return paths


def run(
    log: list[Review], chosen: ReviewSettings, folder: Path, form: str, engine: str = "duckdb"
) -> dict[str, Any] | None:
    catalogue = write_lines(folder / "games.jsonl", [{"appid": 10}])
    try:
        report = prepare_reviews(store(log, folder, form), catalogue, folder / "DATA", chosen, engine=engine)
    except InputError:
        return None
    removed = [step.removed.rows for step in report.steps]
    single = 3 if chosen.popular_share is None else 5
    train = pq.read_table(folder / "DATA" / "train.parquet").to_pylist()
    return {
        "appids": pq.read_table(folder / "DATA" / "items.parquet")["appid"].to_pylist(),
        "train": [clicks(row) for row in train],
        "validation": examples(folder / "DATA" / "validation.parquet"),
        "test": examples(folder / "DATA" / "test.parquet"),
        "removed": [*removed[:single], sum(removed[single:])],
    }


def examples(path: Path) -> list[tuple[list[tuple[int, int]], int]]:
    return [(clicks(row), row["target"]) for row in pq.read_table(path).to_pylist()]


def clicks(row: dict[str, Any]) -> list[tuple[int, int]]:
    return list(zip(row["items"], row["times"], strict=True))


def test_spark_equals_the_reference(tmp_path: Path) -> None:
    pytest.importorskip("pyspark", reason="the extra `spark` is not installed: it is 500 MB")
    last = START + HALF_DAYS * DAY // 2
    chosen = ReviewSettings(
        min_game_reviews=3, popular_games=0.3, popular_share=0.75, test_days=8, validation_days=9,
        until=datetime.fromtimestamp(last, UTC),
    )  # fmt: skip
    for number, (form, name) in enumerate(
        [("csv", "player{}"), ("typed", "7656119796{:03}"), ("mixed", "7656119796{:03}")]
    ):
        log = random_log(200, 20, number, name)
        folder = tmp_path / f"a folder {number}"
        folder.mkdir()
        expected = reference.prepare(log, chosen, last)
        assert expected is not None
        assert run(log, chosen, folder, form, "spark") == vars(expected)
