"""The split of reviews by time: training, then validation, then test.

Reviews are split, not users: an example is a review inside the window, its input that user's earlier ones.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from srec.errors import InputError
from srec.ids import Vocabulary
from srec.prepare.sequences import Clicks, Examples, expand, vocabulary_of
from srec.prepare.settings import ReviewSettings

DAY = 86_400
Part = Literal["validation", "test"]


@dataclass(frozen=True)
class Split:
    """Training sequences and examples, in items; ``dropped`` counts what found no place, by reason."""

    vocabulary: Vocabulary
    train: Clicks
    validation: Examples
    test: Examples
    bounds: dict[str, int | str | None]
    dropped: dict[str, int]


def clicks_of(reviews: pa.Table) -> Clicks:
    """Sequences of reviews of which each user's stand together, in order."""
    users = reviews["user"].to_numpy()
    starts = np.concatenate([[True], users[1:] != users[:-1]])
    offsets = np.append(np.flatnonzero(starts), len(users)).astype(np.int64)
    return Clicks(reviews["appid"].to_numpy(), offsets, reviews["time"].to_numpy())


def split_by_time(clicks: Clicks, settings: ReviewSettings) -> Split:
    """Cut the days of test, then of validation, off the end; a bound itself belongs to the earlier part.

    The vocabulary is what occurs in training; clicks on anything else leave validation and test, as inputs
    and as targets. ``InputError`` names the option if a part stays empty.
    """
    times = clicks.known_times
    newest = int(times.max())
    test_after = newest - settings.test_days * DAY
    validation_after = test_after - settings.validation_days * DAY
    train = clicks.where(times <= validation_after)
    if not len(train):
        raise InputError(
            f"no review is left for training: all are from the last {settings.validation_days} + "
            f"{settings.test_days} days. Lower --validation-days or --test-days"
        )
    vocabulary = vocabulary_of(train)
    known, known_clicks = np.isin(clicks.ids, vocabulary.appids), clicks.as_items(vocabulary)
    in_validation, in_test = (times > validation_after) & (times <= test_after), times > test_after
    validation, test = expand(known_clicks, in_validation[known]), expand(known_clicks, in_test[known])
    if not len(validation):
        raise _no_example("validation", settings.validation_days)
    if not len(test):
        raise _no_example("test", settings.test_days)
    dropped = _dropped(clicks, in_validation, known, len(validation), "validation")
    dropped |= _dropped(clicks, in_test, known, len(test), "test")
    bounds: dict[str, int | str | None] = {
        "train_until": validation_after,
        "validation_until": test_after,
        "test_until": newest,
        "newest": datetime.fromtimestamp(newest, UTC).isoformat(),
        "test_days": settings.test_days,
        "validation_days": settings.validation_days,
        # A crawl of whole days has one time of day, not always midnight in UTC.
        "time_resolution": "seconds" if ((times - newest) % DAY).any() else "days",
    }
    return Split(vocabulary, train.as_items(vocabulary), validation, test, bounds, dropped)


def _no_example(part: Part, days: int) -> InputError:
    return InputError(
        f"{part} holds no example: in its {days} days nobody with an earlier review reviewed a game that "
        f"training knows. Raise --{part}-days"
    )


def _dropped(
    clicks: Clicks, window: NDArray[np.bool_], known: NDArray[np.bool_], examples: int, part: Part
) -> dict[str, int]:
    """Why reviews in ``window`` are no example; ``known`` marks games that training has; both [clicks]."""
    not_first = len(expand(clicks, window & known))
    return {
        f"{part}_reviews_of_games_not_in_training": int((window & ~known).sum()),
        f"{part}_reviews_without_an_earlier_one": int((window & known).sum()) - not_first,
        f"{part}_reviews_with_no_earlier_game_in_training": not_first - examples,
    }
