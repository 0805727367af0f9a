"""Perturbed copies of sessions, and that consistency makes answers steadier."""

from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from srec.graph.session import pad_clicks
from srec.training.perturb import DAY, Perturber
from tests.training.planted import circle, learn, scores, told

LOGS = st.lists(st.lists(st.integers(1, 9), min_size=1, max_size=7), min_size=1, max_size=8)


def perturbed(
    log: list[list[int]], kinds: str, seed: int, days: list[list[int]] | None = None
) -> list[list[int]]:
    options = told(perturb=kinds, perturb_share=1).training
    times = None if days is None else DAY * pad_clicks(days, 50)
    found = Perturber(options, seed)(pad_clicks(log, 50), times)
    assert found.shape == pad_clicks(log, 50).shape
    return [[item for item in row if item] for row in found.tolist()]


@given(log=LOGS, seed=st.integers(0, 9))
@settings(deadline=None)
def test_a_click_is_dropped_but_never_the_newest(log: list[list[int]], seed: int) -> None:
    for before, after in zip(log, perturbed(log, "drop", seed), strict=True):
        choices = [before[:place] + before[place + 1 :] for place in range(len(before) - 1)] or [before]
        assert after in choices


@given(log=LOGS, seed=st.integers(0, 9))
@settings(deadline=None)
def test_two_neighbours_are_swapped(log: list[list[int]], seed: int) -> None:
    for before, after in zip(log, perturbed(log, "swap", seed), strict=True):
        pairs = range(len(before) - 1)
        choices = [[*before[:p], before[p + 1], before[p], *before[p + 2 :]] for p in pairs] or [before]
        assert after in choices


@given(log=LOGS, seed=st.integers(0, 9), data=st.data())
@settings(deadline=None)
def test_clicks_are_shuffled_within_their_days(log: list[list[int]], seed: int, data: st.DataObject) -> None:
    days = [sorted(data.draw(st.lists(st.integers(1, 3), min_size=len(s), max_size=len(s)))) for s in log]
    for before, after, day in zip(log, perturbed(log, "shuffle", seed, days), days, strict=True):
        assert len(before) == len(after)
        for one in set(day):
            inside = [place for place, of in enumerate(day) if of == one]
            assert Counter(before[p] for p in inside) == Counter(after[p] for p in inside)


def test_shuffling_shuffles() -> None:
    session, day = list(range(1, 10)), [1] * 9
    assert len({tuple(perturbed([session], "shuffle", seed, [day])[0]) for seed in range(5)}) > 3


def test_a_share_is_perturbed_in_all_ways_asked_for_and_the_rest_is_left() -> None:
    clicks = np.tile(np.arange(1, 6), (4000, 1))
    options = told(perturb="swap, drop", perturb_share=0.25).training
    found = Perturber(options, 0)(clicks)
    dropped = (found == 0).any(1)
    changed = (found != clicks).any(1)
    assert changed.mean() == pytest.approx(0.25, abs=0.03)
    assert dropped.mean() == pytest.approx(0.125, abs=0.02)
    assert (clicks == np.arange(1, 6)).all()


def test_consistency_brings_perturbed_sessions_nearer_and_keeps_what_was_learnt() -> None:
    sessions = circle(0, 200, 12, noise=0.2)
    probes = [[a, b, c] for a, b, c in zip(range(1, 9), range(3, 11), range(4, 12), strict=True)]
    swapped = [[b, a, c] for a, b, c in probes]
    apart: dict[int, float] = {}
    knows: dict[int, float] = {}
    for weight in (0, 10):
        options: dict[str, object] = {"perturb": "drop", "perturb_share": 1} if weight else {}
        model = learn(sessions, 12, 6, options, consistency=weight)
        logs = [scores(model, each).log_softmax(1) for each in (probes, swapped)]
        apart[weight] = (logs[0] - logs[1]).abs().mean().item()
        knows[weight] = (logs[0].argmax(1) == torch.tensor([c for *_, c in probes])).float().mean().item()
    assert apart[10] < 0.6 * apart[0]
    assert min(knows.values()) > 0.8
