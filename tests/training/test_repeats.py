"""Fitting what clicked items gain: on planted sessions, inside a training, and where it must do nothing."""

from pathlib import Path

import numpy as np
import pytest
import torch

from srec.data.dataset import Dataset, Examples, Sequences
from srec.evaluation.report import evaluate_run
from srec.models import MODELS, SessionModel
from srec.prepare import SessionSettings, prepare_sessions
from srec.stores.array import ArrayStore
from srec.training.blend import sample
from srec.training.repeats import fit_repeats
from srec.training.run import Run
from srec.training.train import train
from tests.models.contract import ITEMS, MAX_CLICKS, build, flat, random_graph, scores_of
from tests.training.small import Told, quick, trained


def model_with_gains() -> SessionModel:
    return build(MODELS["gce-gnn"], 0, dim=8, scoring="cosine", scale=3.0, repeats=True)


def drawn(seed: int, count: int) -> list[list[int]]:
    """Sessions of random items; some items come twice."""
    random = np.random.default_rng(seed)
    return [random.integers(1, ITEMS + 1, random.integers(3, MAX_CLICKS)).tolist() for _ in range(count)]


def examples_of(sessions: list[list[int]], targets: list[int]) -> Examples:
    return Examples(flat(sessions), np.array(targets, np.int32))


def fit(model: SessionModel, examples: Examples) -> None:
    fit_repeats(model, examples, ArrayStore(random_graph(0)), MAX_CLICKS)


def test_finds_the_gains_that_drew_the_targets() -> None:
    """Targets drawn from a model with planted gains: they are found again, to what chance leaves open."""
    planted, fitted = model_with_gains(), model_with_gains()
    assert planted.repeats is not None
    assert fitted.repeats is not None
    planted.repeats.counts[:2] = torch.tensor([2.0, 3.5])
    planted.repeats.places[:3] = torch.tensor([-1.0, 1.0, 0.5])
    sessions = drawn(0, 4000)
    chances = scores_of(planted, sessions, random_graph(0)).softmax(1)
    targets = torch.multinomial(chances, 1, generator=torch.Generator().manual_seed(0)).squeeze(1) + 1
    fit(fitted, examples_of(sessions, targets.tolist()))
    assert (planted.repeats.places[:8] - fitted.repeats.places[:8]).std() < 0.2
    found, given = (
        # Only sums show in the scores: of one click in the last place, and so on.
        bonus.places[:3].unsqueeze(1) + bonus.counts[:2]
        for bonus in (fitted.repeats, planted.repeats)
    )
    torch.testing.assert_close(found, given, atol=0.35, rtol=0)
    assert abs(float(fitted.repeats.own)) < 0.25


def test_what_is_hardly_seen_stays_near_nothing() -> None:
    """One example must not put its item above all others for ever."""
    model = model_with_gains()
    fit(model, examples_of([[5, 3, 5]], [5]))
    assert model.repeats is not None
    assert 0 < float(model.repeats.counts[1]) < 1
    assert float(model.repeats.places[0]) > 0
    assert not model.repeats.places[3:].any()


def test_the_same_examples_fit_the_same() -> None:
    sessions = drawn(1, 300)
    states = []
    for _ in range(2):
        model = model_with_gains()
        fit(model, examples_of(sessions, [session[-2] for session in sessions]))
        assert model.repeats is not None
        states.append([part.clone() for part in model.repeats.buffers()])
    assert all(torch.equal(one, other) for one, other in zip(*states, strict=True))


def test_the_model_is_seen_as_it_serves() -> None:
    """A training leaves it with its dropout on."""
    sessions, found = drawn(2, 300), []
    for training in (False, True):
        model = build(MODELS["gce-gnn"], 0, dim=8, repeats=True, dropout_local=0.5).train(training)
        fit(model, examples_of(sessions, [session[-2] for session in sessions]))
        assert model.repeats is not None
        found.append(model.repeats.places.clone())
    assert torch.equal(*found)


@pytest.mark.parametrize("repeats", [False, True])
def test_without_examples_nothing_is_fitted(repeats: bool) -> None:
    model = build(MODELS["gce-gnn"], 0, dim=8, repeats=repeats)
    before = {name: part.clone() for name, part in model.state_dict().items()}
    fit(model, Examples(Sequences(np.zeros(0, np.int32), np.zeros(1, np.int64)), np.zeros(0, np.int32)))
    assert all(torch.equal(part, before[name]) for name, part in model.state_dict().items())


