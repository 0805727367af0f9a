import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from torchmetrics import retrieval

from srec.evaluation import metrics as metrics_module
from srec.evaluation.metrics import (
    CUTOFFS,
    METRICS,
    bootstrap_intervals,
    gains,
    metrics,
    rank_intervals,
    spread,
)


def test_by_hand() -> None:
    """Targets on ranks 1, 6 and 20, and one not among the first 20."""
    measured = metrics(np.array([1, 6, 20, 0]))
    assert measured == pytest.approx(
        {
            "recall@5": 1 / 4,
            "recall@10": 2 / 4,
            "recall@20": 3 / 4,
            "mrr@5": 1 / 4,
            "mrr@10": (1 + 1 / 6) / 4,
            "mrr@20": (1 + 1 / 6 + 1 / 20) / 4,
            "ndcg@5": 1 / 4,
            "ndcg@10": (1 + 1 / math.log2(7)) / 4,
            "ndcg@20": (1 + 1 / math.log2(7) + 1 / math.log2(21)) / 4,
        }
    )
    assert set(measured) == set(METRICS)


@given(ranks=st.lists(st.integers(0, 20), min_size=1, max_size=30))
def test_against_a_loop(ranks: list[int]) -> None:
    measured = metrics(np.array(ranks))
    for k in CUTOFFS:
        hits = [rank for rank in ranks if 1 <= rank <= k]
        assert measured[f"recall@{k}"] == pytest.approx(len(hits) / len(ranks))
        assert measured[f"mrr@{k}"] == pytest.approx(sum(1 / rank for rank in hits) / len(ranks))
        ndcg = sum(1 / math.log2(rank + 1) for rank in hits) / len(ranks)
        assert measured[f"ndcg@{k}"] == pytest.approx(ndcg)


@pytest.mark.parametrize("seed", range(3))
def test_against_torchmetrics(seed: int) -> None:
    """Random scores of 30 items and one right item each, ranked by us and by a library."""
    random = np.random.default_rng(seed)
    scores, targets = random.normal(size=(40, 30)), random.integers(0, 30, 40)
    scores[np.arange(40), targets] += 1.5
    places = 1 + (scores > scores[np.arange(40), targets][:, np.newaxis]).sum(axis=1)
    measured = metrics(np.where(places <= 20, places, 0))
    right = np.arange(30) == targets[:, np.newaxis]
    # Exponentials: the library takes an item with a score of at most 0 for not retrieved.
    given = (torch.from_numpy(np.exp(scores)).flatten(), torch.from_numpy(right).flatten())
    session = torch.arange(40).repeat_interleave(30)
    theirs: dict[str, Any] = {
        "recall": retrieval.RetrievalRecall,
        "mrr": retrieval.RetrievalMRR,
        "ndcg": retrieval.RetrievalNormalizedDCG,
    }
    for name in METRICS:
        kind, _, k = name.partition("@")
        assert measured[name] == pytest.approx(float(theirs[kind](top_k=int(k))(*given, indexes=session)))


def test_gains_are_each_examples_own() -> None:
    values = gains(np.array([0, 2, 11]))
    assert values["mrr@10"].tolist() == [0, 0.5, 0]
    assert values["recall@20"].tolist() == [0, 1, 1]


def interval(size: int, seed: int = 0) -> tuple[float, float, float]:
    """Lower end, mean and upper end for hits with probability 0.3, each of a session of its own."""
    hits = (np.random.default_rng(1).random(size) < 0.3).astype(np.float64)
    low, high = bootstrap_intervals({"recall@5": hits}, ["recall@5"], np.arange(size), seed)["recall@5"]
    return low, float(hits.mean()), high


def test_intervals_hold_the_mean_and_shrink_with_more_examples() -> None:
    widths = []
    for size in (50, 800):
        low, mean, high = interval(size)
        assert low < mean < high
        widths.append(high - low)
    # The normal approximation: 2 * 1.96 * sqrt(0.3 * 0.7 / n)
    assert widths == pytest.approx([4 * 0.98 * math.sqrt(0.21 / n) for n in (50, 800)], rel=0.2)


