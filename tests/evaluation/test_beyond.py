import itertools
import math
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp

from srec.data.dataset import Dataset
from srec.evaluation import distance
from srec.evaluation.beyond import BEYOND, ItemFacts, beyond_accuracy, incidence, unit_rows
from srec.evaluation.distance import cosines_before, mean_distances, summed_cosines
from tests.models.contract import flat

SEQUENCES = [[1, 2, 1], [2, 3], [1, 2, 4], [2]]  # of 5 items; the last is in none


def cosine(left: set[int], right: set[int]) -> float:
    """Of two items' sets of sequences: what they share over the root of both sizes."""
    return len(left & right) / math.sqrt(len(left) * len(right)) if left and right else 0.0


def slow_distance(answer: list[int]) -> float:
    holders = {item: {s for s, held in enumerate(SEQUENCES) if item in held} for item in range(1, 6)}
    pairs = list(itertools.combinations(answer, 2))
    return sum(1 - cosine(holders[a], holders[b]) for a, b in pairs) / len(pairs)


@pytest.mark.parametrize("worth", [True, False])
def test_distance_is_that_of_all_pairs(worth: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distance, "_worth_all", lambda *_: worth)
    vectors = unit_rows(incidence(flat(SEQUENCES), 5))
    answers = [[1, 2, 3], [4, 5, 1], [5, 3, 0], [2, 0, 0]]  # the last has no pair
    for k in (2, 3):
        expected = [slow_distance([item for item in answer[:k] if item]) for answer in answers[:3]]
        assert len(set(expected)) == k
        found = mean_distances(np.array(answers, np.int32), vectors, (2, 3))[k]
        assert found == pytest.approx(sum(expected) / 3)
    assert mean_distances(np.array([[2, 0]], np.int32), vectors, [2]) == {2: 0.0}


@pytest.mark.parametrize(("entries", "places"), [(distance.ENTRIES, distance.PLACES), (500, 7), (1, 1)])
def test_both_ways_find_the_same_cosines(entries: int, places: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cosines of all items in one block, in some, and an item a block; some items are in no sequence."""
    monkeypatch.setattr(distance, "ENTRIES", entries)
    monkeypatch.setattr(distance, "PLACES", places)
    random = np.random.default_rng(0)
    sequences = [random.integers(1, 60, random.integers(1, 9)).tolist() for _ in range(400)]
    vectors = unit_rows(incidence(flat(sequences), 70))
    lists = np.stack([random.permutation(70)[:20] + 1 for _ in range(90)]).astype(np.int32)
    lists[np.arange(20) >= random.integers(0, 21, 90)[:, np.newaxis]] = 0
    before = cosines_before(lists, vectors)
    for k in (5, 20):
        assert before[:, :k].sum(axis=1) == pytest.approx(summed_cosines(lists[:, :k], vectors), abs=1e-9)
    assert before.max() > 0.1


def test_the_way_with_fewer_products_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many sequences, of two items each: all cosines at once. Three tags on every item: sums."""
    random = np.random.default_rng(0)
    by_clicks = unit_rows(incidence(flat(random.integers(1, 50, (2000, 2)).tolist()), 50))
    by_tags = unit_rows(sp.csr_array(np.ones((51, 3))))
    lists = np.tile(np.arange(1, 21, dtype=np.int32), (40, 1))
    taken: list[str] = []

    def watch(way: str, original: Any) -> Any:
        def watched(*of: Any) -> Any:
            taken.append(way)
            return original(*of)

        return watched

    for way in ("cosines_before", "summed_cosines"):
        monkeypatch.setattr(distance, way, watch(way, getattr(distance, way)))
    mean_distances(lists, by_clicks, [20])
    mean_distances(lists[:3], by_tags, [20])
    assert taken == ["cosines_before", "summed_cosines"]


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
