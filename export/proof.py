"""Proof that an exported model answers as the trained one, at shapes other than the example's."""

import random
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from srec.errors import DataError
from srec.graph.inputs import ModelInputs, model_inputs
from srec.graph.session import pad_clicks
from srec.serving.golden import ANSWERED, bound_of, same_order
from srec.serving.ranker import Scorer
from srec.serving.stages import Stages
from srec.stores.base import NeighbourStore
from srec.topk import Selection, top_k

BATCHES = (1, 2, 7, 32)


def prove_equal(
    eager: Scorer, exported: Scorer, store: NeighbourStore, sessions: Sequence[list[int]], max_clicks: int
) -> dict[str, Any]:
    """Compare scores and top-20 of two scorers on real and drawn sessions of many lengths and batch sizes.

    Returns:
        What was compared: sessions, batch sizes, the largest difference, rankings that differ only among
        scores closer than the float32 bound.

    Raises:
        DataError: a score or a click's share of one differs by more than the bound, or a ranking by more
            than near ties.
    """
    largest, near_ties, compared = 0.0, 0, 0
    for batch in _batches(sessions, max_clicks):
        inputs = model_inputs(pad_clicks(batch, max_clicks), store.fetch, eager.hops)
        expected, answered = eager.scores(inputs), exported.scores(inputs)
        if expected.shape != answered.shape:
            raise DataError(
                f"the exported model answers {tuple(answered.shape)} for {tuple(expected.shape)}: "
                "its trace has frozen a shape"
            )
        difference = float((expected - answered).abs().max())
        if not difference <= bound_of(expected):
            raise DataError(
                f"exported and trained model differ by {difference:.3g} for {len(batch)} sessions of "
                f"{inputs[1].shape[1]} clicks; at most {bound_of(expected):.3g} is float32 rounding"
            )
        best = top_k(expected, ANSWERED)
        _prove_shares(eager, exported, inputs, [left.items for left in best])
        found = exported.best(inputs, [Selection(ANSWERED)] * len(batch), Stages())
        for row, left, right in zip(expected, best, found, strict=True):
            if not same_order(row, left.items, right.items):
                raise DataError("exported and trained model rank a session differently beyond near ties")
            near_ties += not torch.equal(left.items, right.items)
        largest, compared = max(largest, difference), compared + len(batch)
    return {
        "sessions": compared,
        "batch_sizes": list(BATCHES),
        "largest_difference": largest,
        "rankings_with_near_ties_swapped": near_ties,
    }


def _prove_shares(eager: Scorer, exported: Scorer, inputs: ModelInputs, items: Sequence[Tensor]) -> None:
    """Compare how the scores of some items split by clicks, where both scorers tell."""
    expected, answered = eager.shares(inputs, items), exported.shares(inputs, items)
    if expected is None or answered is None:
        return
    for left, right in zip(expected, answered, strict=True):
        if left.shape != right.shape or not float((left - right).abs().max()) <= bound_of(left):
            raise DataError("exported and trained model split a score differently by clicks")


def _batches(sessions: Sequence[list[int]], max_clicks: int) -> Iterator[list[list[int]]]:
    """Real sessions in batches of several sizes, and drawn ones of every length up to the limit."""
    draw = random.Random(0)
    items = sorted({item for session in sessions for item in session})
    drawn = [draw.choices(items, k=length) for length in range(1, max_clicks + 1)]
    for size in BATCHES:
        yield from (list(sessions[i : i + size]) for i in range(0, len(sessions), size))
    yield from ([session] for session in drawn)
    yield drawn
