import itertools
import math

import numpy as np
import pytest
import scipy.sparse as sp

from srec.data.dataset import Dataset
from srec.evaluation.beyond import BEYOND, ItemFacts, beyond_accuracy, incidence, mean_distance, unit_rows
from tests.models.contract import flat

SEQUENCES = [[1, 2, 1], [2, 3], [1, 2, 4], [2]]  # of 5 items; the last is in none


def cosine(left: set[int], right: set[int]) -> float:
    """Of two items' sets of sequences: what they share over the root of both sizes."""
    return len(left & right) / math.sqrt(len(left) * len(right)) if left and right else 0.0


def slow_distance(answer: list[int]) -> float:
    holders = {item: {s for s, held in enumerate(SEQUENCES) if item in held} for item in range(1, 6)}
    pairs = list(itertools.combinations(answer, 2))
    return sum(1 - cosine(holders[a], holders[b]) for a, b in pairs) / len(pairs)


def test_distance_is_that_of_all_pairs() -> None:
    vectors = unit_rows(incidence(flat(SEQUENCES), 5))
    answers = [[1, 2, 3], [4, 5, 1], [5, 3, 0], [2, 0, 0]]  # the last has no pair
    expected = [slow_distance([item for item in answer if item]) for answer in answers[:3]]
    assert len(set(expected)) == 3
    assert mean_distance(np.array(answers, np.int32), vectors) == pytest.approx(sum(expected) / 3)
    assert mean_distance(np.array([[2, 0]], np.int32), vectors) == 0.0


def test_by_hand() -> None:
    clicks = np.array([0, 5, 5, 0, 100, *[1] * 195])  # 200 - 1 items; the most popular 1 % are 4 and 1
    vectors = sp.csr_array(np.eye(200)[:, :2])  # item 1 has the only vector
    answers = np.zeros((2, 20), np.int32)
    answers[0, :3], answers[1, :1] = [4, 1, 3], [4]
    found = beyond_accuracy(answers, ItemFacts(clicks, vectors, "tags"))
    assert set(found) == set(BEYOND)
    assert found["coverage@5"] == 3 / 199
    assert found["distance@5"] == 1.0
    assert found["log_clicks@5"] == pytest.approx((2 * math.log(101) + math.log(6)) / 4)
    # Item 4 beats all, items 1 and 2 share places 196 and 197 (from 0), item 3 is the last.
    assert found["percentile@5"] == pytest.approx((1 + 1 + 196.5 / 198 + 0) / 4)
    assert found["top_share@5"] == 0.75


def test_facts_of_data(sessions: Dataset, reviews: Dataset) -> None:
    by_clicks, by_tags = ItemFacts.of(sessions), ItemFacts.of(reviews)
    assert (by_clicks.by, by_tags.by) == ("co-clicks", "tags")
    assert by_clicks.clicks.sum() == len(sessions.sequences().items)
    assert ItemFacts.of(sessions, full=True).clicks.sum() == len(sessions.sequences(full=True).items)
    assert by_tags.vectors.shape == reviews.tag_matrix().shape
