"""Objectives against slow references from their equations, and what each does to planted sessions."""

import math
from collections.abc import Mapping

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from srec.training.losses import CrossEntropy, Softmax, make_objective
from srec.training.negatives import NegativeSampler
from tests.training.planted import Sessions, circle, learn, loss_of, scores, told

V, B, D = 11, 7, 5
POPULAR = 1


def drawn(seed: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Session vectors, item table, targets and clicks, all in float64 but for the last two."""
    random = torch.Generator().manual_seed(seed)
    sessions, table = (torch.randn(n, D, generator=random, dtype=torch.float64) for n in (B, V))
    targets = torch.randint(0, V, (B,), generator=random)
    return sessions, table, targets, torch.randint(1, 100, (V,), generator=random).double()


def reference(sessions: Tensor, table: Tensor, targets: Tensor, clicks: Tensor, **options: float) -> float:
    """Weighted, smoothed, adjusted cross-entropy, one example at a time."""
    smoothing, penalty, power, clip = (
        options.get(name, default)
        for name, default in (
            ("label_smoothing", 0.0),
            ("popularity_penalty", 0.0),
            ("propensity_power", 0.0),
            ("propensity_clip", 10.0),
        )
    )
    raw = [count**-power for count in clicks.tolist()]
    total = sum(clicks.tolist())
    limit = clip * sum(w * n for w, n in zip(raw, clicks.tolist(), strict=True)) / total
    cut = [min(w, limit) for w in raw]
    scale = total / sum(w * n for w, n in zip(cut, clicks.tolist(), strict=True))
    losses = []
    for session, target in zip(sessions, targets.tolist(), strict=True):
        scores = [float(session @ row) + penalty * math.log(n) for row, n in zip(table, clicks, strict=True)]
        logs = [score - math.log(sum(map(math.exp, scores))) for score in scores]
        loss = -(1 - smoothing) * logs[target] - smoothing * sum(logs) / V
        losses.append(scale * cut[target] * loss)
    return float(sum(losses) / B)


@given(
    seed=st.integers(0, 99),
    smoothing=st.sampled_from([0.0, 0.1, 0.5]),
    penalty=st.sampled_from([0.0, 0.3, 1.0]),
    power=st.sampled_from([0.0, 0.5, 1.0]),
    clip=st.sampled_from([1.0, 1.5, 10.0]),
)
@settings(max_examples=40, deadline=None)
def test_the_softmax_is_that_of_its_equations(
    seed: int, smoothing: float, penalty: float, power: float, clip: float
) -> None:
    options = {
        "label_smoothing": smoothing,
        "popularity_penalty": penalty,
        "propensity_power": power,
        "propensity_clip": clip,
    }
    sessions, table, targets, clicks = drawn(seed)
    found = make_objective(told(**options).training, clicks)(sessions.float(), table.float(), targets)
    assert found.item() == pytest.approx(reference(sessions, table, targets, clicks, **options), rel=1e-4)


def test_without_options_it_is_plain_cross_entropy() -> None:
    sessions, table, targets, clicks = drawn(0)
    objective = make_objective(told().training, clicks)
    assert isinstance(objective, CrossEntropy)
    expected = F.cross_entropy(sessions @ table.T, targets).item()
    assert objective(sessions.float(), table.float(), targets).item() == pytest.approx(expected, rel=1e-5)


def test_items_that_may_not_be_compared_with_get_no_gradient() -> None:
    sessions, table, targets, clicks = (tensor.float() for tensor in drawn(1))
    targetable = torch.ones(V, dtype=torch.bool)
    targetable[[3, 4]] = False
    targets = torch.tensor([0, 1, 2, 5, 6, 7, 8])
    for options in ({}, {"label_smoothing": 0.2}, {"negatives": 50}, {"loss": "gbce"}):
        rows = table.clone().requires_grad_()
        loss = make_objective(told(**options).training, clicks, targetable)(sessions, rows, targets)
        loss.backward()  # type: ignore[no-untyped-call]
        assert rows.grad is not None
        assert not rows.grad[[3, 4]].any(), options
        assert rows.grad[[0, 9]].all(), options


@pytest.mark.parametrize("power", [0.0, 0.5, 1.0])
def test_drawn_negatives_estimate_the_whole_softmax(power: float) -> None:
    """What they add up to is, in the mean, the sum over all other items; and so is the loss of many."""
    sessions, table, targets, clicks = (tensor.float() for tensor in drawn(2))
    targets = targets.long()
    right = (sessions * table[targets]).sum(1)
    exact = F.cross_entropy(sessions @ table.T, targets, reduction="none")
    few = make_objective(told(negatives=3, negative_power=power).training, clicks)
    assert isinstance(few, Softmax)
    assert few.sampler is not None
    torch.manual_seed(0)
    sums = [(few._drawn(sessions, table, targets, few.sampler.draw()) + right).exp() for _ in range(1500)]
    torch.testing.assert_close(torch.stack(sums).mean(0), (exact + right).exp(), rtol=0.2, atol=0)
    many = make_objective(told(negatives=50_000, negative_power=power).training, clicks)
    assert many(sessions, table, targets).item() == pytest.approx(exact.mean().item(), rel=0.02)


@pytest.mark.parametrize("power", [0.0, 0.75, 1.0])
def test_negatives_are_drawn_by_popularity_to_a_power(power: float) -> None:
    clicks = torch.tensor([0.0, 1.0, 4.0, 9.0, 0.0, 100.0])
    torch.manual_seed(0)
    found = NegativeSampler(clicks, 100_000, power).draw()
    expected = clicks.pow(power) * (clicks > 0)
    shares = torch.bincount(found.items, minlength=6) / 100_000
    torch.testing.assert_close(shares, expected / expected.sum(), atol=0.01, rtol=0)
    assert not shares[[0, 4]].any()
    counts = found.log_expected.exp()[(found.items == 5).nonzero()[0]]
    assert counts.item() == pytest.approx(100_000 * (expected[5] / expected.sum()).item(), rel=1e-4)


@given(seed=st.integers(0, 99), calibration=st.sampled_from([0.0, 0.75, 1.0]))
@settings(max_examples=20, deadline=None)
def test_gbce_is_that_of_its_equations(seed: int, calibration: float) -> None:
    sessions, table, targets, clicks = drawn(seed)
    negatives = 4
    options = told(loss="gbce", calibration=calibration, negatives=negatives).training
    torch.manual_seed(seed)
    found = make_objective(options, clicks)(sessions.float(), table.float(), targets).item()
    torch.manual_seed(seed)
    items = NegativeSampler(torch.ones(V), negatives, 0).draw().items.tolist()
    alpha = negatives / (V - 1)
    beta = alpha * (calibration * (1 - 1 / alpha) + 1 / alpha)
    losses = []
    for session, target in zip(sessions, targets.tolist(), strict=True):
        probability = [1 / (1 + math.exp(-float(session @ row))) for row in table]
        wrong = sum(math.log(1 - probability[item]) for item in items if item != target)
        losses.append(-(math.log(probability[target] ** beta) + wrong) / (negatives + 1))
    assert found == pytest.approx(sum(losses) / B, rel=1e-4)


# What the options do to planted sessions: a circle of items, and a popular one that strays in.

ITEMS = 12


@pytest.fixture(scope="module")
def strayed() -> Sessions:
    return circle(0, 300, ITEMS, noise=0.45, popular=POPULAR)


@pytest.fixture(scope="module")
def plain(strayed: Sessions) -> tuple[float, float]:
    return rise_of_the_popular(strayed)


def rise_of_the_popular(
    sessions: Sessions, changes: Mapping[str, object] | None = None
) -> tuple[float, float]:
    """Mean log-probability of the popular item, and accuracy of the circle among the others."""
    model = learn(sessions, ITEMS, 6, changes)
    found = scores(model, [[item] for item in range(2, ITEMS)])
    follows = torch.arange(2, ITEMS)  # columns of the items after 2 to ITEMS - 1
    others = found.clone()
    others[:, POPULAR - 1] = -torch.inf
    right = (others.argmax(1) == follows).float().mean().item()
    return found.log_softmax(1)[:, POPULAR - 1].mean().item(), right


@pytest.mark.parametrize(
    "changes",
    [
        {"popularity_penalty": 1.0},
        {"propensity_power": 1.0},
        {"negatives": 64, "negative_power": 1.0, "negative_correction": False},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_the_popular_item_is_pushed_down(
    strayed: Sessions, plain: tuple[float, float], changes: dict[str, object]
) -> None:
    pushed, knows = rise_of_the_popular(strayed, changes)
    assert pushed < plain[0] - 0.5
    assert min(plain[1], knows) > 0.8


@pytest.mark.parametrize("changes", [{"negatives": 32}, {"negatives": 32, "negative_power": 0.5}])
def test_corrected_negatives_learn_what_all_items_teach(
    strayed: Sessions, plain: tuple[float, float], changes: dict[str, object]
) -> None:
    popular, knows = rise_of_the_popular(strayed, changes)
    assert popular == pytest.approx(plain[0], abs=0.3)
    assert knows > 0.8


def test_gbce_is_less_certain_than_plain_binary_cross_entropy() -> None:
    """Few negatives make a binary loss overconfident; the calibration takes that back."""
    chance = 0.6 + 0.4 / ITEMS
    sessions, sure = circle(0, 300, ITEMS, noise=0.4), {}
    for calibration in (0.0, 1.0):
        options = {"loss": "gbce", "negatives": 4, "learning_rate": 0.03, "calibration": calibration}
        found = scores(learn(sessions, ITEMS, 10, options), [[item] for item in range(1, ITEMS)])
        sure[calibration] = found.diagonal(1).sigmoid().mean().item()
        assert (found.argmax(1) == torch.arange(1, ITEMS)).float().mean() > 0.7
    assert sure[0.0] > chance + 0.05
    assert sure[1.0] < chance


def test_smoothing_keeps_a_model_from_certainty() -> None:
    certain, smooth = (
        learn(circle(0, 200, ITEMS, noise=0), ITEMS, epochs=12, label_smoothing=value) for value in (0.0, 0.3)
    )
    sure = [scores(model, [[1], [5]]).softmax(1).amax().item() for model in (certain, smooth)]
    assert sure[0] > 0.95
    assert sure[1] < 0.8
    assert loss_of(smooth, [[4, 5]]) > loss_of(certain, [[4, 5]])
