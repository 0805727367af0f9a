from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from srec.data.dataset import Dataset, Examples
from srec.errors import InputError
from srec.evaluation import stability_report
from srec.evaluation.metrics import MAX_K
from srec.evaluation.stability import (
    CHANGES,
    PERSISTENCE,
    Pair,
    changed_pairs,
    jaccard,
    overlaps,
    rank_biased_overlap,
    same_pairs,
)
from srec.evaluation.stability_report import stability_of_runs
from srec.models.gce_gnn import GceGnn
from srec.models.markov import LastItemMarkov
from srec.models.popularity import Popularity
from srec.models.tags import Tags
from srec.serving.ranker import EagerScorer, Ranker
from srec.stores.array import ArrayStore
from srec.training.blend import blend_runs
from srec.training.blend_weights import BlendWish
from srec.training.run import Run
from tests.models.contract import MAX_CLICKS, build, flat, random_graph, random_sessions
from tests.training.small import quick, trained

ANSWERS = st.lists(st.integers(1, 30), min_size=MAX_K, max_size=MAX_K, unique=True)


def slow_overlap(left: Sequence[int], right: Sequence[int]) -> float:
    """Webber, Moffat and Zobel (2010), equation 32, as it stands."""
    p, k = PERSISTENCE, len(left)
    common = [len(set(left[:d]) & set(right[:d])) for d in range(1, k + 1)]
    return common[-1] / k * p**k + (1 - p) / p * sum(x / d * p**d for d, x in enumerate(common, start=1))


@given(left=ANSWERS, right=ANSWERS)
def test_against_sets(left: list[int], right: list[int]) -> None:
    a, b = np.array([left, left], np.int32), np.array([right, left], np.int32)
    assert rank_biased_overlap(a, b) == pytest.approx([slow_overlap(left, right), 1.0])
    union = set(left[:10]) | set(right[:10])
    assert jaccard(a[:, :10], b[:, :10]) == pytest.approx([(20 - len(union)) / len(union), 1.0])
    assert rank_biased_overlap(b, a) == pytest.approx(rank_biased_overlap(a, b))


def test_ends_and_short_answers() -> None:
    first, second = np.arange(1, 21, dtype=np.int32), np.arange(21, 41, dtype=np.int32)
    few = np.where(first <= 3, first, 0)  # three items only, the same on both sides: no change
    none = np.zeros_like(few)
    rows = np.stack([first, few, few, none]), np.stack([second, few, none, none])
    assert rank_biased_overlap(*rows) == pytest.approx([0, 1, 0, 1])
    assert jaccard(*rows) == pytest.approx([0, 1, 0, 1])


def test_changes_are_what_they_say(sessions: Dataset) -> None:
    examples = sessions.examples("test")
    for change in CHANGES:
        pairs = changed_pairs(examples, change, 50, max_clicks=5)
        assert pairs == changed_pairs(examples, change, 50, max_clicks=5)
        assert 10 < len(pairs) <= 50
        assert all(len(pair.first) <= 5 for pair in pairs)
        assert all(pair.first == examples.inputs[pair.example][-5:] for pair in pairs)
        for first, second in ((pair.first, pair.second) for pair in pairs):
            if change == "add":
                assert second[:-1] == first
                assert any(
                    second == [*examples.inputs[i], target][-len(second) :]
                    for i, target in enumerate(examples.targets.tolist())
                )
            elif change == "remove":
                assert len(first) >= 3
                assert any(second == first[:i] + first[i + 1 :] for i in range(len(first)))
            else:
                different = [i for i in range(len(first)) if first[i] != second[i]]
                assert len(different) == 2
                assert different[1] == different[0] + 1
                assert sorted(first) == sorted(second)
    assert all(pair.first == pair.second for pair in same_pairs(examples, 9))


def ranker(model: type) -> Ranker:
    made = build(model, 0, dim=8) if model is GceGnn else build(model, 0)
    return Ranker(EagerScorer(made, made.hops), ArrayStore(random_graph(0)), MAX_CLICKS)


