"""Where the weights of the clicks start."""

import pytest
import torch

from srec.models.gce_gnn import GceGnn
from tests.models.contract import build, inputs_of, random_sessions


@pytest.mark.parametrize("seed", range(6))
def test_every_click_counts_about_one_before_training(seed: int) -> None:
    model = build(GceGnn, seed, dim=32, attention_start="one")
    assert isinstance(model, GceGnn)
    inputs = inputs_of(model, random_sessions(seed, 9))
    with torch.no_grad():
        h, side, mask = model._clicks(*inputs)
        beta = model.attention.weights(h, side, mask, inputs[3])[mask]
    assert beta.mean().item() == pytest.approx(1, abs=0.2)
    assert beta.min() > 0.3


def test_drawn_as_the_authors_do_it_has_either_sign() -> None:
    signs = set()
    for seed in range(12):
        model = build(GceGnn, seed, dim=32)
        assert isinstance(model, GceGnn)
        signs.add(bool(model.attention.q2.sum() > 0))
    assert signs == {True, False}
