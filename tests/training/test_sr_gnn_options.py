"""What SR-GNN's options are for, on planted sequences; training and serving see the same inputs."""

from pathlib import Path

import numpy as np
import torch

from srec.data.dataset import Dataset, Sequences
from srec.graph.inputs import model_inputs
from srec.graph.neighbours import GlobalGraph
from srec.graph.session import pad_clicks, pad_gaps
from srec.models.sr_gnn import SrGnn
from srec.stores.array import ArrayStore
from srec.training.batches import PrefixExamples
from srec.training.settings import resolve
from tests.training.small import Told, trained
from tests.training.timed import Clicks, no_graph, sequences_of, share_right, trained_on

KINDS = 8
FAMILIES, EDITIONS = 10, 6


def test_time_gaps_tell_whether_the_click_before_still_matters() -> None:
    """Soon after, the first click decides what comes next; long after, the second one does."""
    sessions, times = visits(0, 300)
    asked, when = visits(1, 100)
    inputs, targets = [one[:2] for one in asked], [one[2] for one in asked]
    graph = no_graph(4 * KINDS)
    right = {}
    for gaps in ("off", "required"):
        sequences = sequences_of(sessions, times)
        model = trained_on(sequences, graph, "sr-gnn", time_gaps=gaps, epochs=12)
        known = [one[:2] for one in when] if gaps == "required" else None
        right[gaps] = share_right(model, graph, inputs, targets, known)
    assert right["off"] < 0.6
    assert right["required"] > 0.9


def visits(seed: int, count: int) -> tuple[list[Clicks], list[list[int]]]:
    random = np.random.default_rng(seed)
    sessions, times = [], []
    for _ in range(count):
        first, second = (int(kind) for kind in random.integers(KINDS, size=2))
        soon = bool(random.integers(2))
        target = 2 * KINDS + 1 + first if soon else 3 * KINDS + 1 + second
        gap = int(random.integers(1, 5)) if soon else int(random.integers(300, 900))
        sessions.append([1 + first, KINDS + 1 + second, target])
        times.append([0, gap, gap + 1])
    return sessions, times


def test_short_sessions_borrow_what_they_lack() -> None:
    """Editions of a game that training never saw clicked lie beside the game in the global graph."""
    graph, sessions, unseen, targets = editions()
    right = {
        borrow_up_to: share_right(
            trained_on(sequences_of(sessions), graph, "sr-gnn", borrow_up_to=borrow_up_to, epochs=8),
            graph,
            unseen,
            targets,
        )
        for borrow_up_to in (0, 1)
    }
    assert right[0] < 0.4
    assert right[1] > 0.7


def editions() -> tuple[GlobalGraph, list[Clicks], list[Clicks], list[int]]:
    """The graph, training sessions of (edition, sequel), sessions of unseen editions, their sequels."""
    items = 2 * FAMILIES + FAMILIES * EDITIONS
    neighbours, weights = np.zeros((items + 1, 1), np.int32), np.zeros((items + 1, 1), np.float32)
    sessions: list[Clicks] = []
    unseen: list[Clicks] = []
    targets: list[int] = []
    for family in range(FAMILIES):
        game, sequel = 1 + family, 1 + FAMILIES + family
        sessions += [[game, sequel]] * 6
        for number in range(EDITIONS):
            edition = 1 + 2 * FAMILIES + family * EDITIONS + number
            neighbours[edition], weights[edition] = game, 3
            if number < EDITIONS - 2:
                sessions += [[edition, sequel]] * 6
            else:
                unseen.append([edition])
                targets.append(sequel)
    return GlobalGraph(neighbours, weights), sessions, unseen, targets


def test_training_and_serving_see_the_same_gaps() -> None:
    """Windows of the training clicks, and lists of times, cut at the same limit."""
    random = np.random.default_rng(0)
    sessions = [random.integers(1, 9, length).tolist() for length in (2, 5, 9, 3)]
    times = [np.cumsum(random.integers(0, 90, len(one))).tolist() for one in sessions]
    examples = PrefixExamples(sequences_of(sessions, times), max_clicks=4)
    prefixes = [(s, e) for s, one in enumerate(sessions) for e in range(1, len(one))]
    gaps = examples.gaps(np.arange(len(examples)))
    listed = [times[number][:end] for number, end in prefixes]
    assert np.array_equal(gaps, pad_gaps(listed, 4))
    for row, known in zip(gaps, listed, strict=True):
        kept = known[-4:]
        expected = [0.0, *np.diff(kept).tolist()]
        assert row.tolist() == expected + [0.0] * (4 - len(kept))


def test_the_last_of_the_inputs_are_the_gaps() -> None:
    store = ArrayStore(no_graph(9))
    clicks, gaps = pad_clicks([[1, 2], [3]], 5), np.array([[0, 7], [0, 0]], np.float32)
    inputs = model_inputs(clicks, store.fetch, 1, gaps)
    assert len(inputs) == len(model_inputs(clicks, store.fetch, 1)) + 1
    assert torch.equal(inputs[-1], torch.from_numpy(gaps))


def test_a_run_with_times_is_measured_with_them(reviews: Dataset, tmp_path: Path) -> None:
    changes = {"dim": "8", "epochs": "2", "batch_size": "50", "gap_unit": "86400", "time_gaps": "required"}
    run = trained(reviews, tmp_path / "RUN", resolve("sr-gnn", "paper", changes), Told())
    model = run.model()
    assert isinstance(model, SrGnn)
    assert model.beta != 0.1
    assert run.record["validation"]["recall@20"] > 0
    timed: Sequences = reviews.examples("validation", times=True).inputs
    assert timed.times is not None
    assert len(timed.times) == len(timed.items)
