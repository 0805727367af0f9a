import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from srec.topk import BLOCK, Selection, select, top_k

# Few distinct values, so that ties are the rule and not the exception.
SCORES = st.one_of(st.sampled_from([-math.inf, -1.0, -0.0, 0.0, 0.5, 3.0]), st.floats(-5, 5, width=32))
BATCHES = st.integers(1, 12).flatmap(
    lambda width: st.lists(st.lists(SCORES, min_size=width, max_size=width), min_size=1, max_size=5)
)


def sorted_items(row: list[float], k: int) -> list[int]:
    items = [item for item, score in enumerate(row, start=1) if score > -math.inf]
    return sorted(items, key=lambda item: (-row[item - 1], item))[:k]


@given(rows=BATCHES, k=st.integers(1, 15))
def test_is_pythons_sort_by_score_then_item(rows: list[list[float]], k: int) -> None:
    answers = top_k(torch.tensor(rows), k)
    assert len(answers) == len(rows)
    for row, answer in zip(rows, answers, strict=True):
        expected = sorted_items(row, k)
        assert answer.items.tolist() == expected
        assert answer.scores.tolist() == [row[item - 1] for item in expected]


@given(seed=st.integers(0, 2**32 - 1), width=st.integers(2 * BLOCK, 12 * BLOCK), k=st.integers(1, 6))
def test_wide_rows_too(seed: int, width: int, k: int) -> None:
    """Few and many ties, in one block and across blocks, rows with next to nothing allowed."""
    random = np.random.default_rng(seed)
    rows = np.stack([random.integers(0, levels, width) for levels in (2, 5, 50, 10**6)]).astype(np.float32)
    rows[random.random(rows.shape) < 0.1] = -np.inf
    rows = np.vstack([rows, np.full((1, width), -np.inf, np.float32)])
    rows[-1, random.integers(0, width, k // 2)] = 1.0
    for row, answer in zip(rows.tolist(), top_k(torch.from_numpy(rows), k), strict=True):
        expected = sorted_items(row, k)
        assert answer.items.tolist() == expected
        assert answer.scores.tolist() == [row[item - 1] for item in expected]


def test_excluded_items_of_several_sessions() -> None:
    scores = torch.arange(12.0).repeat(3, 1)
    selections = [Selection(2, (12, 11, 12)), Selection(1), Selection(3, (10,))]
    answers = select(scores, selections)
    assert [answer.items.tolist() for answer in answers] == [[10, 9], [12], [12, 11, 9]]


@pytest.mark.parametrize("k", [1, 7, 100, 4999, 5000, 6000])
def test_thousands_of_equal_scores_keep_the_order_of_items(k: int) -> None:
    scores = torch.zeros(2, 5000)
    scores[0, 4321] = 1.0
    first, second = top_k(scores, k)
    assert first.items.tolist() == [4322, *(i for i in range(1, 5001) if i != 4322)][:k]
    assert second.items.tolist() == list(range(1, 5001))[:k]


def test_nothing_allowed_gives_nothing() -> None:
    (answer,) = top_k(torch.full((1, 4), -torch.inf), 3)
    assert answer.items.tolist() == answer.scores.tolist() == []


def test_scores_stay_as_they_were() -> None:
    scores = torch.tensor([[1.0, 3.0, 2.0]])
    top_k(scores, 2)
    assert scores.tolist() == [[1.0, 3.0, 2.0]]