@pytest.fixture(scope="module")
def returning(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """DATA whose visitors click at random, and every third time what they clicked two clicks before."""
    folder, random = tmp_path_factory.mktemp("returning"), np.random.default_rng(0)
    for name, count in (("train", 600), ("test", 100)):
        lines = []
        for _ in range(count):
            session = random.integers(1, ITEMS + 1, 2).tolist()
            while len(session) < 6:
                session.append(session[-2] if random.random() < 0.33 else int(random.integers(1, ITEMS + 1)))
            lines.append(" ".join(map(str, session)))
        (folder / f"{name}.txt").write_text("\n".join(lines) + "\n")
    prepare_sessions(folder / "train.txt", folder / "test.txt", folder / "DATA", SessionSettings())
    return Dataset(folder / "DATA")


def gains_of(run: Run, selection: bool = False) -> dict[str, torch.Tensor]:
    bonus = run.model(selection).repeats
    assert bonus is not None
    return dict(bonus.named_buffers())


def test_a_training_fits_on_validation_and_serves_it_refitted(returning: Dataset, tmp_path: Path) -> None:
    """Weights that validation never saw and those trained on everything have the same gains."""
    wish = {"dim": 8, "scoring": "cosine", "epochs": 2}
    plain, gaining = (
        trained(returning, tmp_path / str(repeats), quick("gru4rec", "paper", **wish, repeats=repeats))
        for repeats in (False, True)
    )
    assert gaining.refitted
    assert gaining.record["validation"]["recall@5"] > 1.3 * plain.record["validation"]["recall@5"]
    gains, measured = gains_of(gaining), gains_of(gaining, selection=True)
    assert all(torch.equal(gains[name], measured[name]) for name in gains)
    assert gains["places"][1] > gains["places"][[0, 2, 3]].max() + 0.5
    (tested, *_), (without, *_) = (
        evaluate_run(run, "test", None, None, lambda *_: None) for run in (gaining, plain)
    )
    assert tested["recall@5"] > 1.3 * without["recall@5"]


def test_gains_do_not_touch_what_is_trained(returning: Dataset, tmp_path: Path) -> None:
    """They are laid over a finished training, whose epochs they only help to choose."""
    wish = {"dim": 8, "epochs": 1, "refit": False, "averaging": "ema"}
    plain, gaining = (
        trained(returning, tmp_path / str(repeats), quick("gce-gnn", "paper", **wish, repeats=repeats))
        for repeats in (False, True)
    )
    weights = gaining.model().state_dict()
    for name, tensor in plain.model().state_dict().items():
        assert torch.equal(weights[name], tensor), name
    assert set(weights) - set(plain.model().state_dict()) == {
        "repeats.places",
        "repeats.counts",
        "repeats.own",
    }


def test_where_clicked_items_are_never_answered_nothing_is_fitted(reviews: Dataset, tmp_path: Path) -> None:
    run = trained(reviews, tmp_path / "RUN", quick(epochs=1, repeats=True))
    assert not any(part.any() for part in gains_of(run).values())


def test_a_training_may_go_on_from_a_run_without_gains(returning: Dataset, tmp_path: Path) -> None:
    """They are fitted after every epoch, so that there is nothing to go on from."""
    wish = {"dim": 8, "epochs": 1, "refit": False}
    earlier = trained(returning, tmp_path / "OLD", quick("gce-gnn", "paper", **wish))
    settings = quick("gce-gnn", "paper", **wish, repeats=True)
    train(returning, settings, tmp_path / "NEW", resume=False, report=Told(), earlier=earlier)
    assert all(part.any() for part in gains_of(Run(tmp_path / "NEW")).values())


def test_examples_are_drawn_with_their_times() -> None:
    """A model that needs them is fitted on some of the examples, too."""
    sequences = flat([[1, 2], [3], [4, 5, 6]])
    timed = Sequences(sequences.items, sequences.offsets, np.arange(6, dtype=np.int64))
    drawn_two = sample(Examples(timed, np.array([3, 4, 7], np.int32)), 2)
    assert [drawn_two.inputs[index] for index in range(2)] == [[1, 2], [4, 5, 6]]
    assert [drawn_two.inputs.times_of(index) for index in range(2)] == [[0, 1], [3, 4, 5]]
