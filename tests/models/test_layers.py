import math

import torch

from srec.models.layers import at_clicks, click_mask, masked_mean, masked_softmax


def test_masked_softmax_is_a_softmax_over_what_is_there() -> None:
    scores = torch.tensor([[1.0, 900.0, 2.0], [5.0, 6.0, 7.0]])
    mask = torch.tensor([[True, False, True], [False, False, False]])
    share = 1 / (1 + math.e)
    expected = torch.tensor([[share, 0.0, 1 - share], [0.0, 0.0, 0.0]])
    torch.testing.assert_close(masked_softmax(scores, mask), expected)


def test_masked_softmax_has_a_gradient_where_nothing_is_there() -> None:
    scores = torch.randn(2, 3, requires_grad=True)
    masked_softmax(scores, torch.zeros(2, 3, dtype=torch.bool)).sum().backward()  # type: ignore[no-untyped-call]
    assert scores.grad is not None
    assert torch.equal(scores.grad, torch.zeros(2, 3))


def test_clicks_take_the_vectors_of_their_nodes_and_padding_is_not_averaged() -> None:
    nodes = torch.tensor([[[1.0, 10.0], [3.0, 30.0]], [[5.0, 50.0], [9.0, 90.0]]])  # [B, N, D]
    alias = torch.tensor([[1, 0, 1], [0, 0, 0]])
    mask = click_mask(alias, torch.tensor([3, 1]))
    assert mask.tolist() == [[True, True, True], [True, False, False]]
    clicks = at_clicks(nodes, alias)
    assert clicks[0].tolist() == [[3, 30], [1, 10], [3, 30]]
    torch.testing.assert_close(masked_mean(clicks, mask), torch.tensor([[7 / 3, 70 / 3], [5.0, 50.0]]))
