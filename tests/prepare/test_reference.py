"""The engine's result equals the reference's, for logs that nobody thought of."""

import random
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from hypothesis import Phase, event, given, settings
from hypothesis import strategies as st

from srec.errors import InputError
from srec.prepare import ReviewSettings, prepare_reviews
from tests.prepare import reference
from tests.prepare.conftest import DAY, START, write_csv, write_lines
from tests.prepare.reference import Review

HALF_DAYS = 80
APPIDS = [610, 10, 20, 30, 400, 500, 55, 66, 77, 88]


def random_log(rows: int, users: int, seed: int) -> list[Review]:
    """Popular games are reviewed more; half days make equal times and times on bounds frequent."""
    rng = random.Random(seed)
    return [
        Review(
            user=f"player{rng.randrange(users)}",
            appid=APPIDS[int(len(APPIDS) * rng.random() ** 2)],
            time=START + rng.randint(0, HALF_DAYS) * DAY // 2,
            positive=rng.random() < 0.8,
        )
        for _ in range(rows)
    ]


logs = st.builds(random_log, st.integers(60, 250), st.integers(8, 60), st.integers(0, 10**6))


# Without shrinking: a run takes a quarter of a second, and shrinking would take minutes.
@settings(max_examples=20, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(
    log=logs,
    users=st.integers(1, 3),
    games=st.integers(1, 5),
    share=st.sampled_from([None, 0.5, 0.75]),
    days=st.integers(4, 12),
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
    event("prepared" if expected else "nothing left")
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
