import csv
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from srec.prepare import Report, ReviewSettings, prepare_reviews
from srec.prepare.settings import ReviewField

HEADER: tuple[ReviewField, ...] = ("steamid", "appid", "timestamp_created", "voted_up")
START = 1_500_000_000
DAY = 86_400

Row = tuple[object, ...]
Prepare = Callable[..., Report]

# Keeps small logs whole: no filter but the one that a test is about removes anything.
OPEN: dict[str, Any] = {
    "min_user_reviews": 1,
    "min_game_reviews": 1,
    "popular_share": None,
    "tag_width": 8,
}


def write_csv(path: Path, rows: Sequence[Row], header: Sequence[str] = HEADER) -> Path:
    with path.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(header)
        writer.writerows(rows)
    return path


def write_lines(path: Path, records: Sequence[object]) -> Path:
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def log(users: int = 12, games: int = 8, days: int = 60) -> list[Row]:
    """A log in which every user reviews every game, one review a few days after the other."""
    return [
        (f"u{user}", 10 * (1 + (user + step) % games), START + (step * days // games) * DAY + user, 1)
        for step in range(games)
        for user in range(users)
    ]


@pytest.fixture
def games(tmp_path: Path) -> Path:
    records = [
        {"appid": appid, "name": f"Game {appid}", "tags": ["Action", "Puzzle"], "price": 9.99}
        for appid in range(10, 90, 10)
    ]
    return write_lines(tmp_path / "games.jsonl", records)


@pytest.fixture
def prepare(tmp_path: Path, games: Path) -> Prepare:
    """Prepare review files into ``tmp_path / "DATA"`` with open filters."""

    def run(
        *reviews: Path | str, out: Path | None = None, catalogue: Path | None = None, **settings: Any
    ) -> Report:
        chosen = ReviewSettings(**(OPEN | settings))
        return prepare_reviews(list(reviews), catalogue or games, out or tmp_path / "DATA", chosen)

    return run
