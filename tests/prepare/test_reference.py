"""The engine's result equals the reference's, for logs that nobody thought of."""

import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from hypothesis import given, settings
from hypothesis import strategies as st

from srec.errors import InputError
from srec.prepare import ReviewSettings, prepare_reviews
from tests.prepare import reference
from tests.prepare.conftest import DAY, START, write_csv, write_lines
from tests.prepare.reference import Review

HALF_DAYS = 80
reviews = st.builds(
    Review,
    user=st.sampled_from([f"player{number}" for number in range(9)]),
    appid=st.sampled_from([10, 20, 30, 400, 500, 610]),
    # Half days make equal times, and times that fall exactly on the bounds of the split, frequent.
    time=st.integers(0, HALF_DAYS).map(lambda half: START + half * DAY // 2),
    positive=st.sampled_from([True, True, True, False]),
)


@settings(max_examples=25, deadline=None)
@given(
    log=st.lists(reviews, min_size=30, max_size=160),
    users=st.integers(1, 3),
    games=st.integers(1, 5),
    share=st.sampled_from([None, 0.4, 0.5, 0.75]),
    days=st.integers(1, 12),
    until=st.sampled_from([HALF_DAYS, HALF_DAYS - 6]),
)
def test_equals_the_reference(
    log: list[Review], users: int, games: int, share: float | None, days: int, until: int
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
    with tempfile.TemporaryDirectory() as folder:
        result = run(log, chosen, Path(folder))
    assert result == (None if expected is None else vars(expected))


def run(log: list[Review], chosen: ReviewSettings, folder: Path) -> dict[str, Any] | None:
    rows = [(review.user, review.appid, review.time, int(review.positive)) for review in log]
    catalogue = write_lines(folder / "games.jsonl", [{"appid": 10}])
    try:
        report = prepare_reviews(
            [write_csv(folder / "reviews.csv", rows)], catalogue, folder / "DATA", chosen
        )
    except InputError:
        return None
    removed = [step.removed.rows for step in report.steps]
    single = 3 if chosen.popular_share is None else 4
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
