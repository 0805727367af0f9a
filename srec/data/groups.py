"""Which examples are of one session, or of one visitor: DATA names neither, but keeps their order."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from srec.data.dataset import LONGEST_INPUT, Dataset, Examples

BLOCK: Final = 4096  # examples looked at in one go: bounds the memory


def groups_of(data: Dataset, split: str) -> NDArray[np.int64]:
    """The session of each example of a split, for reviews its visitor, counted from 0: int64 [E]."""
    return groups_in(data.examples(split, times=data.has_times))


def groups_in(examples: Examples) -> NDArray[np.int64]:
    """The same of examples in the order of DATA, int64 [E].

    The examples of a session stand together, each one click longer than the one before. In session files the
    first has one click, so that sessions are told apart for certain; of reviews it may have any number, but
    another visitor's would have to have the same clicks at the same times.
    """
    begins = np.ones(len(examples), np.bool_)
    for start in range(1, len(examples), BLOCK):
        end = min(start + BLOCK, len(examples))
        begins[start:end] = ~_continues(examples, start, end)
    return np.cumsum(begins) - 1


def _continues(examples: Examples, start: int, end: int) -> NDArray[np.bool_]:
    """Whether the input of each of these examples is that of the one before and its target: [end - start].

    Of inputs that are cut, the newest ``LONGEST_INPUT`` clicks. The target's own time is not in DATA.
    """
    inputs, offsets = examples.inputs, examples.inputs.offsets[start - 1 : end + 1]
    before, lengths = np.diff(offsets)[:-1], np.diff(offsets)[1:]
    cut = (lengths == LONGEST_INPUT) & (before == LONGEST_INPUT)
    newest = offsets[2:] - 1
    as_due = (lengths == before + 1) | cut
    as_due &= inputs.items[newest] == examples.targets[start - 1 : end - 1]
    # All but the newest click are the newest of the input before, which ends where this one begins.
    places = np.arange(offsets[1], offsets[-1])
    earlier = places - np.repeat(lengths - 1, lengths)
    same = inputs.items[places] == inputs.items[earlier]
    if inputs.times is not None:
        same &= inputs.times[places] == inputs.times[earlier]
    same[newest - offsets[1]] = True
    continues: NDArray[np.bool_] = as_due & np.logical_and.reduceat(same, offsets[1:-1] - offsets[1])
    return continues
