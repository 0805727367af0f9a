"""Metadata in the spellings that are around."""

import json
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from srec.errors import InputError
from srec.prepare.engine import Engine
from srec.prepare.games import Game, parse_game
from srec.prepare.games_files import read_games
from srec.prepare.report import Reading
from tests.prepare.conftest import write_csv, write_lines

PORTAL = Game(
    appid=620,
    name="Portal 2",
    developer="Valve",
    publisher="Valve",
    year=2011,
    price=9.99,
    free=False,
    genres=("Action", "Adventure"),
    tags={"Puzzle": 300.0, "Co-op": 100.0, "Sci-fi": 100.0},
    released=date(2011, 4, 18),
)
PLAIN = {
    "appid": 620, "name": "Portal 2", "developer": "Valve", "publisher": "Valve",
    "release_date": "2011-04-18",
    "price": 9.99, "genres": ["Action", "Adventure"], "tags": {"Co-op": 100, "Puzzle": 300, "Sci-fi": 100},
}  # fmt: skip
STEAMSPY = PLAIN | {
    "price": "999", "initialprice": "999", "discount": "0", "genres": None, "genre": "Action, Adventure",
}  # fmt: skip
STORE = {
    "steam_appid": 620, "name": "Portal 2", "developers": ["Valve"], "publishers": ["Valve"],
    "is_free": False,
    "release_date": {"coming_soon": False, "date": "Apr 18, 2011"},
    "price_overview": {"currency": "USD", "initial": 1999, "final": 999},
    "genres": [{"id": "1", "description": "Action"}, {"id": "25", "description": "Adventure"}],
    "tags": PLAIN["tags"],
}  # fmt: skip


def read(path: Path) -> tuple[dict[int, Game], Reading]:
    with Engine() as engine:
        return read_games(engine, path)


@pytest.mark.parametrize("record", [PLAIN, STEAMSPY, STORE], ids=["plain", "steamspy", "store"])
def test_spellings_in_json(record: dict[str, Any], tmp_path: Path) -> None:
    assert read(write_lines(tmp_path / "games.jsonl", [record]))[0] == {620: PORTAL}


def test_spellings_in_tables(tmp_path: Path) -> None:
    texts = PLAIN | {"genres": "Action;Adventure", "tags": json.dumps(PLAIN["tags"])}
    path = write_csv(tmp_path / "games.csv", [tuple(texts.values())], list(texts))
    assert read(path)[0] == {620: PORTAL}
    votes = pa.array([list(PORTAL.tags.items())], pa.map_(pa.string(), pa.float64()))
    columns = {name: [value] for name, value in PLAIN.items()} | {
        "tags": votes,
        "release_date": [date(2011, 4, 18)],
    }
    pq.write_table(pa.table(columns), tmp_path / "games.parquet")
    assert read(tmp_path / "games.parquet")[0] == {620: PORTAL}


@pytest.mark.parametrize(
    ("given", "price", "free"),
    [
        ({"price": 0}, 0.0, True),
        ({"price": "Free to Play"}, 0.0, True),
        ({"price": "Free HITMAN Holiday Pack"}, 0.0, True),
        ({"price": "$19.99"}, 19.99, False),
        ({"price": "4,99€"}, 4.99, False),
        ({"price": "Coming soon"}, None, None),
        ({"price": float("nan")}, None, None),
        ({}, None, None),
        ({"is_free": True}, 0.0, True),
        ({"is_free": "False"}, None, False),
    ],
)
def test_prices(given: dict[str, Any], price: float | None, free: bool | None) -> None:
    game = parse_game({"appid": 1} | given)
    assert (game.price, game.free) == (price, free)


