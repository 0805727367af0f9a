"""What a person can get wrong, and the message that says so."""

import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from srec.errors import InputError
from srec.prepare import ReviewSettings
from srec.prepare.filters import LATEST
from tests.prepare.conftest import DAY, HEADER, START, Prepare, Row, log, write_csv, write_lines


def fails(message: str, prepare: Prepare, *reviews: Path | str, **settings: Any) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        prepare(*reviews, **settings)


def with_rows(tmp_path: Path, *rows: Row) -> Path:
    return write_csv(tmp_path / "reviews.csv", [*log(), *rows])


def test_missing_file(prepare: Prepare, tmp_path: Path) -> None:
    fails(f"{tmp_path / 'none.csv'}: no such file of reviews", prepare, tmp_path / "none.csv")
    fails(f"{tmp_path / '*.csv'}: no such file of reviews", prepare, tmp_path / "*.csv")
    reviews = with_rows(tmp_path)
    fails(f"{tmp_path / 'x.csv'}: no such file of games", prepare, reviews, catalogue=tmp_path / "x.csv")


def test_unknown_ending(prepare: Prepare, tmp_path: Path) -> None:
    path = tmp_path / "reviews.xlsx.gz"
    path.touch()
    fails("reviews must end in one of .csv, .tsv, .parquet", prepare, path)


def test_wrong_column(prepare: Prepare, tmp_path: Path) -> None:
    path = write_csv(tmp_path / "reviews.csv", log(), ("steam_id", *HEADER[1:]))
    message = (
        f'{path} has no column "steamid" (did you mean "steam_id"?); it has: steam_id, appid, '
        "timestamp_created, voted_up. Name the right one with --column steamid=NAME"
    )
    fails(message, prepare, path)
    fails(
        'no column "vote" (did you mean "voted_up"?)',
        prepare,
        path,
        columns={"steamid": "steam_id", "voted_up": "vote"},
    )


def test_wrong_key(prepare: Prepare, tmp_path: Path) -> None:
    path = write_lines(tmp_path / "reviews.jsonl", [{"steamid": "1", "app": 10}])
    fails('no column "appid" (did you mean "app"?); it has: app, steamid', prepare, path)


def test_no_votes_count_as_positive(prepare: Prepare, tmp_path: Path) -> None:
    path = write_csv(tmp_path / "reviews.csv", [row[:3] for row in log()], HEADER[:3])
    report = prepare(path)
    assert report.notes == [f'{path} has no column "voted_up": every review in it counts as positive']
    assert report.counts["train_sequences"] == 12


def test_empty_file(prepare: Prepare, tmp_path: Path) -> None:
    (tmp_path / "reviews.csv").touch()
    fails(f"{tmp_path / 'reviews.csv'} is empty", prepare, tmp_path / "reviews.csv")
    fails("holds no reviews", prepare, write_csv(tmp_path / "header.csv", []))


def test_not_what_its_name_says(prepare: Prepare, tmp_path: Path) -> None:
    for name in ("reviews.parquet", "reviews.csv.gz"):
        (tmp_path / name).write_text("nothing of the kind\n")
        fails(f"{tmp_path / name} cannot be read as", prepare, tmp_path / name)


@pytest.mark.parametrize(
    ("row", "why"),
    [
        (("u", "Portal", START, 1), "appid is not an integer from 1 to 2147483647"),
        (("u", "0", START, 1), "appid is not an integer from 1 to 2147483647"),
        (("u", "2147483648", START, 1), "appid is not an integer from 1 to 2147483647"),
        (("u", "10", "yesterday", 1), "timestamp_created is neither unix seconds nor an ISO date"),
        (("u", "10", "1995-05-05", 1), "timestamp_created is not between the years 2003 and 2099"),
        (("u", "10", LATEST * 10, 1), "timestamp_created is not between the years 2003 and 2099"),
        (("u", "10", START, "maybe"), "voted_up is none of 0, 1, true, false"),
    ],
)
def test_unparsable_rows_are_counted_and_shown(row: Row, why: str, prepare: Prepare, tmp_path: Path) -> None:
    reading = prepare(with_rows(tmp_path, row)).readings["reviews"]
    assert (reading.unparsable, reading.rows) == (1, len(log()) + 1)
    (shown,) = reading.shown
    assert shown.why.startswith(why)
    assert shown.row == ", ".join(map(str, row))


def test_broken_lines_are_counted_and_shown(prepare: Prepare, tmp_path: Path) -> None:
    path = with_rows(tmp_path, ("u", "10"), ("u", 10, START, 1, "and more"))
    reading = prepare(path).readings["reviews"]
    assert [(bad.row, bad.why) for bad in reading.shown] == [
        ("u,10", "line 98: missing columns"),
        (f"u,10,{START},1,and more", "line 99: too many columns"),
    ]
    assert reading.rows == len(log()) + 2


