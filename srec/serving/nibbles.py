"""The coarse pass in 4 bits a value, where the CPU has products for it: half of the bytes, half of the time.

For so few bits directions of unlike size are balanced first, and what the bits leave out is read after all
other directions, by a look of the certified scan.
"""

from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from srec.compiled import compiled
from srec.score_block import score_block
from srec.serving.loops import BLOCK, Floats, Layout, Rounded

ZERO: Final = np.int32(8)  # what stands for none
TOGETHER: Final = 8  # values of a row that lie together


def packed(table: Tensor) -> NDArray[np.uint8]:
    """Whole numbers of rows, int8 [blocks * BLOCK, d], as ``score_block`` reads them."""
    groups = -(-table.size(1) // TOGETHER)
    whole = np.full((len(table), groups * TOGETHER), ZERO, np.uint8)
    whole[:, : table.size(1)] += table.numpy().view(np.uint8)  # below zero round the end, as they shall
    halves = whole.reshape(-1, BLOCK, groups, 2, 4)
    joined = halves[:, :, :, 0] | halves[:, :, :, 1] << 4  # [blocks, BLOCK, groups, 4]
    return np.ascontiguousarray(joined.transpose(0, 2, 1, 3))


class Nibbles:
    """The pass over whole numbers that fit; see ``srec.serving.coarse.Pass``."""

    steps, dtype, most = 127, torch.int8, 8

    def __init__(self, table: Tensor) -> None:
        """Take whole numbers, int8 [places, d]."""
        self._codes = packed(table)
        self.width = TOGETHER * self._codes.shape[1]

    def __call__(self, layout: Layout, rounded: Rounded, rough: Floats, maxima: Floats) -> None:
        """Write scores."""
        score_nibbles(self._codes, layout, rounded, rough, maxima)


@compiled
def score_nibbles(
    codes: NDArray[np.uint8], layout: Layout, rounded: Rounded, rough: Floats, maxima: Floats
) -> None:
    """Write scores [B, blocks, BLOCK] and each block's largest [B, blocks]."""
    numbers, steps, leading, scales = rounded.first, rounded.steps, layout.leading, layout.scales
    zeros = np.zeros(len(numbers), np.int32)
    for row in range(len(numbers)):
        for number in numbers[row]:
            zeros[row] += np.int32(number) * ZERO
    for block in range(len(codes)):
        for row in range(len(numbers)):
            unit, along = scales[0, block] * steps[row, 1], steps[row, 0]
            maxima[row, block] = score_block(
                codes, block, numbers, row, zeros[row], unit, leading, along, rough
            )
