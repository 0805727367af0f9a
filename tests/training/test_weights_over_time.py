"""Learning rate, averages and precision, and that every option survives an interruption."""

import itertools
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from srec.data.dataset import Dataset
from srec.training.averaging import EVERY, LastEpochs, MovingAverage, make_averager
from srec.training.schedule import learning_rate
from srec.training.train import train
from tests.training.planted import circle, loss_of, scores, taught, told, trainer_of
from tests.training.small import Told, quick

ITEMS = 12


def rates(steps: int, epochs: int, **changes: object) -> list[float]:
    options = told(**changes).training
    pairs = itertools.product(range(epochs), range(steps))
    return [learning_rate(options, epoch, step, steps, epochs) for epoch, step in pairs]


def test_rates_rise_in_the_warm_up_and_fall_as_asked() -> None:
    common = {"learning_rate": 1.0, "warmup_steps": 3}
    assert rates(2, 3, schedule="constant", **common) == [0.25, 0.5, 0.75, 1, 1, 1]
    step = rates(2, 3, schedule="step", decay=0.1, decay_every=2, learning_rate=1.0)
    assert step == pytest.approx([1, 1, 1, 1, 0.1, 0.1])
    cosine = rates(2, 2, schedule="cosine", learning_rate=1.0)
    assert cosine == pytest.approx([1, 0.853553, 0.5, 0.146447], abs=1e-6)


@pytest.mark.parametrize(("steps", "every"), [(1, 1), (3, 1), (30, 3), (100, EVERY), (5000, EVERY)])
def test_the_moving_average_is_that_of_its_recursion(steps: int, every: int) -> None:
    weight = torch.nn.Parameter(torch.zeros(1))
    average, expected = MovingAverage({"w": weight}, 0.99, steps), 0.0
    for taken in range(1, 201):
        with torch.no_grad():
            weight.fill_(taken)
        average.after_step(taken)
        if taken % every == 0:
            decay = min(0.99**every, taken / (taken + 9 * every))
            expected = decay * expected + (1 - decay) * taken
    assert average.average()["w"].item() == pytest.approx(expected, rel=1e-5)
    with average.applied():
        assert weight.item() == pytest.approx(expected, rel=1e-5)
    assert weight.item() == 200


def test_the_last_epochs_are_averaged() -> None:
    weight = torch.nn.Parameter(torch.zeros(1))
    average = LastEpochs({"w": weight}, count=3)
    assert average.average()["w"].item() == 0
    for value in (1.0, 2.0, 4.0, 9.0):
        with torch.no_grad():
            weight.fill_(value)
        average.after_epoch()
    assert average.average()["w"].item() == 5
    again = LastEpochs({"w": weight}, count=3)
    again.restore(average.state())
    assert again.average()["w"].item() == 5


@pytest.mark.parametrize("averaging", ["ema", "last"])
def test_an_average_is_better_than_the_last_weights_of_a_high_rate(averaging: str) -> None:
    trainer = trainer_of(
        circle(0, 150, ITEMS, noise=0.4), ITEMS, averaging=averaging, ema_decay=0.95, learning_rate=0.1
    )
    model, unseen = taught(trainer, 8), circle(1, 200, ITEMS, noise=0.4)
    last = loss_of(model, unseen)
    with trainer.served() as served:
        assert loss_of(served, unseen) < last - 0.02
    assert loss_of(model, unseen) == last  # training goes on from its own weights


def test_the_average_of_a_training_of_few_steps_leaves_the_start() -> None:
    """All sessions fit into one batch: eight epochs are eight steps."""
    sessions = circle(0, 150, ITEMS)
    trainer = trainer_of(sessions, ITEMS, averaging="ema", batch_size=800, learning_rate=0.05)
    assert trainer.steps == 1
    start = loss_of(trainer.model.eval(), sessions)
    last = loss_of(taught(trainer, 8), sessions)
    with trainer.served() as served:
        assert loss_of(served, sessions) < start - 0.7 * (start - last)


def test_without_averaging_nothing_is_copied() -> None:
    averager = make_averager(told().training, torch.nn.Linear(2, 2), 100)
    assert averager.average() is averager.weights
    assert averager.state() == {}


def test_bfloat16_learns_as_float32_does_and_the_same_each_time() -> None:
    sessions = circle(0, 200, ITEMS)
    whole, half, again = (
        taught(trainer_of(sessions, ITEMS, precision=precision), 6)
        for precision in ("float32", "bfloat16", "bfloat16")
    )
    probes = [[item] for item in range(1, ITEMS)]
    assert torch.equal(scores(half, probes), scores(again, probes))
    assert not torch.equal(scores(half, probes), scores(whole, probes))
    assert all(tensor.dtype == torch.float32 for tensor in half.state_dict().values())
    assert loss_of(half, sessions) == pytest.approx(loss_of(whole, sessions), rel=0.05)


# Each of these keeps something between steps or draws at random.
OPTIONS: dict[str, dict[str, object]] = {
    "ema": {"averaging": "ema", "ema_decay": 0.9, "table_dropout": 0.5, "schedule": "cosine"},
    "last": {"averaging": "last", "average_last": 2, "perturb": "drop,swap", "consistency": 0.5},
    "sampled": {"negatives": 8, "negative_power": 0.5, "initial": "pmi", "warmup_steps": 7},
    "content": {"content": "mlp", "averaging": "ema", "precision": "bfloat16", "perturb": "shuffle"},
}


@pytest.mark.parametrize("name", OPTIONS)
def test_options_are_resumed_bit_by_bit(
    name: str, sessions: Dataset, reviews: Dataset, tmp_path: Path
) -> None:
    data = reviews if name == "content" else sessions
    settings = quick(dim=4, epochs=2, **OPTIONS[name])
    train(data, settings, tmp_path / "STRAIGHT", resume=False, report=Told())
    stop = ("select", 2) if name == "content" else ("refit", 1)
    with pytest.raises(KeyboardInterrupt):
        train(data, settings, tmp_path / "RUN", resume=False, report=Told(stop))
    train(data, settings, tmp_path / "RUN", resume=True, report=Told())
    for file in (tmp_path / "STRAIGHT").glob("*.safetensors"):
        straight, resumed = load_file(file), load_file(tmp_path / "RUN" / file.name)
        assert straight.keys() == resumed.keys()
        assert all(torch.equal(tensor, resumed[key]) for key, tensor in straight.items()), file.name
