"""The loss over all items against torch's own."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from srec.training import softmax
from srec.training.softmax import full_softmax_loss


def drawn(dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    random = torch.Generator().manual_seed(3)
    sessions = torch.randn(7, 5, generator=random, dtype=dtype, requires_grad=True)
    table = torch.randn(11, 5, generator=random, dtype=dtype, requires_grad=True)
    targets = torch.randint(11, (7,), generator=random)
    return sessions, table, targets, torch.randn(11, generator=random), torch.rand(7, generator=random)


def gradients(loss: Tensor, *of: Tensor) -> list[Tensor]:
    return list(torch.autograd.grad(3 * loss, of))


@pytest.mark.parametrize("rows", [100, 3])
def test_equals_autograd(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Loss and gradients, at once or in chunks of three sessions."""
    monkeypatch.setattr(softmax, "LARGEST", rows * 11)
    sessions, table, targets, added, weights = drawn(torch.float32)
    loss = full_softmax_loss(sessions, table, targets, added, weights)
    scores = sessions @ table.T + added
    expected = (F.cross_entropy(scores, targets, reduction="none") * weights).mean()
    torch.testing.assert_close(loss, expected)
    for mine, theirs in zip(
        gradients(loss, sessions, table), gradients(expected, sessions, table), strict=True
    ):
        torch.testing.assert_close(mine, theirs)


def test_scores_that_overflow_an_exponential() -> None:
    sessions, table, targets, *_ = drawn(torch.float32)
    loss = full_softmax_loss(100 * sessions, table, targets)
    torch.testing.assert_close(loss, F.cross_entropy(100 * sessions @ table.T, targets))


def test_bfloat16_is_near() -> None:
    sessions, table, targets, *_ = drawn(torch.float32)
    exact = full_softmax_loss(sessions, table, targets)
    rough = full_softmax_loss(sessions.bfloat16(), table.bfloat16(), targets)
    assert rough.dtype == torch.float32
    torch.testing.assert_close(rough, exact, rtol=0.02, atol=0)
    for mine, theirs in zip(
        gradients(rough, sessions, table), gradients(exact, sessions, table), strict=True
    ):
        torch.testing.assert_close(mine, theirs, rtol=0.1, atol=0.02)
        assert not torch.equal(mine, theirs)
