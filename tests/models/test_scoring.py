"""Scaling rows to length 1 against torch's own."""

import torch
import torch.nn.functional as F

from srec.models.scoring import unit_rows


def test_unit_rows_and_their_gradient_are_those_of_normalize() -> None:
    """In double precision to its last places; a row of zeros, as an item without a vector has, included."""
    table = torch.randn(9, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    table[4] = 0
    table.requires_grad_()
    weights = torch.randn(9, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    weights[4] = 0
    mine, theirs = unit_rows(table), F.normalize(table, dim=-1)
    torch.testing.assert_close(mine, theirs)
    (mine_grad,) = torch.autograd.grad((mine * weights).sum(), table)
    (their_grad,) = torch.autograd.grad((theirs * weights).sum(), table)
    torch.testing.assert_close(mine_grad, their_grad)
    with torch.no_grad():
        assert torch.equal(unit_rows(table), theirs)
