"""Auxiliary heads: their labels, that they learn, and that nothing of them is served."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from srec.data.dataset import Dataset, Sequences
from srec.errors import InputError
from srec.graph.inputs import model_inputs
from srec.models import ItemFeatures, model_class
from srec.training.auxiliary import DAY, Auxiliary, Labels, make_auxiliary
from srec.training.loop import Trainer
from srec.training.options import AuxiliaryOptions
from srec.training.run import Run
from srec.training.settings import RunSettings, resolve
from srec.training.train import train
from tests.training.small import Told, trained

ALL = {"auxiliary_length": "0.1", "auxiliary_return": "0.2", "auxiliary_category": "0.05"}


def settings_of(**changes: str) -> RunSettings:
    quick = {"dim": "8", "batch_size": "50", "learning_rate": "0.02", "epochs": "2", "decay": "1"}
    return resolve("sr-gnn", "paper", quick | changes)


def trainer_of(data: Dataset, settings: RunSettings) -> Trainer:
    torch.manual_seed(0)
    model = model_class(settings.model)(settings.model_settings(), ItemFeatures(data.n_items, 50))
    sequences = data.sequences(times=data.has_times)
    heads = make_auxiliary(model, data, sequences, settings.training)
    return Trainer(model, sequences, data.graph(), settings.training, auxiliary=heads)


def test_labels_are_those_of_the_sequences(reviews: Dataset) -> None:
    sequences = reviews.sequences(times=True)
    heads = trainer_of(reviews, settings_of(**ALL)).auxiliary
    assert heads is not None
    expected = slow_labels(reviews, sequences)
    labels = heads.labels
    assert labels.log_lengths is not None
    assert labels.returns is not None
    assert labels.categories is not None
    assert labels.log_lengths.tolist() == pytest.approx([length for length, _, _ in expected])
    assert labels.returns.tolist() == [float(returned) for _, returned, _ in expected]
    assert 0 < labels.returns.mean() < 1
    assert same_partition(labels.categories.tolist(), [category for _, _, category in expected])
    assert labels.n_categories == len({category for _, _, category in expected if category is not None})


def slow_labels(data: Dataset, sequences: Sequences) -> list[tuple[float, bool, str | None]]:
    """Log length, whether the click came within a day, first genre or tag: one row a prefix."""
    items = data.items.to_pylist()
    labels = []
    for number in range(len(sequences)):
        clicked, times = sequences[number], sequences.times_of(number)
        for place in range(1, len(clicked)):
            item = items[clicked[place] - 1]
            names = [*item["genres"], *item["tags"]]
            within = times[place] - times[place - 1] <= DAY
            labels.append((math.log(len(clicked)), within, names[0] if names else None))
    return labels


def same_partition(numbers: list[int], names: list[str | None]) -> bool:
    """Whether equal numbers stand for equal names, and -1 for none."""
    pairs = set(zip(numbers, names, strict=True))
    return (
        len(pairs) == len(set(numbers)) == len(set(names))
        and {name for number, name in pairs if number == -1} <= {None}
        and {number for number, name in pairs if name is None} <= {-1}
    )


def test_every_head_learns(reviews: Dataset) -> None:
    trainer = trainer_of(reviews, settings_of(**ALL | {"auxiliary_category": "1"}))
    before = losses_of(trainer)
    for epoch in range(6):
        trainer.train_epoch(epoch, Told().step)
    after = losses_of(trainer)
    assert after.keys() == before.keys() == {"length", "return", "category"}
    assert all(after[name] < before[name] for name in before)
    assert after["category"] < 0.7 * before["category"]  # the next game is planted


def losses_of(trainer: Trainer) -> dict[str, float]:
    assert trainer.auxiliary is not None
    indices = np.arange(len(trainer.examples))
    clicks, _ = trainer.examples.batch(indices)
    with torch.no_grad():
        sessions = trainer.model.eval().encode(*model_inputs(clicks, trainer.store.fetch, trainer.model.hops))
        return {name: float(loss) for name, loss in trainer.auxiliary.losses(sessions, indices).items()}


def test_the_weights_weigh_and_zero_is_none(reviews: Dataset) -> None:
    heads = trainer_of(reviews, settings_of(**ALL)).auxiliary
    assert heads is not None
    sessions = torch.randn(5, 8)
    losses = heads.losses(sessions, np.arange(5))
    expected = 0.1 * losses["length"] + 0.2 * losses["return"] + 0.05 * losses["category"]
    torch.testing.assert_close(heads(sessions, np.arange(5)), expected)
    only = trainer_of(reviews, settings_of(auxiliary_length="0.1")).auxiliary
    assert only is not None
    assert set(only.losses(sessions, np.arange(5))) == {"length"}
    assert trainer_of(reviews, settings_of()).auxiliary is None


def test_a_batch_of_unknown_categories_has_no_loss(reviews: Dataset) -> None:
    heads = trainer_of(reviews, settings_of(auxiliary_category="0.1")).auxiliary
    assert heads is not None
    assert heads.labels.categories is not None
    heads.labels.categories[:3] = -1
    with torch.no_grad():
        assert float(heads(torch.randn(3, 8), np.arange(3))) == 0.0


def test_heads_move_the_model_but_are_not_served_and_resume(reviews: Dataset, tmp_path: Path) -> None:
    settings = settings_of(**ALL)
    straight = trained(reviews, tmp_path / "straight", settings)
    plain = trained(reviews, tmp_path / "plain", settings_of())
    mine, theirs = weights_of(straight), weights_of(plain)
    assert mine.keys() == theirs.keys()
    assert not torch.equal(mine["items.weight"], theirs["items.weight"])
    with pytest.raises(KeyboardInterrupt):
        train(reviews, settings, tmp_path / "again", resume=False, report=Told(("select", 1)))
    train(reviews, settings, tmp_path / "again", resume=True, report=Told())
    assert Run(tmp_path / "again").digest == straight.digest


def weights_of(run: Run) -> dict[str, Tensor]:
    weights: dict[str, Tensor] = run.model().state_dict()
    return weights


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"auxiliary_return": "0.1"},
            r"auxiliary_return asks .* has no times: prepare reviews, or leave out",
        ),
        ({"time_gaps": "required"}, r"time_gaps weighs .* has no times: prepare reviews, or leave out"),
        ({"auxiliary_category": "0.1"}, r"auxiliary_category needs genres or tags.*--games"),
        ({"time_gaps": "optional", "perturb": "drop"}, r"leave out --set perturb, or --set time_gaps"),
    ],
)
def test_what_data_lacks_is_refused(
    changes: dict[str, str], message: str, sessions: Dataset, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=message):
        train(sessions, settings_of(**changes), tmp_path / "RUN", resume=False, report=Told())


def test_heads_without_labels_are_a_bug_that_shows() -> None:
    heads = Auxiliary(4, AuxiliaryOptions.model_validate({"auxiliary_return": 0.1}), Labels())
    with pytest.raises(ValueError, match="return has no labels"):
        heads(torch.randn(2, 4), np.arange(2))
