"""What a game's page says of it, as one sparse row a game: tags, genres, makers, year and price."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp

from srec.prepare.context import context_values
from srec.prepare.games import Game

LEAST_GAMES = 2
"""A value of fewer games teaches nothing about another game."""


@dataclass(frozen=True)
class ContentSpace:
    """The columns of content rows: (field, value) -> column; what is not among them is left out."""

    columns: Mapping[tuple[str, str], int]

    @classmethod
    def of(cls, games: Sequence[Game]) -> "ContentSpace":
        """Take every value that at least two games have, in order of field and value."""
        uses = Counter(value for game in games for value, _ in _entries(game))
        common = sorted(value for value, count in uses.items() if count >= LEAST_GAMES)
        return cls({value: column for column, value in enumerate(common)})

    def rows(self, games: Sequence[Game]) -> sp.csr_array[np.float32]:
        """Content of games, [games, columns]: tags share a length of 1, every other known field counts 1."""
        entries = [
            (row, self.columns[value], weight)
            for row, game in enumerate(games)
            for value, weight in _entries(game)
            if value in self.columns
        ]
        places, columns, weights = zip(*entries, strict=True) if entries else ((), (), ())
        shape = (len(games), len(self.columns))
        return sp.csr_array(
            (np.array(weights, np.float32), (np.array(places), np.array(columns))), shape=shape
        )


def game_of(row: Mapping[str, Any]) -> Game:
    """A row of ``items.parquet`` as a game; its tags are in order, without votes."""
    return Game(
        appid=row["appid"],
        **{name: row.get(name) for name in ("name", "developer", "publisher", "year", "price", "free")},
        genres=tuple(row.get("genres") or ()),
        tags={tag: 1 / place for place, tag in enumerate(row.get("tags") or (), start=1)},
    )


def _entries(game: Game) -> Iterator[tuple[tuple[str, str], float]]:
    """The (field, value) pairs of a game, each with its weight."""
    ranks = 1 / np.sqrt(np.arange(1, len(game.tags) + 1))  # votes are known of few games, their order of all
    length = float(np.linalg.norm(ranks)) if len(ranks) else 1.0
    for tag, weight in zip(game.tags, ranks, strict=True):
        yield ("tag", tag), float(weight) / length
    for _, value in context_values(game):
        yield value, 1.0
