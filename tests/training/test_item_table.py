"""Dropout of the item table, where it starts, and what content adds to it."""

import itertools

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from srec.errors import InputError
from srec.graph.inputs import model_inputs
from srec.graph.session import pad_clicks
from srec.models import MODELS, ItemFeatures
from srec.models.content import add_content, item_tables, item_weights, plain_weights
from srec.stores.array import ArrayStore
from srec.training.dropout import TableDropout
from srec.training.initial import Walks, co_clicks, item_vectors
from tests.models.contract import build, flat, inputs_of, random_graph, random_sessions
from tests.training.planted import Sessions, circle, learn, loss_of, scores, table, taught, told, trainer_of

GROUPS, SIZE = 4, 6
ITEMS = GROUPS * SIZE


def group_of(item: int) -> int:
    return (item - 1) // SIZE


def grouped(seed: int, count: int, unseen: tuple[int, ...] = ()) -> Sessions:
    """Sessions whose clicks are of one group each; ``unseen`` items never occur."""
    random = np.random.default_rng(seed)
    seen = [[i for i in range(g * SIZE + 1, (g + 1) * SIZE + 1) if i not in unseen] for g in range(GROUPS)]
    return [random.choice(seen[random.integers(GROUPS)], 5).tolist() for _ in range(count)]


def same_group_first(vectors: Tensor, unknown: int = 0) -> float:
    """Share of the items whose nearest item by cosine is of their own group."""
    items = [item for item in range(1, ITEMS + 1) if item != unknown]
    long = F.normalize(vectors[items], dim=1)
    nearest = (long @ long.T).fill_diagonal_(-2).argmax(1).tolist()
    return float(np.mean([group_of(i) == group_of(items[n]) for i, n in zip(items, nearest, strict=True)]))


# Dropout


def test_one_mask_a_session_hides_the_same_components_everywhere() -> None:
    tables = [torch.ones(10, 6, requires_grad=True) for _ in range(2)]
    fixed, other = torch.ones(10, 6), torch.ones(10, 6, requires_grad=True)
    dropout = TableDropout(0.5, lambda: [*tables, fixed])
    torch.manual_seed(0)
    dropout.renew(3)
    nodes, around = torch.ones(3, 4, dtype=torch.int64), torch.ones(3, 2, 5, dtype=torch.int64)
    with dropout:
        first = F.embedding(nodes, tables[0])
        second = F.embedding(around, tables[1])
        untouched = [F.embedding(nodes, fixed), F.embedding(nodes, other)]
    masks = first[:, 0]  # [3, 6]
    assert torch.equal(first, masks.unsqueeze(1).expand(3, 4, 6))
    assert torch.equal(second, masks.view(3, 1, 1, 6).expand(3, 2, 5, 6))
    assert set(masks.flatten().tolist()) == {0.0, 2.0}
    assert len({tuple(row) for row in masks.tolist()}) > 1
    assert all(bool((vectors == 1).all()) for vectors in untouched)
    dropout.renew(2)
    with dropout, pytest.raises(InputError, match=r"looked up 3 rows for 2 sessions"):
        F.embedding(nodes, tables[0])


@pytest.mark.parametrize("model", [name for name, cls in MODELS.items() if cls.trained_by_gradient])
def test_every_model_reads_its_items_through_the_dropout(model: str) -> None:
    cls = MODELS[model]
    built = build(cls, 0)
    inputs, dropout = inputs_of(built, random_sessions(0, 8)), TableDropout(0.5, lambda: item_weights(built))
    plain = built.encode(*inputs)
    dropout.renew(8)
    with dropout:
        dropped = built.encode(*inputs)
    assert dropout.masks
    assert not torch.allclose(plain, dropped)


def test_dropout_and_l2_keep_a_small_log_from_being_learnt_by_heart() -> None:
    """Better on sessions that were not seen, worse on those that were."""
    few, unseen = circle(0, 40, ITEMS, noise=0.5), circle(1, 300, ITEMS, noise=0.5)
    plain, dropped, shrunk = (
        learn(few, ITEMS, 15, changes) for changes in ({}, {"table_dropout": 0.6}, {"l2": 1e-2})
    )
    for careful in (dropped, shrunk):
        assert loss_of(careful, unseen) < loss_of(plain, unseen) - 0.05
        assert loss_of(careful, few) > loss_of(plain, few)
    assert table(shrunk).norm() < 0.7 * table(plain).norm()