def test_broken_json_is_counted_and_shown(prepare: Prepare, tmp_path: Path) -> None:
    path = write_lines(tmp_path / "reviews.jsonl", [dict(zip(HEADER, row, strict=True)) for row in log()])
    path.write_text(path.read_text() + '{"steamid": \n[1, 2]\n')
    reading = prepare(path).readings["reviews"]
    assert [(bad.row, bad.why) for bad in reading.shown] == [
        ('{"steamid":', "not a JSON object"),
        ("[1, 2]", "not a JSON object"),
    ]


def test_too_many_unparsable_rows_stop(prepare: Prepare, tmp_path: Path) -> None:
    bad = [("u", "x", START, 1)] * 6  # of 102: 5.9 %
    path = with_rows(tmp_path, *bad)
    message = (
        f"{path}: 6 of 102 rows (5.9%) of reviews cannot be read, more than 5%. "
        f'The first: "u, x, {START}, 1" in {path}: appid is not an integer'
    )
    fails(message, prepare, path)
    assert prepare(with_rows(tmp_path, *bad[:5])).readings["reviews"].unparsable == 5


def test_rows_with_an_empty_field_are_dropped_and_counted(prepare: Prepare, tmp_path: Path) -> None:
    path = with_rows(
        tmp_path, ("u", "10", "", 1), ("", "10", START, 1), ("u", "10", " ", 1), ("u", "10", START, "")
    )
    reading = prepare(path).readings["reviews"]
    assert reading.empty == {"steamid": 1, "timestamp_created": 2, "voted_up": 1}
    assert (reading.unparsable, reading.files[0].empty) == (0, 4)


def test_too_many_empty_rows_stop(prepare: Prepare, tmp_path: Path) -> None:
    path = with_rows(tmp_path, *[("u", "10", "", 1)] * 97)
    message = (
        '97 of 193 rows (50.3%) of reviews have an empty field, more than 50%: "timestamp_created" in 97'
    )
    fails(message, prepare, path)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"min_user_reviews": 9},
            '"active users" (min_user_reviews = 9); before it there were 96 of 12 users',
        ),
        ({"min_game_reviews": 13}, '"reviewed games" (min_game_reviews = 13)'),
        (
            {"popular_share": 0.1, "popular_games": 1.0},
            '"not only popular games" (popular_games = 1.0, popular_share',
        ),
        ({"until": "2015-01-01"}, '"until" (until = 2015-01-01T00:00:00+00:00)'),
        (
            {"test_days": 30, "validation_days": 30},
            "no review is left for training: all are from the last 30 + 30",
        ),
    ],
)
def test_an_empty_result_names_the_step(
    settings: dict[str, Any], message: str, prepare: Prepare, tmp_path: Path
) -> None:
    fails(message, prepare, with_rows(tmp_path), **settings)


def test_only_negative_reviews(prepare: Prepare, tmp_path: Path) -> None:
    path = write_csv(tmp_path / "reviews.csv", [(*row[:3], 0) for row in log()])
    fails('no review is left after the filter "positive only"', prepare, path)


def test_a_window_without_examples(prepare: Prepare, tmp_path: Path) -> None:
    path = with_rows(tmp_path, ("newcomer", 10, START + 80 * DAY, 1))
    message = "test holds no example: in its 5 days nobody with an earlier review"
    fails(message, prepare, path, test_days=5, validation_days=40)
    fails("validation holds no example: in its 5 days", prepare, path, test_days=20, validation_days=5)


def test_a_failed_run_leaves_what_was_there(prepare: Prepare, tmp_path: Path) -> None:
    reviews = with_rows(tmp_path)
    prepare(reviews)
    before = {path: path.read_bytes() for path in (tmp_path / "DATA").iterdir()}
    fails("no review is left", prepare, reviews, min_user_reviews=9)
    assert {path: path.read_bytes() for path in (tmp_path / "DATA").iterdir()} == before
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_a_folder_of_something_else_is_not_replaced(prepare: Prepare, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    prepare(with_rows(tmp_path), out=mine)  # an empty folder is free
    (mine / "manifest.json").rename(mine / "letter.txt")
    fails(f"{mine} exists and is no prepared data", prepare, with_rows(tmp_path), out=mine)
    fails(f"{mine / 'letter.txt'} exists", prepare, with_rows(tmp_path), out=mine / "letter.txt")


def test_settings_are_checked() -> None:
    for wrong in ({"test_days": 0}, {"columns": {"player": "x"}}, {"popular": 1}, {"popular_share": 1.5}):
        with pytest.raises(ValidationError):
            ReviewSettings(**wrong)
