"""The proportions of a review log at a store's size, and how one block of its users is drawn.

Lengths of histories are stratified: user i has the quantile of a permuted i, so that shares hold exactly at
any size. A block of users draws from a random stream of its own, named by seed and block number; nothing
depends on how many blocks are in memory. Most users review what is in the charts, and the more somebody
reviews the likelier they are an explorer, who reviews games in proportion to a power of their popularity.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from srec.demo.world import cumulated
from srec.errors import InputError

DAY = 86_400
REDRAWS = 12  # draws until a game is one that the user has not reviewed yet; then the review is left out


@dataclass(frozen=True)
class Shape:
    """Proportions of a log; ``docs/preparation.md`` says what they were set from."""

    one_review: float = 0.547  # share of the users with exactly one review
    light: int = 15
    light_share: float = 0.977  # share of the users with at most ``light`` reviews
    longest: int = 10_000
    positive: float = 5.9 / 6.9  # share of the reviews
    duplicates: float = 0.004  # share of the rows that a crawl brought a second time
    changed: float = 0.006  # share of the rows that are a later, opposite vote
    years: int = 12
    growth: float = 2.6  # the n-th part of time holds its share to this power: 1 is evenly
    popularity_spread: float = 3.1  # of the log-normal law of the games' popularity
    charts: float = 0.0085  # share of the games that casual users review
    curiosity: float = 0.004  # share of a casual user's reviews that is off the charts
    exploring: float = 0.865  # exponent of the popularity for an explorer
    explorers: float = 0.3  # share of the explorers among users with many reviews
    explorers_at: float = 10.0  # number of reviews at which half of that is reached
    explorers_slope: float = 2.8


class Reviews(NamedTuple):
    """Rows of one block; all arrays are [reviews]."""

    user: NDArray[np.int64]
    game: NDArray[np.int64]
    time: NDArray[np.int64]
    positive: NDArray[np.bool_]

    def of(self, chosen: NDArray[np.bool_]) -> "Reviews":
        """The rows marked in ``chosen`` [reviews]."""
        return Reviews(self.user[chosen], self.game[chosen], self.time[chosen], self.positive[chosen])


class Lengths:
    """How many reviews the user of a given number has."""

    def __init__(self, shape: Shape, users: int, reviews: int) -> None:
        self._users = users
        self._step = _coprime(int(users * 0.6180339887), users)
        wanted = reviews * (1 - shape.duplicates - shape.changed) / users
        counts = np.arange(1, shape.longest + 1)
        low, high = 1.05, 6.0  # exponent of the tail, found by halving: the mean falls as it grows
        if not _mean(shape, counts, high) <= wanted <= _mean(shape, counts, low):
            raise InputError(
                f"{reviews:,} reviews of {users:,} users: give {_mean(shape, counts, high):.1f} to "
                f"{_mean(shape, counts, low):.1f} times as many reviews as users"
            )
        for _ in range(60):
            middle = (low + high) / 2
            low, high = (middle, high) if _mean(shape, counts, middle) > wanted else (low, middle)
        self._at_most = 1 - _longer(shape, counts, high)
        self._at_most[-1] = 1.0

    def of(self, users: NDArray[np.int64]) -> NDArray[np.int64]:
        """Reviews of these users, [users]."""
        quantile = (users * self._step % self._users + 0.5) / self._users
        return np.searchsorted(self._at_most, quantile) + 1


class Store:
    """The games: cumulated shares to draw from, and each one's share of positive votes, [games]."""

    def __init__(self, shape: Shape, games: int, seed: np.random.SeedSequence) -> None:
        rng = np.random.default_rng(seed)
        rank = rng.permutation(games)
        popularity = np.exp(shape.popularity_spread * ndtri((games - rank - 0.5) / games))
        self.order = np.argsort(rank)  # games by falling popularity
        self.shape = shape
        # Shares are kept in the order of popularity, so that the few first are found in cached memory.
        falling = popularity[self.order]
        self.charts = cumulated(falling[: max(1, round(games * shape.charts))])
        self.explored = cumulated(falling**shape.exploring)
        self.popularity = popularity
        self.liked = np.clip(shape.positive + rng.normal(0, 0.08, games), 0.2, 0.99)
        seen = np.zeros(games)
        seen[self.order[: len(self.charts)]] = np.diff(self.charts, prepend=0)
        # A changed vote is the opposite of one that was more often good than bad.
        wanted = (shape.positive - shape.changed) / (1 - 2 * shape.changed)
        self.liked = np.clip(self.liked + wanted - float(self.liked @ seen), 0.05, 0.995)

    def draw(self, explorer: NDArray[np.bool_], rng: np.random.Generator) -> NDArray[np.int64]:
        """One game for each entry of ``explorer`` [reviews]."""
        explores = explorer | (rng.random(len(explorer)) < self.shape.curiosity)
        pick = rng.random(len(explorer))
        place = np.empty(len(explorer), np.int64)
        place[explores] = np.searchsorted(self.explored, pick[explores])
        place[~explores] = np.searchsorted(self.charts, pick[~explores])
        return self.order[place]


