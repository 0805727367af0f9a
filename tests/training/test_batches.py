import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from srec.data.dataset import Dataset, Sequences
from srec.graph.inputs import ModelInputs, model_inputs
from srec.serving.ranker import DenseScorer, Ranker
from srec.stores.array import ArrayStore
from srec.training import batches
from srec.training.batches import PrefixExamples
from tests.models.contract import flat

LOGS = st.lists(st.lists(st.integers(1, 9), max_size=7), min_size=1, max_size=8)


def sequences_of(log: list[list[int]]) -> Sequences:
    offsets = np.cumsum([0, *map(len, log)]).astype(np.int64)
    return Sequences(np.array([item for session in log for item in session], np.int32), offsets)


def as_pairs(examples: PrefixExamples, indices: list[int]) -> list[tuple[list[int], int]]:
    clicks, targets = examples.batch(np.array(indices, np.int64))
    return [([i for i in row if i], t) for row, t in zip(clicks.tolist(), targets.tolist(), strict=True)]


def test_every_prefix_is_an_example() -> None:
    examples = PrefixExamples(flat([[1, 2, 3, 4]]), max_clicks=50)
    assert as_pairs(examples, [0, 1, 2]) == [([1], 2), ([1, 2], 3), ([1, 2, 3], 4)]


@given(log=LOGS, max_clicks=st.integers(1, 5))
def test_prefixes_of_all_sequences_with_their_newest_clicks(log: list[list[int]], max_clicks: int) -> None:
    examples = PrefixExamples(sequences_of(log), max_clicks)
    expected = [
        (session[:end][-max_clicks:], session[end]) for session in log for end in range(1, len(session))
    ]
    assert len(examples) == len(expected)
    if expected:
        assert as_pairs(examples, list(range(len(examples)))) == expected


@given(log=LOGS, size=st.integers(1, 6), seed=st.integers(0, 3))
@settings(max_examples=50)
def test_an_epoch_visits_every_example_once(log: list[list[int]], size: int, seed: int) -> None:
    examples = PrefixExamples(sequences_of(log), 50)
    visited = list(examples.epoch(size, seed))
    assert sorted(index for batch in visited for index in batch.tolist()) == list(range(len(examples)))
    assert all(1 <= len(batch) <= size for batch in visited)


def test_an_epoch_has_the_announced_number_of_batches_across_pools() -> None:
    examples = PrefixExamples(flat([[1, 2, 3]] * 200), 50)
    for size in (1, 3, 7, 399, 400, 1000):
        assert len(list(examples.epoch(size, 0))) == examples.steps(size)
    assert 3 * batches.BATCHES_PER_POOL < 400


def test_the_seed_alone_decides_the_order() -> None:
    examples = PrefixExamples(flat([[1, 2, 3, 4, 5]] * 30), 50)
    first, again, other = ([batch.tolist() for batch in examples.epoch(10, seed)] for seed in (1, 1, 2))
    assert first == again
    assert first != other
    assert [index for batch in first for index in batch] != list(range(len(examples)))


class Recorder(DenseScorer):
    """A scorer that keeps what it is asked."""

    hops = 2

    def __init__(self, n_items: int) -> None:
        self.n_items = n_items
        self.asked: list[ModelInputs] = []

    def scores(self, inputs: ModelInputs) -> torch.Tensor:
        self.asked.append(inputs)
        return torch.zeros(len(inputs[0]), self.n_items)


def test_training_and_serving_see_the_same_tensors(sessions: Dataset) -> None:
    sequences, store, max_clicks = sessions.sequences(), ArrayStore(sessions.graph()), 4
    examples = PrefixExamples(sequences, max_clicks)
    scorer = Recorder(sessions.n_items)
    ranker = Ranker(scorer, store, max_clicks)
    prefixes = [
        s[:end] for s in map(sequences.__getitem__, range(len(sequences))) for end in range(1, len(s))
    ]
    chosen = np.random.default_rng(0).permutation(len(examples))[:64]
    for batch in (chosen, chosen[:1], chosen[5:12]):
        clicks, _ = examples.batch(batch)
        trained_on = model_inputs(clicks, store.fetch, 2)
        ranker.rank_all([prefixes[index] for index in batch], 3)
        served = scorer.asked[-1]
        assert len(trained_on) == len(served) == 8
        for ours, theirs in zip(trained_on, served, strict=True):
            assert ours.dtype == theirs.dtype
            assert torch.equal(ours, theirs)
    assert max(len(prefix) for prefix in prefixes) > max_clicks