def test_a_table_with_as_many_rows_is_no_item_table() -> None:
    """Positions of up to 50 clicks, and 50 values of the context, beside 49 items."""
    features = ItemFeatures(49, 50, torch.rand(50, 3), torch.arange(50).unsqueeze(1), 50)
    cls, wish = MODELS["gce-gnn"], {"dim": 4, "tags": True, "tags_trainable": True, "context": True}
    model = cls(cls.Settings(**wish), features)
    tables = {name: weights for name, weights in model.named_parameters() if len(weights) == 50}
    assert set(tables) - set(model.item_rows) == {"attention.positions.weight", "context.values.weight"}
    assert list(item_tables(model)) == ["items"]
    dropout, nodes = TableDropout(0.5, lambda: item_weights(model)), torch.ones(3, 2, dtype=torch.int64)
    dropout.renew(3)
    with dropout:
        untouched = {n for n, weights in tables.items() if F.embedding(nodes, weights).equal(weights[nodes])}
    assert untouched == set(tables) - set(model.item_rows)


# Where the table starts


def test_co_clicks_are_counted_both_ways() -> None:
    counts = co_clicks(flat([[1, 2, 1, 3], [3, 3, 2]]), 4, window=2).toarray()
    expected = np.zeros((5, 5))
    for one, other in ((1, 2), (2, 1), (1, 3), (2, 3), (3, 2), (3, 2)):  # within two positions, as clicked
        expected[one, other] += 1
        expected[other, one] += 1
    assert (counts == expected).all()


@pytest.mark.parametrize(("back", "away"), [(1.0, 1.0), (0.25, 4.0), (4.0, 0.5)])
def test_walks_go_where_the_equation_of_node2vec_says(back: float, away: float) -> None:
    """The third step's frequencies, given the first two, against alpha_pq(t, x) * w."""
    graph = co_clicks(flat([[1, 2], [2, 3], [2, 3], [1, 3], [3, 4], [4, 5], [2, 5]]), 5, 1)
    dense, random = graph.toarray(), np.random.default_rng(0)
    walks = Walks(graph, back, away).walk(np.full(40_000, 1), 3, random)
    for second in (2, 3):
        third = walks[walks[:, 1] == second][:, 2]
        alpha = np.array([1 / back if x == 1 else 1.0 if dense[1, x] else 1 / away for x in range(6)])
        expected = alpha * dense[second] / (alpha * dense[second]).sum()
        np.testing.assert_allclose(np.bincount(third, minlength=6) / len(third), expected, atol=0.015)


@pytest.mark.parametrize("initial", ["node2vec", "pmi"])
def test_vectors_of_the_co_click_graph_know_the_groups(initial: str) -> None:
    settings = told(initial=initial, walks=10, walk_return=0.5).training
    sessions = flat(grouped(0, 150, unseen=(3,)))
    vectors, known = item_vectors(sessions, ITEMS, 8, settings)
    assert known.tolist() == [i not in (0, 3) for i in range(ITEMS + 1)]
    assert same_group_first(vectors, unknown=3) > 0.8
    torch.testing.assert_close(vectors[known].mean(0), torch.zeros(8), atol=1e-5, rtol=0)
    assert vectors[known].square().mean().item() == pytest.approx(1, rel=1e-5)
    again, _ = item_vectors(sessions, ITEMS, 8, settings)
    assert torch.equal(vectors, again)


@pytest.mark.parametrize("initial", ["node2vec", "pmi"])
def test_a_table_that_starts_there_learns_sooner(initial: str) -> None:
    sessions, unseen = grouped(0, 60), grouped(1, 200)
    random, placed = (
        trainer_of(sessions, ITEMS, initial=start, walks=10, learning_rate=0.01)
        for start in ("random", initial)
    )
    assert table(placed.model)[1:].std().item() == pytest.approx(
        table(random.model)[1:].std().item(), rel=0.1
    )
    assert same_group_first(table(placed.model)) > 0.8 > same_group_first(table(random.model))
    assert loss_of(taught(placed, 4), unseen) < loss_of(taught(random, 4), unseen) - 0.1