def draw_block(
    store: Store, lengths: Lengths, users: NDArray[np.int64], until: int, rng: np.random.Generator
) -> Reviews:
    """The reviews of ``users``, with duplicates and changed votes, by user."""
    shape, count = store.shape, lengths.of(users)
    slope = shape.explorers_slope * (np.log(count) - np.log(shape.explorers_at))
    explorer = rng.random(len(users)) < shape.explorers / (1 + np.exp(-slope))
    explorer |= count > len(store.charts) / 3  # nobody can review the charts more often than they are long
    owner = np.repeat(np.arange(len(users)), count)
    game, kept = _distinct_games(store, owner, explorer[owner], rng)
    time = _times(shape, owner, count, until, rng)
    positive = rng.random(len(owner)) < store.liked[game]
    rows = Reviews(users[owner], game, time, positive)
    again = rng.random(len(owner)) * (count[owner] > 1)  # a lone review stays a lone one
    doubled = kept & (again > 1 - shape.duplicates * 1.25)
    changed = kept & (again > 0) & (again < shape.changed * 1.25)
    later = time[changed] + rng.integers(60, 90 * DAY, np.count_nonzero(changed))
    parts = [
        rows.of(kept),
        rows.of(doubled),
        Reviews(users[owner[changed]], game[changed], np.minimum(later, until - 1), ~positive[changed]),
    ]
    return Reviews(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


def _distinct_games(
    store: Store, owner: NDArray[np.int64], explorer: NDArray[np.bool_], rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """A game for each review [reviews], and which of them repeat none of the same user's."""
    game = store.draw(explorer, rng)
    games = len(store.order)
    again = _repeats(owner * games + game)
    for _ in range(REDRAWS):
        places = np.flatnonzero(
            np.isin(owner, owner[again])
        )  # a new draw can only meet the same user's games
        if not len(again):
            break
        game[again] = store.draw(explorer[again], rng)
        again = places[_repeats(owner[places] * games + game[places])]
    kept = np.ones(len(owner), np.bool_)
    kept[again] = False
    return game, kept


def _repeats(keys: NDArray[np.int64]) -> NDArray[np.int64]:
    """Places of all but the first of equal keys."""
    order = np.argsort(keys, kind="stable")
    return np.sort(order[1:][keys[order[1:]] == keys[order[:-1]]])


def _times(
    shape: Shape, owner: NDArray[np.int64], count: NDArray[np.int64], until: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Bursts between long pauses that end anywhere in a growing time, in no order within a user."""
    span = shape.years * 365 * DAY
    ends = span * rng.random(len(count)) ** (1 / shape.growth)
    gaps = rng.standard_exponential(len(owner)) * np.where(rng.random(len(owner)) < 0.6, 2.0, 60.0) * DAY
    total = np.cumsum(gaps)
    last = np.cumsum(count) - 1
    before_end = np.repeat(total[last], count) - total
    room = np.repeat(ends / np.maximum(total[last] - total[last - count + 1], 1.0), count)
    ago = before_end * np.minimum(1.0, room * 0.999)
    return (until - span + np.repeat(ends, count) - ago).astype(np.int64)


def _longer(shape: Shape, counts: NDArray[np.int64], tail: float) -> NDArray[np.float64]:
    """Share of the users with more than each of ``counts`` reviews: two power laws, joined at ``light``."""
    more, heavy = 1 - shape.one_review, 1 - shape.light_share
    body = np.log(more / heavy) / np.log((shape.light + 1) / 2)
    light = more * ((counts + 1) / 2) ** -body
    return np.where(counts < shape.light, light, heavy * ((counts + 1) / (shape.light + 1)) ** -tail)


def _mean(shape: Shape, counts: NDArray[np.int64], tail: float) -> float:
    return 1 + float(_longer(shape, counts, tail)[:-1].sum())


def _coprime(near: int, number: int) -> int:
    """The first integer from ``near`` that shares no divisor with ``number``."""
    while np.gcd(near, number) != 1:
        near += 1
    return near