@pytest.mark.parametrize(
    ("given", "year", "released"),
    [
        ("Nov 1, 2000", 2000, date(2000, 11, 1)),
        ("1 Nov, 2000", 2000, date(2000, 11, 1)),
        ("2000-11-01", 2000, date(2000, 11, 1)),
        ("2000-11-01T10:00:00Z", 2000, date(2000, 11, 1)),
        ({"coming_soon": True, "date": ""}, None, None),
        ({"coming_soon": True, "date": "2000-11-01"}, 2000, None),
        ({"coming_soon": False, "date": "Nov 2000"}, 2000, date(2000, 1, 1)),
        ("Soon", None, None),
        (2000, 2000, date(2000, 1, 1)),
        (973_036_800, 2000, date(2000, 1, 1)),
        (1_512_112_800, 2017, date(2017, 1, 1)),
        ("20001101", 2000, date(2000, 11, 1)),
        (20_001_101, 2000, date(2000, 11, 1)),
    ],
)
def test_release_dates(given: object, year: int | None, released: date | None) -> None:
    game = parse_game({"appid": 1, "release_date": given})
    assert (game.year, game.released) == (year, released)


@pytest.mark.parametrize(
    ("given", "tags"),
    [
        (["Puzzle", "Co-op", "Sci-fi"], {"Puzzle": 1.0, "Co-op": 1 / 2, "Sci-fi": 1 / 3}),
        ("Puzzle, Co-op, Puzzle", {"Puzzle": 1.0, "Co-op": 1 / 2}),
        ([{"name": "Puzzle"}], {"Puzzle": 1.0}),
        ({"Puzzle": 3, "Nothing": 0}, {"Puzzle": 3.0}),
        ([], {}),
        (None, {}),
    ],
)
def test_tags(given: object, tags: dict[str, float]) -> None:
    found = parse_game({"appid": 1, "tags": given}).tags
    assert list(found.items()) == list(tags.items())


def test_whole_prices_of_a_catalogue_are_cents(tmp_path: Path) -> None:
    cents = [{"appid": appid, "price": price} for appid, price in ((1, 999), (2, 0), (3, 1999), (4, 49))]
    games, reading = read(write_lines(tmp_path / "cents.jsonl", cents))
    assert [games[appid].price for appid in (1, 2, 3, 4)] == [9.99, 0, 19.99, 0.49]
    assert reading.notes == [f"{tmp_path / 'cents.jsonl'}: prices are taken as cents"]
    dollars = [{"appid": appid, "price": price} for appid, price in ((1, 999), (2, 20), (3, 10))]
    assert read(write_lines(tmp_path / "dollars.jsonl", dollars))[0][2].price == 20


def test_repeated_and_unusable_records(tmp_path: Path) -> None:
    records = [{"appid": appid} for appid in range(1, 40)]
    odd = [{"appid": 7, "name": "again"}, {"appid": "seven"}, "no object"]
    games, reading = read(write_lines(tmp_path / "games.jsonl", [*records, *odd]))
    assert games[7].name == "again"
    assert (reading.rows, reading.unparsable) == (42, 2)
    assert {row.why for row in reading.shown} == {
        "appid 'seven' is not an integer from 1 to 2147483647",
        "not a JSON object",
    }
    assert reading.notes == ["1 games occur more than once: the last record counts"]


def test_games_in_another_encoding_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "games.jsonl"
    names = ["Caf\N{LATIN SMALL LETTER E WITH ACUTE}", *["Bar"] * 29]
    records = [json.dumps({"appid": i, "name": name}, ensure_ascii=False) for i, name in enumerate(names, 1)]
    path.write_text("\n".join(records), "latin-1")
    games, reading = read(path)
    assert (reading.rows, reading.unparsable, len(games)) == (30, 1, 29)
    assert [row.why for row in reading.shown] == ["line 1: not UTF-8"]
    path.write_text("\n".join([*records[1:], *records[:1] * 2]), "latin-1")
    with pytest.raises(InputError, match=r"2 of 31 rows .* cannot be read.* line 30: not UTF-8"):
        read(path)


def test_no_appid_column(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "games.jsonl", [{"apid": 1, "name": "x"}])
    with pytest.raises(InputError, match=r'has no column "appid" \(did you mean "apid"\?\)'):
        read(path)