def test_a_table_wider_than_the_items_are_many_is_refused() -> None:
    with pytest.raises(InputError, match=r"initial=pmi finds fewer directions than there are items, 10"):
        trainer_of(circle(0, 20, 10), 10, initial="pmi")


# Content


def described() -> ItemFeatures:
    """Tags say the group; the context is one value for all items but the last, whose content is unknown."""
    tags = torch.zeros(ITEMS + 1, GROUPS)
    for item in range(1, ITEMS):
        tags[item, group_of(item)] = 1
    context = torch.ones(ITEMS + 1, 1, dtype=torch.int64)
    context[[0, ITEMS]] = 0
    return ItemFeatures(ITEMS, 50, tags, context, 2)


@pytest.mark.parametrize("kind", ["linear", "mlp"])
def test_items_without_clicks_are_found_by_their_content(kind: str) -> None:
    cold = tuple(g * SIZE + 1 for g in range(GROUPS))
    sessions = grouped(0, 150, unseen=cold)
    ranks = {}
    for content in ("none", kind):
        trainer = trainer_of(sessions, described(), content=content)
        found = scores(taught(trainer, 6), [[item + 1, item + 2] for item in cold])
        order = found.argsort(dim=1, descending=True).argsort(dim=1)  # rank of each column
        ranks[content] = float(np.mean([order[row, item - 1].item() for row, item in enumerate(cold)]))
        pairs = itertools.permutations(range(GROUPS), 2)
        others = [order[row, cold[group] - 1].item() for row, group in pairs]
        if content == kind:
            assert ranks[content] < SIZE + 1
            assert np.mean(others) > 2 * SIZE  # cold items of other groups stay behind
    assert ranks["none"] > 2 * SIZE  # pushed away as a negative of every session


def test_content_is_folded_into_a_plain_table() -> None:
    trainer = trainer_of(grouped(0, 40), described(), content="linear")
    model = taught(trainer, 1)
    plain, weights = told(), plain_weights(model)
    served = MODELS["gru4rec"](plain.model_settings(), described())
    served.load_state_dict(weights)
    sessions = grouped(1, 5)
    assert torch.equal(scores(served.eval(), sessions), scores(model, sessions))
    assert not weights["items.weight"][0].any()
    parameters = dict(model.named_parameters())
    own = parameters["items.parametrizations.weight.original"]
    tags = parameters["items.parametrizations.weight.0.content.of_tags.weight"]
    value = parameters["items.parametrizations.weight.0.content.values.weight"][1]
    expected = own[2] + tags[:, group_of(2)] + value
    torch.testing.assert_close(weights["items.weight"][2], expected)
    torch.testing.assert_close(weights["items.weight"][ITEMS], own[ITEMS])  # nothing is known of it


@pytest.mark.parametrize("model", [name for name, cls in MODELS.items() if cls.trained_by_gradient])
def test_content_reaches_look_ups_and_scores_of_every_model(model: str) -> None:
    """Both gradients flow to g, where a model has one table for both."""
    built = build(MODELS[model], 0)
    features = ItemFeatures(built.n_items, 12, torch.rand(built.n_items + 1, 3), None, 0)
    clicked = torch.arange(built.n_items + 1) > 0
    before = {name: tensor.clone() for name, tensor in built.state_dict().items()}
    add_content(built, features, "linear", clicked, 0.0)
    assert plain_weights(built).keys() == before.keys()
    inputs = model_inputs(pad_clicks([[1, 2, 3]], 12), ArrayStore(random_graph(0)).fetch, built.hops)
    for part in (built.encode(*inputs).sum(), built.item_vectors().square().sum()):
        built.zero_grad()
        part.backward()  # type: ignore[no-untyped-call]
        of_tags = next(p for name, p in built.named_parameters() if name.endswith("of_tags.weight"))
        if model != "fpmc":  # looks clicks up in a table of their own
            assert of_tags.grad is not None
            assert of_tags.grad.any()


def test_content_without_metadata_is_refused() -> None:
    with pytest.raises(InputError, match=r"content=mlp needs metadata.*--games"):
        trainer_of(grouped(0, 20), ITEMS, content="mlp")
