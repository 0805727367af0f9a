"""The rules of preparation once more, in the most obvious Python: slow, and written from the rules alone."""

from collections import Counter
from dataclasses import dataclass
from math import ceil

from srec.prepare import ReviewSettings

DAY = 86_400


@dataclass(frozen=True)
class Review:
    user: str
    appid: int
    time: int
    positive: bool


@dataclass
class Prepared:
    appids: list[int]
    train: list[list[tuple[int, int]]]
    """Sequences of (item, time)."""
    validation: list[tuple[list[tuple[int, int]], int]]
    test: list[tuple[list[tuple[int, int]], int]]
    removed: list[int]
    """Rows that each filter removed, the repeated ones added up."""


def prepare(log: list[Review], settings: ReviewSettings, until: int) -> Prepared | None:
    """None where nothing is left to train or to test on."""
    removed = []
    kept = [review for review in log if review.time <= until]
    removed.append(len(log) - len(kept))

    latest: dict[tuple[str, int], Review] = {}
    for review in kept:
        pair = (review.user, review.appid)
        if pair not in latest or review.time >= latest[pair].time:
            latest[pair] = review
    before, kept = len(kept), [review for review in kept if latest[review.user, review.appid] is review]
    removed.append(before - len(kept))

    before, kept = len(kept), [review for review in kept if review.positive]
    removed.append(before - len(kept))

    if settings.popular_share is not None:
        favourites = popular(kept, settings.popular_games)
        users = Counter(review.user for review in kept)
        before = len(kept)
        kept = [review for review in kept if users[review.user] >= settings.min_user_reviews]
        removed.append(before - len(kept))
        before, kept = len(kept), without_popular_only(kept, favourites, settings.popular_share)
        removed.append(before - len(kept))

    before = len(kept)
    while True:
        users = Counter(review.user for review in kept)
        fewer = [review for review in kept if users[review.user] >= settings.min_user_reviews]
        games = Counter(review.appid for review in fewer)
        fewer = [review for review in fewer if games[review.appid] >= settings.min_game_reviews]
        if len(fewer) == len(kept):
            break
        kept = fewer
    removed.append(before - len(kept))
    return split(log, kept, settings, removed) if kept else None


def popular(log: list[Review], games: float) -> set[int]:
    counts = Counter(review.appid for review in log)
    ranked = sorted(counts, key=lambda appid: (-counts[appid], appid))
    return set(ranked[: ceil(round(len(ranked) * games, 6))])


def without_popular_only(log: list[Review], favourites: set[int], share: float) -> list[Review]:
    of_user = Counter(review.user for review in log)
    on_popular = Counter(review.user for review in log if review.appid in favourites)
    return [review for review in log if not on_popular[review.user] > of_user[review.user] * share]


def split(
    log: list[Review], kept: list[Review], settings: ReviewSettings, removed: list[int]
) -> Prepared | None:
    newest = max(review.time for review in kept)
    test_after = newest - settings.test_days * DAY
    validation_after = test_after - settings.validation_days * DAY
    appids = sorted({review.appid for review in kept if review.time <= validation_after})
    item = {appid: number for number, appid in enumerate(appids, start=1)}
    result = Prepared(appids, [], [], [], removed)
    for user in dict.fromkeys(review.user for review in log):
        mine = [review for review in kept if review.user == user]
        mine.sort(key=lambda review: review.time)  # stable: equal times keep the order of the file
        clicks = [(item[review.appid], review.time) for review in mine if review.appid in item]
        train = [click for click in clicks if click[1] <= validation_after]
        if train:
            result.train.append(train)
        for place in range(1, len(clicks)):
            target, time = clicks[place]
            if time > test_after:
                result.test.append((clicks[:place], target))
            elif time > validation_after:
                result.validation.append((clicks[:place], target))
    return result if result.train and result.validation and result.test else None
