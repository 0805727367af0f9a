"""The demo catalogue: real Steam games, with made-up vote weights for their tags.

Names, appids, developers, publishers and dates are public facts (a date is an ISO day, or the year alone);
a price is the list price in US dollars, 0 for a free game. How many people voted for a tag is invented,
of a plausible size, with a game's most fitting tag first.
"""

import json
from dataclasses import dataclass
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Game:
    """One game of the catalogue, in the fields and spelling of the games file that ``prepare`` reads."""

    appid: int
    name: str
    developer: str
    publisher: str
    release_date: str
    price: float
    genres: list[str]
    tags: dict[str, int]


def load_catalogue() -> tuple[Game, ...]:
    """Every game of the catalogue, in ascending order of appid."""
    text = files("srec.demo").joinpath("catalogue.json").read_text(encoding="utf-8")
    return tuple(Game(**fields) for fields in json.loads(text))


def release_times(games: tuple[Game, ...]) -> NDArray[np.int64]:
    """Release of each game in unix seconds, [V]; a game of which only the year is known: its first day."""
    return np.array([game.release_date for game in games], dtype="datetime64[s]").astype(np.int64)


def tag_similarity(games: tuple[Game, ...]) -> NDArray[np.float64]:
    """Cosine between the games' tag vectors, [V, V], 0 on the diagonal.

    A tag counts by its share of the game's votes, times its inverse document frequency: that two games
    are "Deckbuilding" says much, that both are "Singleplayer" next to nothing.
    """
    column = {tag: i for i, tag in enumerate(sorted({tag for game in games for tag in game.tags}))}
    votes = np.zeros((len(games), len(column)))
    for row, game in enumerate(games):
        votes[row, [column[tag] for tag in game.tags]] = list(game.tags.values())
    votes *= np.log(len(games) / np.count_nonzero(votes, axis=0)) / votes.sum(axis=1, keepdims=True)
    votes /= np.linalg.norm(votes, axis=1, keepdims=True)
    cosine = votes @ votes.T
    np.fill_diagonal(cosine, 0.0)
    return cosine.round(9)  # the last bits depend on the processor; the demo data must not