def test_known_models_are_as_stable_as_they_must_be() -> None:
    """Popularity never moves: both answers leave out the same. Markov sees the last click only."""
    popularity, markov = ranker(Popularity), ranker(LastItemMarkov)
    changed = [([1, 2, 3], [1, 2, 3, 9]), ([4, 5, 6], [4, 6]), ([7, 8, 9], [8, 7, 9])]
    pairs = [Pair(first, second, place) for place, (first, second) in enumerate(changed)]
    assert overlaps(popularity, popularity, pairs)["rbo"] == pytest.approx([1, 1, 1])
    found = overlaps(markov, markov, pairs)
    assert found["rbo"][1:] == pytest.approx([1, 1])
    assert found["jaccard@10"][0] < 1
    graph = ranker(GceGnn)
    assert (overlaps(graph, graph, pairs)["rbo"] < 1).all()
    assert overlaps(graph, popularity, pairs)["rbo"].max() < 1


def test_the_tag_recommender_does_not_feel_a_swap() -> None:
    tags = ranker(Tags)
    examples = Examples(flat(random_sessions(3, 200)), np.ones(200, np.int32))
    for change, steady in (("swap", True), ("remove", False), ("add", False)):
        found = overlaps(tags, tags, changed_pairs(examples, change, 200, MAX_CLICKS))
        assert len(found["rbo"]) > 50
        assert (found["rbo"] == pytest.approx(1)) == steady
        assert (found["jaccard@10"] == 1).all() == steady


@pytest.fixture(scope="module")
def runs(sessions: Dataset, tmp_path_factory: pytest.TempPathFactory) -> list[Run]:
    folder = tmp_path_factory.mktemp("seeds")
    return [trained(sessions, folder / f"RUN{seed}", quick(epochs=1, seed=seed)) for seed in (0, 1)]


def test_report_of_two_seeds(runs: list[Run]) -> None:
    told: list[tuple[int, int]] = []
    figures = stability_of_runs(runs, "test", 40, None, lambda done, total: told.append((done, total)))
    assert told[-1] == (7, 7)
    assert figures["seeds"] == [0, 1]
    for kind in (*CHANGES, "seed"):
        low, high = figures[kind]["intervals_95"]["jaccard@10"]
        assert 0 <= low <= figures[kind]["jaccard@10"] <= high <= 1
        assert 10 < figures[kind]["sessions"] <= 40
    alone = stability_of_runs(runs[:1], "test", 40, None, lambda *_: None)
    assert alone["seed"] is None
    assert alone["swap"]["rbo"] != figures["swap"]["rbo"]  # which is the mean of both runs


def test_intervals_resample_sessions(runs: list[Run], monkeypatch: pytest.MonkeyPatch) -> None:
    """Were all examples of one session, no resample could differ from the mean."""
    monkeypatch.setattr(stability_report, "groups_of", lambda data, split: np.zeros(1000, np.int64))
    add = stability_of_runs(runs, "test", 40, None, lambda *_: None)["add"]
    assert add["intervals_95"]["rbo"] == pytest.approx((add["rbo"], add["rbo"]))


def test_seeds_of_one_model_only(
    runs: list[Run], sessions: Dataset, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = trained(sessions, tmp_path_factory.mktemp("other") / "RUN", quick(epochs=1, l2=0.1))
    with pytest.raises(InputError, match=r"differs from .* in l2: give runs that differ in the seed only"):
        stability_of_runs([runs[0], other], "test", 9, None, lambda *_: None)


def test_blends_of_two_seeds_may_weigh_their_models_differently(
    runs: list[Run], sessions: Dataset, tmp_path: Path
) -> None:
    """The weights are what validation made of a seed, not what was asked for."""
    counts = trained(sessions, tmp_path / "POP", quick("pop"))
    blends = []
    for index, run in enumerate(runs):
        blend_runs(run, counts, tmp_path / f"BLEND{index}", BlendWish(examples=50))
        blends.append(Run(tmp_path / f"BLEND{index}"))
    other = {"groups": [{"longest": None, "weight": 0.123, "sharpness": 1.0}], "penalty": 0.0}
    blends[1].settings = blends[1].settings.model_copy(update={"parameters": other})
    assert stability_of_runs(blends, "test", 20, None, lambda done, total: None)["seed"]["sessions"] > 10
    blends[1].record["blend"]["prefer"] = "steady"
    with pytest.raises(InputError, match=r"differs from .* in prefer"):
        stability_of_runs(blends, "test", 20, None, lambda done, total: None)
