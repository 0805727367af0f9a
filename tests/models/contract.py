"""What every session model must do.

A model in the registry is tested by its line there; a variant of one inherits the class and gives ``make``.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import strategies as st
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor

from srec.data.dataset import Sequences
from srec.graph.inputs import ModelInputs, model_inputs
from srec.graph.neighbours import GlobalGraph
from srec.graph.session import pad_clicks
from srec.models import ItemFeatures, SessionModel
from srec.serving.ranker import EagerScorer, Ranker
from srec.stores.array import ArrayStore
from srec.topk import Selection

ITEMS, CONTEXT_VALUES, MAX_CLICKS = 40, 9, 12
Make = Callable[[int], SessionModel]
SESSIONS = st.lists(
    st.lists(st.integers(1, ITEMS) | st.integers(1, 3), min_size=1, max_size=MAX_CLICKS),
    min_size=1,
    max_size=5,
)


def random_sessions(seed: int, count: int, longest: int = MAX_CLICKS) -> list[list[int]]:
    """Sessions of all lengths, with many repeats."""
    random = np.random.default_rng(seed)
    lengths = [1 + (longest - 1) * i // max(count - 1, 1) for i in range(count)]
    return [random.integers(1, 1 + random.choice([3, ITEMS]), length).tolist() for length in lengths]


def random_graph(seed: int, n_items: int = ITEMS, size: int = 4) -> GlobalGraph:
    """Items with all neighbours, with some, and with none; the absent ones stand last."""
    random = np.random.default_rng(seed)
    present = np.arange(size) < random.integers(0, size + 1, (n_items + 1, 1))  # [V+1, K]
    present[0] = False
    neighbours: NDArray[np.int32] = random.integers(1, n_items + 1, (n_items + 1, size), dtype=np.int32)
    weights = random.integers(1, 9, (n_items + 1, size)).astype(np.float32)
    return GlobalGraph(neighbours * present, weights * present)


def empty_graph() -> GlobalGraph:
    return GlobalGraph(np.zeros((ITEMS + 1, 4), np.int32), np.zeros((ITEMS + 1, 4), np.float32))


def random_features(tag_width: int) -> ItemFeatures:
    """Tags and context for most items; items 2 and 3 have no tags, 3 and 4 lack context fields."""
    random = torch.Generator().manual_seed(1)
    tags = torch.rand(ITEMS + 1, tag_width, generator=random)
    tags[[0, 2, 3]] = 0
    context = torch.randint(1, CONTEXT_VALUES, (ITEMS + 1, 3), generator=random)
    context[0], context[3], context[4, 1] = 0, 0, 0
    return ItemFeatures(ITEMS, MAX_CLICKS, tags, context, CONTEXT_VALUES)


def flat(sessions: list[list[int]]) -> Sequences:
    offsets = np.cumsum([0, *map(len, sessions)]).astype(np.int64)
    return Sequences(np.concatenate(sessions).astype(np.int32), offsets)


def build(cls: type[SessionModel], seed: int, **settings: Any) -> SessionModel:
    """A model with random weights, or with counts of random sessions, ready to answer."""
    torch.manual_seed(seed)
    model = cls(cls.Settings(**settings), random_features(settings.get("dim", 8)))
    if not model.trained_by_gradient:
        sequences = flat(random_sessions(seed, 30))
        model.fit(sequences.items, sequences.offsets)
    return model.eval()


def inputs_of(
    model: SessionModel, sessions: list[list[int]], graph: GlobalGraph | None = None
) -> ModelInputs:
    clicks = pad_clicks(sessions, MAX_CLICKS)
    gaps = (clicks % 7).astype(np.float32) if model.reads_times else None
    return model_inputs(clicks, ArrayStore(graph or random_graph(0)).fetch, model.hops, gaps)


@torch.no_grad()
def scores_of(model: SessionModel, sessions: list[list[int]], graph: GlobalGraph | None = None) -> Tensor:
    scores: Tensor = model(*inputs_of(model, sessions, graph))
    return scores


def assert_near(actual: Tensor, expected: Tensor) -> None:
    """Equal but for the order of float32 additions."""
    torch.testing.assert_close(actual, expected, rtol=1e-5, atol=1e-6)


class ModelContract:
    @pytest.fixture
    def make(self) -> Make:
        raise NotImplementedError("a subclass gives a function from a seed to a model")

    @pytest.fixture
    def model(self, make: Make) -> SessionModel:
        return make(0)

    @pytest.mark.parametrize("count", [1, 2, 7, 65])
    def test_scores_every_item_of_every_session(self, model: SessionModel, count: int) -> None:
        scores = scores_of(model, random_sessions(1, count))
        assert scores.shape == (count, ITEMS)
        assert scores.dtype == torch.float32
        assert scores.isfinite().all()

    def test_padding_columns_change_nothing(self, model: SessionModel) -> None:
        clicks = pad_clicks(random_sessions(2, 9), MAX_CLICKS)
        wider = np.pad(clicks, ((0, 0), (0, 5)))
        store = ArrayStore(random_graph(0))
        with torch.no_grad():
            plain, padded = (model(*model_inputs(c, store.fetch, model.hops)) for c in (clicks, wider))
        assert_near(padded, plain)

    def test_a_batch_scores_as_its_sessions_alone(self, model: SessionModel) -> None:
        sessions = random_sessions(3, 20)
        alone = torch.cat([scores_of(model, [session]) for session in sessions])
        assert_near(scores_of(model, sessions), alone)

    def test_a_session_does_not_feel_the_others_of_its_batch(self, model: SessionModel) -> None:
        mine, others, different = [5, 3, 5], random_sessions(4, 6), random_sessions(5, 3)
        first = scores_of(model, [mine, *others])[0]
        last = scores_of(model, [*different, mine])[-1]
        assert_near(last, first)

    def test_sessions_differ_unless_their_scores_do_not_depend_on_clicks(self, model: SessionModel) -> None:
        """Guards the tests above: a model that ignored its input would pass them."""
        scores = scores_of(model, [[5, 3, 7], [9, 30]])
        assert torch.equal(scores[0], scores[1]) == (model.name == "pop")

    def test_traced_and_frozen_score_as_eager_at_other_shapes(self, model: SessionModel) -> None:
        example = inputs_of(model, [[1, 2, 1], [3], [4, 5]])
        with torch.no_grad():
            traced = torch.jit.trace(model, example, check_trace=False)  # type: ignore[no-untyped-call]
            frozen = torch.jit.freeze(traced)
            for sessions in ([[7]], [[8, 8]], random_sessions(6, 11), [list(range(1, MAX_CLICKS + 1))] * 4):
                inputs = inputs_of(model, sessions)
                eager = model(*inputs)
                assert_near(traced(*inputs), eager)
                assert_near(frozen(*inputs), eager)

    def test_shares_of_the_clicks_sum_to_the_score(self, model: SessionModel) -> None:
        """Split by clicks and summed again, alone or traced, at shapes other than the example's."""
        sessions = random_sessions(9, 7)
        items = torch.randint(1, ITEMS + 1, (7, 5), generator=torch.Generator().manual_seed(0))
        inputs = inputs_of(model, sessions)
        if not model.additive:
            with pytest.raises(TypeError, match=r"no sum over clicks|defines neither"):
                model.shares(items, *inputs)
            return
        example = inputs_of(model, [[1, 2, 1], [3]])
        with torch.no_grad():
            methods = {"shares": (items[:2, :1], *example)}
            traced = torch.jit.trace_module(model, methods, check_trace=False)  # type: ignore[no-untyped-call]
            shares = model.shares(items, *inputs)  # [B, n, L]
            assert shares.shape == (7, 5, MAX_CLICKS)
            assert_near(shares.sum(2), model(*inputs).gather(1, items - 1))
            assert_near(traced.shares(items, *inputs), shares)
        for row, session in zip(shares, sessions, strict=True):
            assert (row[:, len(session) :] == 0).all()

    def test_scores_belong_to_the_caller(self, model: SessionModel) -> None:
        """Ranking writes -inf into them: traced or not, the next answer must not remember."""
        inputs = inputs_of(model, [[1, 2]])
        with torch.no_grad():
            traced = torch.jit.trace(model, inputs, check_trace=False)  # type: ignore[no-untyped-call]
            for scorer in (model, traced, torch.jit.freeze(traced)):
                before = scorer(*inputs).clone()
                scorer(*inputs).fill_(-torch.inf)
                assert torch.equal(scorer(*inputs), before)

    def test_weights_go_through_safetensors(self, make: Make, model: SessionModel, tmp_path: Path) -> None:
        save_file(model.state_dict(), tmp_path / "model.safetensors")
        other = make(1)
        sessions = random_sessions(7, 5)
        assert not torch.equal(scores_of(other, sessions), scores_of(model, sessions))
        other.load_state_dict(load_file(tmp_path / "model.safetensors"))
        assert torch.equal(scores_of(other, sessions), scores_of(model, sessions))

    def test_the_seed_decides_the_weights(self, make: Make, model: SessionModel) -> None:
        again = make(0).state_dict()
        assert again.keys() == model.state_dict().keys()
        assert all(torch.equal(again[name], weights) for name, weights in model.state_dict().items())

    def test_names_its_weights_with_a_row_an_item(self, model: SessionModel) -> None:
        """Nothing else that is trained has 41 rows."""
        weights = dict(model.named_parameters()) if model.trained_by_gradient else {}
        rows = {name for name, weight in weights.items() if weight.shape[:1] == (ITEMS + 1,)}
        assert rows == weights.keys() & set(model.item_rows)

    def test_items_without_any_neighbour_have_finite_scores_and_gradients(self, model: SessionModel) -> None:
        inputs = inputs_of(model, random_sessions(8, 6), empty_graph())
        scores = model(*inputs)
        assert scores.isfinite().all()
        if model.trained_by_gradient:
            scores.logsumexp(1).sum().backward()
            gradients = {n: p.grad for n, p in model.named_parameters() if p.requires_grad}
            assert gradients
            for name, gradient in gradients.items():
                assert gradient is not None, name
                assert gradient.isfinite().all(), name

    def test_ranks_what_is_not_excluded(self, model: SessionModel) -> None:
        ranker = Ranker(EagerScorer(model, model.hops), ArrayStore(random_graph(0)), MAX_CLICKS)
        session = [1, 2, 2, 9]
        everything = ranker.rank_all([session], ITEMS)[0].items.tolist()
        rest = ranker.rank([session], [Selection(ITEMS, session)])[0].items.tolist()
        assert sorted(everything) == list(range(1, ITEMS + 1))
        assert rest == [item for item in everything if item not in session]
        assert ranker.rank_all([session], ITEMS)[0].items.tolist() == everything
