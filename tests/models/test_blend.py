"""A blend against its formula, and what it does to the order of one model that answers alone."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from srec.errors import InputError
from srec.models import MODELS, SessionModel
from srec.models.blend import Blend, BlendSettings, LengthGroup
from srec.models.gce_gnn import GceGnn
from srec.topk import top_k
from tests.models.contract import ITEMS, Make, ModelContract, build, random_sessions, scores_of

CLICKS = torch.arange(ITEMS).float()


def make_blend(seed: int, *groups: LengthGroup, penalty: float = 0.0, second: str = "v-sknn") -> Blend:
    chosen = BlendSettings(groups=groups or (LengthGroup(weight=0.5),), penalty=penalty)
    parts = build(GceGnn, seed, dim=8), build(MODELS[second], seed)
    return Blend(chosen, *parts, CLICKS).eval()


class TestBlend(ModelContract):
    @pytest.fixture
    def make(self) -> Make:
        groups = LengthGroup(longest=2, weight=0.1, sharpness=2), LengthGroup(weight=0.7)
        return lambda seed: make_blend(seed, *groups, penalty=0.2)

    def test_a_blend_of_blends(self) -> None:
        inner = make_blend(0)
        outer = Blend(inner.settings, inner, build(MODELS["pop"], 0), CLICKS).eval()
        assert scores_of(outer, random_sessions(1, 9)).isfinite().all()


def by_formula(model: Blend, session: list[int]) -> list[float]:
    """The mixture's logarithm in plain numbers."""
    chosen = model.settings
    group = next(g for g in chosen.groups if g.longest is None or len(session) <= g.longest)
    one = [math.exp(x) for x in scores_of(model.first, [session])[0].tolist()]
    other = [max(x, 1e-12) ** group.sharpness for x in scores_of(model.second, [session])[0].tolist()]
    return [
        math.log(group.weight * p / sum(one) + (1 - group.weight) * q / sum(other))
        - chosen.penalty * math.log(1 + clicks)
        for p, q, clicks in zip(one, other, CLICKS.tolist(), strict=True)
    ]


@settings(max_examples=30, deadline=None)
@given(
    session=st.lists(st.integers(1, ITEMS), min_size=1, max_size=6),
    weight=st.sampled_from([0.1, 0.5, 0.9]),
    sharpness=st.sampled_from([0.5, 1.0, 3.0]),
    penalty=st.sampled_from([0.0, 0.4]),
)
def test_a_blend_is_the_logarithm_of_a_mixture(
    session: list[int], weight: float, sharpness: float, penalty: float
) -> None:
    groups = LengthGroup(longest=2, weight=weight, sharpness=sharpness), LengthGroup(weight=1 - weight)
    model = make_blend(0, *groups, penalty=penalty)
    assert scores_of(model, [session])[0].tolist() == pytest.approx(by_formula(model, session), abs=2e-4)


def order_of(model: SessionModel, sessions: list[list[int]]) -> list[list[int]]:
    return [best.items.tolist() for best in top_k(scores_of(model, sessions), 10)]


def test_weights_of_0_and_1_route_by_length() -> None:
    """Lengths up to ``longest`` go to the second model alone, all others to the first."""
    model = make_blend(0, LengthGroup(longest=2, weight=0), LengthGroup(weight=1))
    short, long = [[3], [4, 5], [6, 6]], [[3, 4, 5], list(range(1, 13))]
    assert order_of(model, [*short, *long]) == order_of(model.second, short) + order_of(model.first, long)


def test_groups_must_ascend_and_end() -> None:
    closed, opened = LengthGroup(longest=2, weight=0), LengthGroup(weight=1)
    for groups in ((), (closed,), (opened, opened), (closed, closed, opened)):
        with pytest.raises(ValidationError, match="ascend by their longest session"):
            BlendSettings(groups=groups)


def test_models_over_other_items_are_refused() -> None:
    model = make_blend(0)
    model.second.n_items = 3
    with pytest.raises(InputError, match=r"models over the same items: 40, 3"):
        Blend(model.settings, model.first, model.second, CLICKS)
