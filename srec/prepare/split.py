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
    """Sequences of reviews that are ordered by user, time and place in the input."""
    users = reviews["user"].to_numpy()
    offsets = np.append(np.flatnonzero(np.diff(users, prepend=-1)), len(users)).astype(np.int64)
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
    in_validation = (times > validation_after) & (times <= test_after)
    validation, dropped = _examples(clicks, in_validation, vocabulary, "validation", settings.validation_days)
    test, more = _examples(clicks, times > test_after, vocabulary, "test", settings.test_days)
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
    return Split(vocabulary, train.as_items(vocabulary), validation, test, bounds, dropped | more)


def _examples(
    clicks: Clicks, window: NDArray[np.bool_], vocabulary: Vocabulary, part: Part, days: int
) -> tuple[Examples, dict[str, int]]:
    """Examples of the reviews in ``window`` [clicks], and what became of its other reviews."""
    known = np.isin(clicks.ids, vocabulary.appids)
    examples = expand(clicks.as_items(vocabulary), window[known])
    if not len(examples):
        raise InputError(
            f"{part} holds no example: in its {days} days nobody with an earlier review reviewed a game that "
            f"training knows. Raise --{part}-days"
        )
    not_first = len(expand(clicks, window & known))
    dropped = {
        f"{part}_reviews_of_games_not_in_training": int((window & ~known).sum()),
        f"{part}_reviews_without_an_earlier_one": int((window & known).sum()) - not_first,
        f"{part}_reviews_with_no_earlier_game_in_training": not_first - len(examples),
    }
    return examples, dropped
