"""The filters, each written once as an expression over a table of reviews and bound to no engine.

A review is (user, appid, time in unix seconds, positive, row); ``row`` is its place in the input and decides
among equal times.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import ibis  # type: ignore[import-untyped]
from ibis.expr.types import Table  # type: ignore[import-untyped]

from srec.prepare.settings import ReviewSettings

REVIEWS = ibis.schema(
    {"user": "int64", "appid": "int32", "time": "int64", "positive": "boolean", "row": "int64"}
)


@dataclass(frozen=True)
class Filter:
    """A named step; ``remedy`` is what to change when nothing is left after it."""

    name: str
    parameters: dict[str, int | float | str | None]
    remedy: str
    apply: Callable[[Table], Table]


def until(reviews: Table, moment: int) -> Table:
    """Reviews not later than ``moment`` (unix seconds)."""
    return reviews.filter(reviews.time <= moment)


def latest_vote(reviews: Table) -> Table:
    """One review per user and game: the latest; among equal times the one further down the input."""
    newest_first = ibis.window(
        group_by=[reviews.user, reviews.appid], order_by=[reviews.time.desc(), reviews.row.desc()]
    )
    ranked = reviews.mutate(rank=ibis.row_number().over(newest_first))
    return ranked.filter(ranked["rank"] == 0).drop("rank")


def positive_only(reviews: Table) -> Table:
    """Reviews that recommend their game."""
    return reviews.filter(reviews.positive)


def not_only_popular(reviews: Table, games: float, share: float) -> Table:
    """Reviews of users of whose reviews at most ``share`` fall on the most reviewed ``games`` (a share, too).

    Games with equally many reviews rank by ascending appid; the number of popular games is rounded up.
    """
    counts = reviews.group_by("appid").agg(n=reviews.count())
    by_count = ibis.window(order_by=[counts.n.desc(), counts.appid.asc()])
    ranked = counts.mutate(rank=ibis.row_number().over(by_count), total=counts.count().over(ibis.window()))
    # Rounded before it is rounded up: 7 % of 100 games are 7, though 0.07 * 100 > 7 in floating point.
    popular = ranked.filter(ranked["rank"] < (ranked.total * games).round(6).ceil())[["appid"]]
    on_popular = reviews.semi_join(popular, "appid").group_by("user").agg(popular=lambda t: t.count())
    of_user = reviews.group_by("user").agg(n=reviews.count())
    shares = of_user.inner_join(on_popular, "user")
    mostly = shares.filter(shares["popular"] > shares["n"] * share)
    return reviews.anti_join(mostly, "user")


def active_users(reviews: Table, least: int) -> Table:
    """Reviews of users with at least ``least`` of them."""
    counts = reviews.group_by("user").agg(n=reviews.count())
    return reviews.semi_join(counts.filter(counts.n >= least), "user")


def reviewed_games(reviews: Table, least: int) -> Table:
    """Reviews of games with at least ``least`` of them."""
    counts = reviews.group_by("appid").agg(n=reviews.count())
    return reviews.semi_join(counts.filter(counts.n >= least), "appid")


def single_filters(settings: ReviewSettings, moment: datetime) -> list[Filter]:
    """The filters that are applied once, in order."""
    seconds = math.floor(moment.timestamp())
    shown = datetime.fromtimestamp(seconds, UTC).isoformat()
    steps = [
        Filter("until", {"until": shown}, "choose a later --until", lambda t: until(t, seconds)),
        Filter("latest vote", {}, "", latest_vote),
        Filter("positive only", {}, "check the column voted_up", positive_only),
    ]
    games, share = settings.popular_games, settings.popular_share
    if share is not None and share < 1:
        parameters: dict[str, int | float | str | None] = {"popular_games": games, "popular_share": share}
        remedy = "raise popular_share (1 switches the filter off)"
        steps.append(
            Filter("not only popular games", parameters, remedy, lambda t: not_only_popular(t, games, share))
        )
    return steps


def repeated_filters(settings: ReviewSettings) -> list[Filter]:
    """The filters that are repeated in turn until neither removes anything."""
    users, games = settings.min_user_reviews, settings.min_game_reviews
    return [
        Filter("active users", {"min_user_reviews": users}, "lower it", lambda t: active_users(t, users)),
        Filter("reviewed games", {"min_game_reviews": games}, "lower it", lambda t: reviewed_games(t, games)),
    ]
