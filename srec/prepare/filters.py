"""The filters, each written once as an expression over a table of reviews and bound to no engine.

A review is (user, appid, time in unix seconds, positive, row); ``row`` is its place in the input and decides
among equal times. A filter looks at one user's reviews at a time and, if it asks for it, at a small table of
how many reviews each game has in the whole log: so a log can be filtered in parts that share no user.
"""

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

import ibis  # type: ignore[import-untyped]
from ibis.expr.types import Table  # type: ignore[import-untyped]

from srec.prepare.settings import ReviewSettings

REVIEWS = ibis.schema(
    {"user": "int64", "appid": "int32", "time": "int64", "positive": "boolean", "row": "int64"}
)
# Steam opened in September 2003; what claims to be after 2099 is nonsense.
EARLIEST, LATEST = 1041379200, 4102444799
_ROW_BITS = 30
MAX_PACKED_ROWS = 2**_ROW_BITS

Games = Callable[[], Table]
"""Gives the table (appid, n): the reviews that each game has in the whole log now."""


@dataclass(frozen=True)
class Filter:
    """A named step; ``remedy`` is what to change when nothing is left after it.

    ``removes``: "rows" where every row decides for itself, so that the result need not be stored;
    "repeats" where every user and game keeps a row; else "any".
    """

    name: str
    parameters: dict[str, int | float | str | None]
    remedy: str
    apply: Callable[[Table, Games], Table]
    removes: Literal["rows", "repeats", "any"] = "any"


def union(parts: Sequence[Table]) -> Table:
    """All rows of ``parts``, at least one, as one table."""
    return ibis.union(*parts) if len(parts) > 1 else parts[0]


def until(reviews: Table, moment: int) -> Table:
    """Reviews not later than ``moment`` (unix seconds)."""
    return reviews.filter(reviews.time <= moment)


def latest_vote(reviews: Table) -> Table:
    """One review per user and game: the latest; among equal times the one further down the input.

    For fewer than 2^30 rows: time, row and vote share one integer, whose maximum is what the fastest of an
    engine's aggregates finds. Times are those of ``EARLIEST`` to ``LATEST``, below 2^32 seconds.
    """
    shift = _ROW_BITS + 1
    packed = (reviews.time - EARLIEST) * 2**shift + reviews.row * 2 + reviews.positive.cast("int64")
    latest = reviews.group_by("user", "appid").agg(packed=packed.max())
    return latest.select(
        "user",
        "appid",
        time=(latest.packed >> shift) + EARLIEST,
        positive=(latest.packed & 1) == 1,
        row=(latest.packed & (2**shift - 1)) >> 1,
    )


def latest_vote_of_many(reviews: Table) -> Table:
    """The same for any number of rows, by a window."""
    newest_first = ibis.window(
        group_by=[reviews.user, reviews.appid], order_by=[reviews.time.desc(), reviews.row.desc()]
    )
    ranked = reviews.mutate(rank=ibis.row_number().over(newest_first))
    return ranked.filter(ranked["rank"] == 0).drop("rank")


def positive_only(reviews: Table) -> Table:
    """Reviews that recommend their game."""
    return reviews.filter(reviews.positive)


def popular(games: Table, share: float) -> Table:
    """The appids of the most reviewed ``share`` of the games, rounded up.

    Games with equally many reviews rank by ascending appid.
    """
    by_count = ibis.window(order_by=[games.n.desc(), games.appid.asc()])
    ranked = games.mutate(rank=ibis.row_number().over(by_count), total=games.count().over(ibis.window()))
    # Rounded before it is rounded up: 7 % of 100 games are 7, though 0.07 * 100 > 7 in floating point.
    return ranked.filter(ranked["rank"] < (ranked.total * share).round(6).ceil())[["appid"]]


def not_only_popular(reviews: Table, favourites: Table, share: float) -> Table:
    """Reviews of users of whose reviews at most ``share`` fall on the games of ``favourites`` (appid)."""
    on_popular = reviews.semi_join(favourites, "appid").group_by("user").agg(popular=lambda t: t.count())
    of_user = reviews.group_by("user").agg(n=reviews.count())
    shares = of_user.inner_join(on_popular, "user")
    mostly = shares.filter(shares["popular"] > shares["n"] * share)
    return reviews.anti_join(mostly, "user")


def active_users(reviews: Table, least: int) -> Table:
    """Reviews of users with at least ``least`` of them."""
    counts = reviews.group_by("user").agg(n=reviews.count())
    return reviews.semi_join(counts.filter(counts.n >= least), "user")


def reviewed_games(reviews: Table, games: Table, least: int) -> Table:
    """Reviews of games with at least ``least`` of them."""
    return reviews.semi_join(games.filter(games.n >= least), "appid")


def single_filters(moment: datetime, rows: int) -> list[Filter]:
    """The filters that every log of ``rows`` rows starts with, in order."""
    seconds = math.floor(moment.timestamp())
    shown = datetime.fromtimestamp(seconds, UTC).isoformat()
    latest = latest_vote if rows < MAX_PACKED_ROWS else latest_vote_of_many
    return [
        Filter("until", {"until": shown}, "choose a later --until", lambda t, _: until(t, seconds), "rows"),
        Filter("latest vote", {}, "", lambda t, _: latest(t), "repeats"),
        Filter("positive only", {}, "check the column voted_up", lambda t, _: positive_only(t), "rows"),
    ]


def popular_filters(settings: ReviewSettings, favourites: Table) -> list[Filter]:
    """Drops users of popular games only; ``favourites`` are the popular ones among all positive reviews."""
    games, share = settings.popular_games, settings.popular_share
    if share is None or share >= 1:
        return []
    parameters: dict[str, int | float | str | None] = {"popular_games": games, "popular_share": share}
    remedy = "raise popular_share (1 switches the filter off)"
    apply = functools.partial(not_only_popular, share=share)
    return [Filter("not only popular games", parameters, remedy, lambda t, _: apply(t, favourites))]


def repeated_filters(settings: ReviewSettings) -> list[Filter]:
    """The filters that are repeated in turn until neither removes anything."""
    users, least = settings.min_user_reviews, settings.min_game_reviews
    return [
        Filter("active users", {"min_user_reviews": users}, "lower it", lambda t, _: active_users(t, users)),
        Filter(
            "reviewed games",
            {"min_game_reviews": least},
            "lower it",
            lambda t, games: reviewed_games(t, games(), least),
        ),
    ]
