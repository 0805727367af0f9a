"""Tags, context and the columns of items.parquet."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import scipy.sparse as sp

from srec.data.dataset import Dataset
from srec.io import read_json
from srec.prepare.context import COLUMNS, build_context, price_band
from srec.prepare.games import Game, parse_game
from srec.prepare.tags import decompose, factorise, tag_matrix
from tests.prepare.conftest import DAY, START, Prepare, log, write_csv, write_lines


def game(**fields: object) -> Game:
    return parse_game({"appid": 1} | fields)


def planted(games: int, tags: int, rank: int) -> sp.csr_array[np.float32]:
    rng = np.random.default_rng(3)
    product = rng.random((games, rank)) @ (rng.random((rank, tags)) < 0.3)
    weights = product / product.sum(1, keepdims=True)
    return sp.csr_array(np.vstack([np.zeros(tags), weights]).astype(np.float32))


def test_tag_rows_sum_to_one_or_zero() -> None:
    games = [game(tags={"b": 3, "a": 1}), None, game(tags=["b", "c"]), game(tags={})]
    matrix, names = tag_matrix(games)
    assert names == ["a", "b", "c"]
    expected = [[0, 0, 0], [1 / 4, 3 / 4, 0], [0, 0, 0], [0, 2 / 3, 1 / 3], [0, 0, 0]]
    np.testing.assert_allclose(matrix.toarray(), np.array(expected), rtol=1e-6)


def test_factors_find_a_planted_rank() -> None:
    matrix = planted(120, 40, 5)
    done = decompose(matrix, 5, seed=0)
    assert done.factors.shape == (121, 5)
    assert done.factors.dtype == np.float32
    assert (done.factors >= 0).all()
    assert not done.factors[0].any()
    assert done.error < 0.05
    assert decompose(matrix, 3, seed=0).error > done.error


def test_factors_are_repeatable() -> None:
    matrix = planted(60, 30, 6)
    first, second = factorise(matrix, 4, 1), factorise(matrix, 4, 1)
    np.testing.assert_array_equal(first[0], second[0])
    assert first[1] == second[1]


@pytest.mark.parametrize(("games", "tags", "width"), [(20, 6, 8), (20, 8, 8), (3, 30, 10), (3, 30, 4)])
def test_widths_beyond_tags_or_games(games: int, tags: int, width: int) -> None:
    matrix = planted(games, tags, 2)
    factors, error = factorise(matrix, width, 0)
    assert factors.shape == (games + 1, width)
    assert error < 0.05
    if tags <= width:
        np.testing.assert_array_equal(factors[:, :tags], matrix.toarray())


def test_no_tags_at_all() -> None:
    matrix, names = tag_matrix([None, game()])
    factors, error = factorise(matrix, 4, 0)
    assert (names, error) == ([], 0.0)
    assert factors.shape == (3, 4)
    assert not factors.any()


def test_context_values_are_shared_and_rare_ones_are_other() -> None:
    games = [
        game(developer="Valve", genres=["Action", "Puzzle"], price=9.99, release_date="2011"),
        game(developer="Valve", genres=["Puzzle", "Action"], price=7, release_date="2012"),
        game(developer="Alone", price=0),
        None,
    ]
    context = build_context(games)
    rows = [
        {column: context.values[index] for column, index in zip(COLUMNS, row, strict=True)}
        for row in context.indices
    ]
    assert set(rows[0].values()) == set(rows[4].values()) == {None}
    assert rows[1]["developer"] == rows[2]["developer"] == ("developer", "Valve")
    assert rows[3]["developer"] == ("developer", "other")
    assert rows[1]["genre_1"] == rows[2]["genre_2"] == ("genre", "Action")
    assert rows[1]["genre_3"] is None
    assert rows[1]["price"] == rows[2]["price"] == ("price", "under 10")
    assert rows[1]["year"] == ("year", "other")
    assert rows[3]["free"] == ("free", "other")
    assert rows[1]["free"] == ("free", "no")
    assert context.values[0] is None
    assert len(set(context.values)) == len(context.values)


def test_price_bands() -> None:
    assert [price_band(price) for price in (0, 0.49, 4.99, 5, 19.99, 59.99)] == [
        "0", "under 5", "under 5", "under 10", "under 20", "40 and more",
    ]  # fmt: skip


def test_items_carry_metadata_and_unknown_games_are_counted(prepare: Prepare, tmp_path: Path) -> None:
    catalogue = write_lines(
        tmp_path / "catalogue.jsonl",
        [{"appid": 10, "name": "Ten", "price": 1.5, "genres": ["Action"], "tags": {"b": 2, "a": 2, "c": 5}}],
    )
    extra = [("me", 10, START, 1), ("me", 20, START + DAY, 1)]
    report = prepare(write_csv(tmp_path / "reviews.csv", [*log(), *extra]), catalogue=catalogue)
    assert report.metadata["games_without_metadata"] == 7
    first, second, *_ = pq.read_table(tmp_path / "DATA" / "items.parquet").to_pylist()
    assert first | {"train_clicks": 0} == {
        "item": 1, "appid": 10, "train_clicks": 0, "name": "Ten", "developer": None, "publisher": None,
        "year": None, "price": 1.5, "free": False, "genres": ["Action"], "tags": ["c", "a", "b"],
    }  # fmt: skip
    assert (second["name"], second["price"], second["tags"]) == (None, None, [])


def test_the_reader_accepts_it(prepare: Prepare, tmp_path: Path) -> None:
    report = prepare(write_csv(tmp_path / "reviews.csv", log()), tag_width=5, neighbours=3)
    data = Dataset(tmp_path / "DATA")
    data.verify()
    assert data.manifest["counts"] == report.counts
    assert (data.kind, data.manifest["time_unit"]) == ("reviews", "seconds")
    assert data.tags().shape == (9, 5)
    assert data.tag_matrix().shape == (9, 2)
    assert read_json(tmp_path / "DATA" / "tag_names.json") == ["Action", "Puzzle"]
    indices, size = data.context()
    assert indices.shape == (9, len(COLUMNS))
    assert size <= report.metadata["context_values"]
    assert data.graph().neighbours.shape == (9, 3)
    clicks = np.bincount(data.sequences().items, minlength=9)[1:]
    assert data.items["train_clicks"].to_pylist() == clicks.tolist()
    assert read_json(tmp_path / "DATA" / "report.json")["steps"][0]["name"] == "until"


def test_a_width_near_the_number_of_tags_loses_less_than_its_rarest_tags() -> None:
    matrix = planted(200, 30, 12)
    squares = np.sort((matrix.toarray() ** 2).sum(0))
    done = decompose(matrix, 24, seed=0)
    assert done.error < np.sqrt(squares[:6].sum() / squares.sum())


def test_a_game_whose_tags_have_no_votes_has_no_tags() -> None:
    games = [game(tags={"a": 0, "b": 0}), game(tags={"a": 0, "b": 2}), game(tags=["a"])]
    matrix, names = tag_matrix(games)
    assert names == ["a", "b"]
    assert matrix.toarray().tolist() == [[0, 0], [0, 0], [0, 1], [1, 0]]
