"""Single rules of preparation, on logs small enough to follow."""

from pathlib import Path

import pyarrow.parquet as pq

from tests.prepare.conftest import DAY, START, Prepare, log, write_csv

LATER = START + 50 * DAY


def train_of(folder: Path, first: int) -> list[int]:
    """Appids of the training sequence that starts with ``first``."""
    appids = [0, *pq.read_table(folder / "items.parquet")["appid"].to_pylist()]
    rows = pq.read_table(folder / "train.parquet")["items"].to_pylist()
    (found,) = [row for row in ([appids[item] for item in items] for items in rows) if row[0] == first]
    return list(found)


def test_the_latest_vote_counts(prepare: Prepare, tmp_path: Path) -> None:
    rows = [
        ("me", 5, START, 1),
        ("me", 20, START + 1, 1), ("me", 20, START + 9, 0),  # changed to negative
        ("me", 30, START + 9, 0), ("me", 30, START + 2, 1),  # the later vote stands earlier in the file
        ("me", 40, START + 3, 0), ("me", 40, START + 4, 1),  # changed to positive
        ("me", 50, START + 3, 1), ("me", 50, START + 3, 0),  # equal times: the file's order decides
    ]  # fmt: skip
    report = prepare(write_csv(tmp_path / "reviews.csv", [*log(), *rows]))
    assert train_of(tmp_path / "DATA", 5) == [5, 40]
    removed = {step.name: step.removed.rows for step in report.steps}
    assert (removed["latest vote"], removed["positive only"]) == (4, 3)


def test_equal_times_keep_the_order_of_the_file(prepare: Prepare, tmp_path: Path) -> None:
    rows = [("me", appid, START, 1) for appid in (5, 70, 20, 60, 30)]
    prepare(write_csv(tmp_path / "reviews.csv", [*log(), *rows]))
    assert train_of(tmp_path / "DATA", 5) == [5, 70, 20, 60, 30]


def test_unknown_games_leave_the_windows_and_are_counted(prepare: Prepare, tmp_path: Path) -> None:
    rows = [
        ("old", 10, START, 1), ("old", 777, LATER, 1), ("old", 20, LATER + 1, 1),
        ("new", 777, LATER, 1), ("new", 30, LATER + 2, 1),
        ("one", 40, LATER, 1),
    ]  # fmt: skip
    report = prepare(write_csv(tmp_path / "reviews.csv", [*log(), *rows]), test_days=4, validation_days=20)
    assert report.dropped["test_reviews_of_games_not_in_training"] == 2
    assert report.dropped["test_reviews_with_no_earlier_game_in_training"] == 1
    assert report.dropped["test_reviews_without_an_earlier_one"] == 1
    test = pq.read_table(tmp_path / "DATA" / "test.parquet").to_pylist()
    assert {"items": [1], "target": 2, "times": [START]} in test


def test_whole_days_are_noted(prepare: Prepare, tmp_path: Path) -> None:
    rows = [(user, appid, START + (int(str(time)) - START) // DAY * DAY, 1) for user, appid, time, _ in log()]
    report = prepare(write_csv(tmp_path / "reviews.csv", rows))
    assert report.split["time_resolution"] == "days"
    assert prepare(write_csv(tmp_path / "reviews.csv", log())).split["time_resolution"] == "seconds"


def test_users_of_popular_games_only_are_dropped(prepare: Prepare, tmp_path: Path) -> None:
    fans = [(f"fan{number}", 10, START + number, 1) for number in range(3)]
    report = prepare(
        write_csv(tmp_path / "reviews.csv", [*log(), *fans]), popular_games=0.01, popular_share=0.8
    )
    (step,) = [step for step in report.steps if step.name == "not only popular games"]
    assert (step.removed.users, step.removed.rows, step.removed.games) == (3, 3, 0)
    assert step.parameters == {"popular_games": 0.01, "popular_share": 0.8}


def test_filters_repeat_until_stable(prepare: Prepare, tmp_path: Path) -> None:
    # Two games a user, two users a game, but for the ends of the chain: it unravels from there.
    chain = [(f"link{n}", appid, START + n, 1) for n in range(6) for appid in (1000 + n, 1001 + n)]
    path = write_csv(tmp_path / "reviews.csv", [*log(), *chain])
    report = prepare(path, min_user_reviews=2, min_game_reviews=2)
    assert sum(step.removed.rows for step in report.steps) == len(chain)
    assert report.steps[-1].removed.rows == report.steps[-2].removed.rows == 0
    assert len([step for step in report.steps if step.removed.rows]) == 6
