"""Products and dropout of training against torch's own."""

import pytest
import torch

from srec import matmul
from srec.matmul import columns_by_rows, rows_by_rows
from srec.models.layers import dropout


@pytest.mark.parametrize("onednn", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("shape", [(1, 1, 1), (7, 4, 5), (100, 33, 1001)])
def test_products_are_torchs(
    dtype: torch.dtype, shape: tuple[int, int, int], onednn: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    monkeypatch.setattr(matmul, "_ONEDNN", onednn)
    m, k, n = shape
    left, right = torch.randn(m, k, dtype=dtype), torch.randn(n, k, dtype=dtype)
    torch.testing.assert_close(rows_by_rows(left, right), left @ right.T)
    across = torch.randn(k, n, dtype=dtype)
    torch.testing.assert_close(rows_by_rows(left, across.T), left @ across)
    torch.testing.assert_close(columns_by_rows(across, left.T), across.T @ left.T)


@pytest.mark.parametrize("rate", [0.2, 0.5, 0.9])
def test_dropout_keeps_the_mean_and_drops_its_share(rate: float) -> None:
    torch.manual_seed(0)
    x = torch.ones(300, 1001, requires_grad=True)
    dropped = dropout(x, rate, training=True)
    assert (dropped == 0).float().mean().item() == pytest.approx(rate, abs=0.005)
    assert dropped.mean().item() == pytest.approx(1, abs=0.02)
    assert sorted(set(dropped.flatten().tolist())) == pytest.approx([0, 1 / (1 - rate)], rel=1e-3)
    dropped.sum().backward()  # type: ignore[no-untyped-call]
    assert x.grad is not None
    assert torch.equal(x.grad, dropped.detach())


def test_dropout_draws_anew_and_the_same_for_a_seed() -> None:
    x = torch.ones(50, 7)
    torch.manual_seed(1)
    first, second = dropout(x, 0.5, training=True), dropout(x, 0.5, training=True)
    torch.manual_seed(1)
    assert torch.equal(first, dropout(x, 0.5, training=True))
    assert not torch.equal(first, second)
    assert dropout(x, 0.5, training=False) is x
    assert dropout(x, 0.0, training=True) is x