def test_intervals_depend_on_the_seed_alone() -> None:
    assert interval(800) == interval(800)
    assert interval(800) != interval(800, seed=1)


def test_all_metrics_see_the_same_resamples() -> None:
    values, groups = np.random.default_rng(0).random(60), np.arange(60) // 4
    found = bootstrap_intervals({"x": values, "not x": 1 - values}, ["x", "not x"], groups)
    assert found["not x"] == pytest.approx((1 - found["x"][1], 1 - found["x"][0]))


def test_equal_examples_leave_no_doubt() -> None:
    found = bootstrap_intervals({"x": np.full(9, 0.5)}, ["x"], np.arange(9) // 2)
    assert found["x"] == pytest.approx((0.5, 0.5))


def slow_intervals(ranks: NDArray[np.int64], groups: NDArray[np.int64]) -> dict[str, list[float]]:
    """Sessions drawn one by one, each with all of its examples."""
    random = np.random.default_rng(0)
    sessions = [np.flatnonzero(groups == group) for group in np.unique(groups)]
    drawn = [random.integers(0, len(sessions), len(sessions)) for _ in range(2000)]
    means = [metrics(ranks[np.concatenate([sessions[i] for i in chosen])]) for chosen in drawn]
    return {name: np.percentile([mean[name] for mean in means], [2.5, 97.5]).tolist() for name in METRICS}


@pytest.mark.parametrize("held", [metrics_module.DRAWN, 100])
def test_intervals_are_those_of_resampled_sessions(held: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawing kinds of sessions: the same doubt, up to the chance of 1000 rounds, at once or in parts."""
    monkeypatch.setattr(metrics_module, "DRAWN", held)
    random = np.random.default_rng(0)
    groups = np.sort(random.integers(0, 200, 300)) * 2  # numbers that no example has are no sessions
    ranks = (random.integers(0, 21, 401)[groups] + random.integers(0, 3, 300)) % 21
    slow, fast = slow_intervals(ranks, groups), rank_intervals(ranks, groups)
    for name in METRICS:
        mean, width = metrics(ranks)[name], slow[name][1] - slow[name][0]
        assert fast[name] == pytest.approx(slow[name], abs=0.15 * width)
        assert fast[name][0] < mean < fast[name][1]
    assert rank_intervals(ranks, groups) == fast
    assert rank_intervals(ranks, groups, seed=1) != fast
    assert rank_intervals(np.full(9, 1), np.arange(9))["mrr@20"] == (1.0, 1.0)


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    """Sessions whose examples are hit together: each has a chance of its own, higher in longer sessions.

    With chances drawn from a beta distribution with a + b = 1, two examples of a session correlate by 0.5.
    """
    random, tried, sessions = np.random.default_rng(0), 300, 100
    covered = {"by session": 0, "by example": 0}
    for _ in range(tried):
        sizes = random.integers(1, 13, sessions)
        means = 0.2 + 0.02 * sizes
        groups = np.repeat(np.arange(sessions), sizes)
        hits = random.random(len(groups)) < random.beta(means, 1 - means)[groups]
        truth = 0.2 + 0.02 * (1 + 2 * 12) / 3  # 0.2 + 0.02 E[size^2] / E[size]
        for by, of in (("by session", groups), ("by example", np.arange(len(groups)))):
            low, high = rank_intervals(hits.astype(np.int64), of)["recall@20"]
            covered[by] += low <= truth <= high
    assert 0.91 < covered["by session"] / tried < 0.98
    assert covered["by example"] / tried < 0.75


def test_spread_over_seeds() -> None:
    assert spread([0.2]) == (0.2, None)
    assert spread([0.1, 0.2, 0.3]) == pytest.approx((0.2, 0.1))
