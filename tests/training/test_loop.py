from collections.abc import Iterator

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from srec.data.dataset import Dataset
from srec.models import ItemFeatures, model_class
from srec.training.batches import PrefixExamples
from srec.training.loop import Trainer
from tests.training.small import Told, quick


def trainer_of(data: Dataset, **changes: object) -> Trainer:
    settings = quick("gce-gnn", "paper", dropout_global=0, **changes)
    torch.manual_seed(0)
    features = ItemFeatures(data.n_items, settings.training.max_clicks)
    model = model_class(settings.model)(settings.model_settings(), features)
    return Trainer(model, data.sequences(), data.graph(), settings.training)


def test_the_learning_rate_falls_in_steps(sessions: Dataset) -> None:
    trainer = trainer_of(sessions, learning_rate=0.01, decay=0.5, decay_every=2, batch_size=2000)
    rates = []
    for epoch in range(5):
        trainer.train_epoch(epoch, Told().step)
        rates.append(trainer.optimizer.param_groups[0]["lr"])
    assert rates == pytest.approx([0.01, 0.01, 0.005, 0.005, 0.0025])


def test_the_loss_is_the_mean_cross_entropy_of_the_targets(sessions: Dataset) -> None:
    """One batch holds the epoch, so its loss is that of the weights before the first step."""
    trainer = trainer_of(sessions, batch_size=2000)
    clicks, targets = trainer.examples.batch(next(trainer.examples.epoch(2000, 0)))
    with torch.no_grad():
        trainer.model.items.weight.zero_()  # type: ignore[union-attr,operator]
    assert len(clicks) == len(targets) == len(trainer.examples)
    loss = trainer.train_epoch(0, Told().step)
    assert loss == pytest.approx(torch.tensor(float(sessions.n_items)).log().item(), rel=1e-5)


def test_weights_move_toward_the_targets(sessions: Dataset) -> None:
    trainer = trainer_of(sessions)
    losses = [trainer.train_epoch(epoch, Told().step) for epoch in range(3)]
    assert losses[2] < losses[1] < losses[0]


def test_progress_ends_with_the_last_step_and_the_epochs_loss(sessions: Dataset) -> None:
    trainer, told = trainer_of(sessions, batch_size=20), Told()
    loss = trainer.train_epoch(1, told.step)
    assert [step for _, step, _, _ in told.steps][:2] == [20, 40]
    assert told.steps[-1] == (1, trainer.steps, trainer.steps, loss)


def test_every_epoch_has_an_order_of_its_own_and_keeps_it(
    sessions: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    orders: list[list[int]] = []
    original = PrefixExamples.epoch

    def spy(self: PrefixExamples, batch_size: int, seed: int) -> Iterator[NDArray[np.int64]]:
        visited = list(original(self, batch_size, seed))
        orders.append(np.concatenate(visited).tolist())
        yield from visited

    monkeypatch.setattr(PrefixExamples, "epoch", spy)
    for epoch in (0, 1, 0):
        trainer_of(sessions).train_epoch(epoch, Told().step)
    trainer_of(sessions, seed=1).train_epoch(0, Told().step)
    first, second, again, other_seed = orders
    assert first == again
    assert first != second
    assert first != other_seed
