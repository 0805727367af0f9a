"""Clicks end to end, and their prefix expansion: [a, b, c] -> ([a], b), ([a, b], c)."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from srec.ids import Vocabulary


@dataclass(frozen=True)
class Clicks:
    """Sequences end to end, each oldest click first.

    Attributes:
        ids: appids, or items once there is a vocabulary, int64 or int32 [clicks].
        offsets: where each sequence starts, and the end of the last, int64 [S+1].
        times: unix seconds, int64 [clicks], or None where there are none.
    """

    ids: NDArray[np.integer]
    offsets: NDArray[np.int64]
    times: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def known_times(self) -> NDArray[np.int64]:
        """The times, where there must be some."""
        if self.times is None:
            raise ValueError("these clicks have no times")
        return self.times

    @property
    def sequence(self) -> NDArray[np.int64]:
        """The sequence each click belongs to, int64 [clicks]."""
        return np.repeat(np.arange(len(self)), np.diff(self.offsets))

    def where(self, kept: NDArray[np.bool_]) -> "Clicks":
        """Only the clicks marked in ``kept`` [clicks]; sequences without any disappear."""
        lengths = np.bincount(self.sequence[kept], minlength=len(self))
        offsets = np.concatenate([[0], np.cumsum(lengths[lengths > 0])]).astype(np.int64)
        return Clicks(self.ids[kept], offsets, None if self.times is None else self.times[kept])

    def of(self, kept: NDArray[np.bool_]) -> "Clicks":
        """Only the sequences marked in ``kept`` [S]."""
        return self.where(np.repeat(kept, np.diff(self.offsets)))

    def as_items(self, vocabulary: Vocabulary) -> "Clicks":
        """Replace appids by items; clicks on unknown ones are left out."""
        place = np.minimum(np.searchsorted(vocabulary.appids, self.ids), len(vocabulary) - 1)
        items = np.array(vocabulary.items(vocabulary.appids.tolist()), np.int32)[place]
        return Clicks(items, self.offsets, self.times).where(vocabulary.appids[place] == self.ids)


@dataclass(frozen=True)
class Examples:
    """Pairs of an input and the click that came next, as places in ``clicks``.

    The input of example e is ``clicks.ids[starts[e] : targets[e]]``, its target ``clicks.ids[targets[e]]``.
    """

    clicks: Clicks
    starts: NDArray[np.int64]
    targets: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.targets)


def expand(clicks: Clicks, window: NDArray[np.bool_] | None = None) -> Examples:
    """Make an example of every click that has one before it, and that is marked in ``window`` [clicks]."""
    first = clicks.offsets[clicks.sequence]
    place = np.arange(len(clicks.ids))
    chosen = place > first
    if window is not None:
        chosen &= window
    return Examples(clicks, first[chosen], place[chosen])


def vocabulary_of(clicks: Clicks) -> Vocabulary:
    """The distinct appids, ascending."""
    return Vocabulary(np.unique(clicks.ids).tolist())
