import numpy as np
import pytest

from srec.data.dataset import Examples
from srec.evaluation import evaluate
from srec.evaluation.evaluate import Ranks, rank_targets
from srec.models.gce_gnn import GceGnn
from srec.serving.ranker import EagerScorer, Ranker
from srec.stores.array import ArrayStore
from tests.models.contract import ITEMS, MAX_CLICKS, build, flat, random_graph, random_sessions, scores_of


@pytest.fixture(scope="module")
def model() -> GceGnn:
    made = build(GceGnn, 0, dim=8)
    assert isinstance(made, GceGnn)
    return made


@pytest.fixture
def ranker(model: GceGnn) -> Ranker:
    return Ranker(EagerScorer(model, model.hops), ArrayStore(random_graph(0)), MAX_CLICKS)


@pytest.fixture
def examples() -> Examples:
    sessions = random_sessions(1, 60)
    targets = np.random.default_rng(2).integers(1, ITEMS + 1, len(sessions)).astype(np.int32)
    return Examples(flat(sessions), targets)


def chosen(examples: Examples, indices: list[int]) -> Examples:
    return Examples(flat([examples.inputs[index] for index in indices]), examples.targets[indices])


def slow_rank(model: GceGnn, session: list[int], target: int, exclude: bool) -> int:
    """Count the items that stand before the target; 0 behind the 20th."""
    scores = scores_of(model, [session])[0].tolist()
    if exclude and target in session:
        return 0
    before = sum(
        (score, -item) > (scores[target - 1], -target)
        for item, score in enumerate(scores, start=1)
        if not (exclude and item in session)
    )
    return before + 1 if before < 20 else 0


@pytest.mark.parametrize(("exclude", "alone"), [(False, 0), (True, 25), (False, 1000)])
def test_ranks_are_those_of_each_example_alone(
    exclude: bool,
    alone: int,
    ranker: Ranker,
    model: GceGnn,
    examples: Examples,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(evaluate, "SESSIONS", 7)
    monkeypatch.setattr(evaluate, "CLICKS", 20)  # sessions of 4 clicks and more in smaller batches
    ranks = rank_targets(ranker, examples, exclude, alone=alone)
    expected = [
        slow_rank(model, examples.inputs[index], int(target), exclude)
        for index, target in enumerate(examples.targets)
    ]
    assert ranks.ranks.tolist() == expected
    assert ranks.lengths.tolist() == [len(examples.inputs[index]) for index in range(len(examples))]
    assert len(ranks.alone) == min(alone, len(expected))
    for answer, target, rank in zip(ranks.answers, examples.targets, expected, strict=True):
        assert answer[rank - 1] == target if rank else target not in answer
    assert 0 in expected
    assert len(set(expected)) > 5


def test_the_order_of_examples_does_not_matter(ranker: Ranker, examples: Examples) -> None:
    order = np.random.default_rng(3).permutation(len(examples)).tolist()
    ranks = rank_targets(ranker, examples, False).ranks
    shuffled = rank_targets(ranker, chosen(examples, order), False).ranks
    assert shuffled.tolist() == ranks[order].tolist()


def test_excluding_clicked_items_moves_the_others_up(ranker: Ranker, model: GceGnn) -> None:
    best = scores_of(model, [[1, 2]])[0].argsort(descending=True)[:2] + 1
    first, second = best.tolist()
    session = [second, first]
    order = (scores_of(model, [session])[0].argsort(descending=True) + 1).tolist()
    unclicked = next(item for item in order if item not in session)
    examples = Examples(flat([session, session]), np.array([first, unclicked], np.int32))
    assert rank_targets(ranker, examples, exclude_clicked=True).ranks.tolist() == [0, 1]
    kept = rank_targets(ranker, examples, exclude_clicked=False).ranks.tolist()
    assert kept == [place if (place := order.index(item) + 1) <= 20 else 0 for item in (first, unclicked)]


def test_progress_counts_up_to_all(ranker: Ranker, examples: Examples) -> None:
    told: list[tuple[int, int]] = []
    rank_targets(ranker, examples, False, lambda done, total: told.append((done, total)))
    assert told[-1] == (60, 60)


def test_metrics_by_length_are_those_of_the_groups() -> None:
    answers = np.zeros((5, 20), np.int32)
    ranks = Ranks(np.array([1, 2, 0, 4, 1]), np.array([1, 2, 3, 7, 50]), answers, 0.1)
    groups = ranks.metrics_by_length()
    assert list(groups) == ["1", "2-3", "7+"]
    assert [group["examples"] for group in groups.values()] == [1, 2, 2]
    assert [group["mrr@5"] for group in groups.values()] == [1.0, 0.25, 0.625]
    assert ranks.metrics()["recall@5"] == 0.8
