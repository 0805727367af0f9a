"""A scan whose clicked items gain answers as the full scan of the raised scores does."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from srec.graph.inputs import ModelInputs, model_inputs
from srec.graph.session import pad_clicks
from srec.models.repeats import RepeatBonus
from srec.serving import repeats
from srec.serving.scan import FullScan
from srec.stores.array import ArrayStore
from srec.topk import Selection, select
from tests.models.contract import MAX_CLICKS, empty_graph
from tests.serving.test_scan import WIDTH, certified_scan, same, table
from tests.serving.test_scan import sessions as vectors_of

N_ITEMS = 700


def drawn_bonus(draw: torch.Generator) -> RepeatBonus:
    """Of fewer places than a session has clicks."""
    bonus = RepeatBonus(MAX_CLICKS - 5)
    for part in bonus.buffers():
        part.copy_(3 * torch.randn(part.shape, generator=draw))
    return bonus


def gains_of(bonus: RepeatBonus) -> repeats.Gains:
    return repeats.Gains.of(bonus.places, bonus.counts, bonus.own)


def graphs(sessions: list[list[int]]) -> ModelInputs:
    return model_inputs(pad_clicks(sessions, MAX_CLICKS), ArrayStore(empty_graph()).fetch, 0)


@settings(max_examples=60, deadline=None)
@given(
    clicked=st.lists(
        st.lists(st.integers(1, N_ITEMS) | st.integers(1, 4), min_size=1, max_size=MAX_CLICKS),
        min_size=1,
        max_size=4,
    ),
    k=st.integers(1, 60),
    cosine=st.booleans(),
    certified=st.booleans(),
    seed=st.integers(0, 1000),
    share=st.sampled_from([0.0, 0.02, 0.7, 1.0]),
    penalty=st.sampled_from([0.0, 5.0]),
    data=st.data(),
)
def test_answers_as_the_full_scan(
    clicked: list[list[int]],
    k: int,
    cosine: bool,
    certified: bool,
    seed: int,
    share: float,
    penalty: float,
    data: st.DataObject,
) -> None:
    """Whatever is excluded, allowed or penalised, in batches where every session has its own."""
    draw = torch.Generator().manual_seed(seed)
    items = table(N_ITEMS, 0.8, seed)
    norms = items[1:].norm(dim=1) if cosine else None
    full = FullScan(items, norms)
    scan = certified_scan(items, norms, WIDTH) if certified else full
    selections = []
    for session in clicked:
        some = data.draw(st.lists(st.sampled_from(session) | st.integers(1, N_ITEMS), max_size=20))
        allowed = torch.rand(N_ITEMS, generator=draw) < share if share < 1 else None
        handicap = penalty * torch.rand(N_ITEMS, generator=draw) if penalty else None
        selections.append(Selection(k, tuple(some), allowed, handicap))
    bonus, asked, inputs = drawn_bonus(draw), vectors_of(items, len(clicked), seed), graphs(clicked)
    nodes, alias, _, lengths = inputs
    scores = bonus.raised(full.scores(asked), nodes, alias, lengths)
    torch.testing.assert_close(repeats.raised(full.scores(asked), gains_of(bonus), inputs), scores)
    expected = select(scores.clone(), selections)
    answered = repeats.best(scan, gains_of(bonus), asked, clicked, selections)
    lowered = [
        row if one.handicap is None else row - one.handicap
        for row, one in zip(scores, selections, strict=True)
    ]
    same(answered, expected, torch.stack(lowered))
    for found, one in zip(answered, selections, strict=True):
        assert not set(found.items.tolist()) & set(one.excluded)


def test_equal_scores_ascend_by_item() -> None:
    """Clicked items between the others, all with one score."""
    items = torch.ones(31, WIDTH)
    scan, gains = FullScan(items, None), gains_of(RepeatBonus(MAX_CLICKS))
    answer = repeats.best(scan, gains, items[:1], [[7, 30, 2]], [Selection(10)])[0]
    assert answer.items.tolist() == list(range(1, 11))


@pytest.mark.parametrize("gain", [100.0, -100.0])
def test_a_gain_puts_clicked_items_first_or_last(gain: float) -> None:
    items = table(30, 0.8)
    bonus = RepeatBonus(MAX_CLICKS)
    bonus.counts.fill_(gain)
    scan, gains = FullScan(items, None), gains_of(bonus)
    (answer,) = repeats.best(scan, gains, vectors_of(items, 1), [[7, 30, 7]], [Selection(30)])
    ends = answer.items[:2] if gain > 0 else answer.items[-2:]
    assert sorted(ends.tolist()) == [7, 30]
    assert len(answer.items) == 30
