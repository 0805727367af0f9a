"""What players of the demo know: which games are popular, alike, and played one after the other.

All of it is planted, so it is known what a model can learn. Popularity is flat enough to answer badly alone.
Likeness is what the tags say. Which of the games like it *follow* a game is drawn once, with a developer's
successor first, and only the order of reviews reveals it: Portal leads to Portal 2 and some other puzzles.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from srec.demo.catalogue import Game, release_times, tag_similarity

POPULARITY_EXPONENT = 0.6  # of Zipf's law over the games, ranked by all votes on their tags
TASTE_SHARPNESS = 4.0  # exponent of the likeness in the weight of a game within a taste
FOLLOW_SHARPNESS = 2.0  # the same for the games that follow a game: lower, so that tags alone miss them
FOLLOW_SHARES = (0.44, 0.24, 0.14, 0.10, 0.08)  # of the games that follow a game, likeliest first
CHART_GAMES = 25
LEAST_KINSHIP = 0.2  # likeness from which a developer's later game counts as a successor


@dataclass(frozen=True)
class World:
    """Distributions to draw games from; games are rows of the catalogue, cumulated shares end at 1."""

    released: NDArray[np.int64]  # [V] unix seconds
    fans: NDArray[np.float64]  # [V] cumulated: the game a taste is named after
    tastes: NDArray[np.float64]  # [V, V] cumulated: row = the taste of those who love that game
    charts: NDArray[np.float64]  # [V] cumulated: the most popular games, others have no share
    followers: NDArray[np.int64]  # [V, F]
    follow: NDArray[np.float64]  # [F] cumulated


def make_world(games: tuple[Game, ...], rng: np.random.Generator) -> World:
    """Derive likeness and popularity from the catalogue; ``rng`` draws which alike games follow which."""
    similarity = tag_similarity(games)  # [V, V]
    popularity = _popularity(games)  # [V]
    in_charts = popularity >= np.sort(popularity)[-CHART_GAMES]
    affinity = (similarity + np.eye(len(games))) ** TASTE_SHARPNESS
    released = release_times(games)
    return World(
        released=released,
        fans=cumulated(popularity),
        tastes=cumulated(affinity * popularity),
        charts=cumulated(popularity * in_charts),
        followers=_followers(similarity, popularity, _successors(games, similarity, released), rng),
        follow=cumulated(np.array(FOLLOW_SHARES)),
    )


def cumulated(weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Cumulated shares along the last axis; a uniform draw is compared with them to pick an entry."""
    total = np.cumsum(weights, axis=-1)
    return total / total[..., -1:]


def _popularity(games: tuple[Game, ...]) -> NDArray[np.float64]:
    votes = np.array([sum(game.tags.values()) for game in games])
    rank = np.empty(len(games))
    rank[np.argsort(-votes, kind="stable")] = np.arange(1, len(games) + 1)
    return rank**-POPULARITY_EXPONENT


def _successors(
    games: tuple[Game, ...], similarity: NDArray[np.float64], released: NDArray[np.int64]
) -> NDArray[np.int64]:
    """For each game the same developer's later game most like it, [V]; -1 where there is none."""
    developer = np.array([game.developer for game in games])
    later = (developer[:, None] == developer[None, :]) & (released[None, :] > released[:, None])
    kinship = np.where(later, similarity, 0.0)
    return np.where(kinship.max(axis=1) >= LEAST_KINSHIP, kinship.argmax(axis=1), -1)


def _followers(
    similarity: NDArray[np.float64],
    popularity: NDArray[np.float64],
    successors: NDArray[np.int64],
    rng: np.random.Generator,
) -> NDArray[np.int64]:
    """The successor first, then alike games drawn without repetition (Gumbel top-k), [V, F]."""
    with np.errstate(divide="ignore"):  # log 0 = -inf: games without a common tag never follow
        weight = FOLLOW_SHARPNESS * np.log(similarity) + 0.5 * np.log(popularity)
    keys = weight + rng.gumbel(size=similarity.shape)
    rows = np.flatnonzero(successors >= 0)
    keys[rows, successors[rows]] = np.inf
    return np.argsort(-keys, axis=1, kind="stable")[:, : len(FOLLOW_SHARES)]
