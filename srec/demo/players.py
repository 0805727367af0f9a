"""Simulated players: what each reviews, when, and whether they liked it.

A player has one or two tastes and walks from game to game. The next game mostly follows one they liked
lately, else comes from a taste, else from the charts, where they often regret it. A few players know
nothing but the charts. Players are made block by block, each block from its own random stream and by arrays
over its players, so that memory does not depend on how many blocks there are.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from srec.demo.world import World

LONGEST = 60  # reviews of one player
MEDIAN_LENGTH, LENGTH_SPREAD = 4.5, 1.05  # of the log-normal law of a history's length
CHART_PLAYERS = 0.04  # share of the players who only ever review the charts
SECOND_TASTE = 0.4  # share of the players who have two tastes
FOLLOW, TASTE = 0.66, 0.20  # shares of the next games; the rest comes from the charts
STEP_BACK = 0.2  # share of the follow-ups that go back to the game liked before the last
REGRET, REGRET_CHARTS = 0.08, 0.5  # share of bad reviews, in general and for games off the charts
ATTEMPTS = 4  # draws until a game is one that is out and not yet reviewed
DAY = 86_400
BURST_SHARE, BURST_GAP, PAUSE_GAP = 0.75, 0.5 * DAY, 45.0 * DAY  # gaps between reviews: mean seconds
GROWTH = 4.0  # how much the players' last reviews crowd towards the end of time; 1 is evenly


class Reviews(NamedTuple):
    """Reviews of one block of players, by player and time; all arrays are [reviews]."""

    player: NDArray[np.int64]
    game: NDArray[np.int64]  # row of the catalogue
    time: NDArray[np.int64]  # unix seconds, strictly ascending within a player
    liked: NDArray[np.bool_]


def play(world: World, players: int, start: int, until: int, rng: np.random.Generator) -> Reviews:
    """Simulate ``players`` players within ``start <= time < until`` (unix seconds)."""
    lengths = _lengths(players, rng)  # [P]
    times = _times(lengths, start, until, rng)  # [P, LONGEST]
    walk = _Walk(world, players, rng)
    for step in range(LONGEST):
        active = np.flatnonzero(lengths > step)
        walk.step(active, step, times[active, step])
    player, step_of = np.nonzero(walk.games >= 0)
    return Reviews(player, walk.games[player, step_of], times[player, step_of], walk.liked[player, step_of])


class _Walk:
    """The histories of a block so far; a game of -1 is none: every attempt was taken or not yet out."""

    def __init__(self, world: World, players: int, rng: np.random.Generator) -> None:
        self._world, self._rng = world, rng
        self._tastes = np.searchsorted(world.fans, rng.random((players, 2)))  # [P, 2]
        one_taste = rng.random(players) >= SECOND_TASTE
        self._tastes[one_taste, 1] = self._tastes[one_taste, 0]
        self._charts_only = rng.random(players) < CHART_PLAYERS
        self._recent = np.full((players, 2), -1)  # [P, 2] the games liked last and before
        self.games = np.full((players, LONGEST), -1)
        self.liked = np.zeros((players, LONGEST), dtype=bool)

    def step(self, players: NDArray[np.int64], step: int, times: NDArray[np.int64]) -> None:
        """Let each of ``players`` [A] review one more game at ``times`` [A]."""
        for _ in range(ATTEMPTS):
            games, from_charts = self._draw(players)
            fresh = (self.games[players] != games[:, None]).all(axis=1)
            fresh &= self._world.released[games] <= times
            regret = np.where(from_charts & ~self._charts_only[players], REGRET_CHARTS, REGRET)
            liked = fresh & (self._rng.random(len(players)) >= regret)
            self.games[players[fresh], step] = games[fresh]
            self.liked[players[liked], step] = True
            self._recent[players[liked], 1] = self._recent[players[liked], 0]
            self._recent[players[liked], 0] = games[liked]
            players, times = players[~fresh], times[~fresh]

    def _draw(self, players: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """One game for each of ``players`` [A], and whether it comes from the charts [A]."""
        world, count = self._world, len(players)
        way, pick, back = self._rng.random((3, count))
        source = self._recent[players, (back < STEP_BACK).astype(np.int64)]
        follows = (way < FOLLOW) & (source >= 0) & ~self._charts_only[players]
        charts = (way >= FOLLOW + TASTE) | self._charts_only[players]
        games = np.searchsorted(world.charts, pick)
        games[follows] = world.followers[source[follows], np.searchsorted(world.follow, pick[follows])]
        tastes = ~follows & ~charts
        taste = self._tastes[players[tastes], self._rng.integers(0, 2, np.count_nonzero(tastes))]
        games[tastes] = (world.tastes[taste] < pick[tastes, None]).sum(axis=1)
        return games, charts


def _lengths(players: int, rng: np.random.Generator) -> NDArray[np.int64]:
    drawn = rng.lognormal(np.log(MEDIAN_LENGTH), LENGTH_SPREAD, players)
    return np.ceil(drawn).clip(1, LONGEST).astype(np.int64)


def _times(lengths: NDArray[np.int64], start: int, until: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Review times [P, LONGEST]: bursts between long pauses; entries past a player's length are void."""
    size = (len(lengths), LONGEST)
    gaps = rng.exponential(np.where(rng.random(size) < BURST_SHARE, BURST_GAP, PAUSE_GAP))
    passed = np.cumsum(gaps, axis=1)
    before_last = passed[np.arange(len(lengths)), lengths - 1][:, None] - passed  # [P, LONGEST] seconds
    room = until - start - LONGEST  # a second a review keeps a player's times apart
    last = room * rng.random(len(lengths)) ** (1 / GROWTH)
    longest = last * rng.uniform(0.5, 1.0, len(lengths))  # a history that would not fit is pressed into this
    press = np.minimum(1.0, longest / np.maximum(before_last[:, 0], 1.0))[:, None]
    elapsed = np.maximum(last[:, None] - before_last * press, 0.0)
    return start + np.floor(elapsed).astype(np.int64) + np.arange(LONGEST)
