"""Trainings of a second on sessions held in memory, whose right answers are known."""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from srec.graph.inputs import model_inputs
from srec.graph.neighbours import build_graph
from srec.graph.session import pad_clicks
from srec.models import ItemFeatures, SessionModel
from srec.models.content import item_table
from srec.stores.array import ArrayStore
from srec.training.loop import Trainer
from srec.training.settings import RunSettings, resolve
from srec.training.start import new_model
from tests.models.contract import flat
from tests.training.small import Told

Sessions = list[list[int]]


def told(**changes: object) -> RunSettings:
    """Settings of a small GRU4Rec, which has nothing but an item table and a cell."""
    small: dict[str, object] = {"dim": 16, "dropout_hidden": 0, "batch_size": 50, "l2": 0}
    small |= {"learning_rate": 0.02, "schedule": "constant"}
    return resolve("gru4rec", "paper", {name: str(value) for name, value in {**small, **changes}.items()})


def trainer_of(
    sessions: Sessions, known: int | ItemFeatures, changes: Mapping[str, object] | None = None, **more: object
) -> Trainer:
    """A trainer of sessions of so many items, or of items of which more is known."""
    settings, sequences = told(**(changes or {}), **more), flat(sessions)
    if isinstance(known, int):
        known = ItemFeatures(known, settings.training.max_clicks)
    n_items = known.n_items
    model = new_model(settings, known, sequences, None, selection=True)
    graph = build_graph(sequences.items, sequences.offsets, n_items)
    return Trainer(model, sequences, graph, settings.training)


def taught(trainer: Trainer, epochs: int) -> SessionModel:
    for epoch in range(epochs):
        trainer.train_epoch(epoch, Told().step)
    return trainer.model.eval()


def learn(
    sessions: Sessions,
    n_items: int,
    epochs: int = 4,
    changes: Mapping[str, object] | None = None,
    **more: object,
) -> SessionModel:
    return taught(trainer_of(sessions, n_items, changes, **more), epochs)


@torch.no_grad()
def scores(model: SessionModel, sessions: Sessions) -> Tensor:
    """Logits [B, V] of each session."""
    graph = build_graph(np.zeros(0, np.int32), np.zeros(1, np.int64), model.n_items)
    found: Tensor = model(*model_inputs(pad_clicks(sessions, 50), ArrayStore(graph).fetch, model.hops))
    return found


def loss_of(model: SessionModel, sessions: Sessions) -> float:
    """Mean cross-entropy of the last click of each session, after those before it."""
    logits = scores(model, [session[:-1] for session in sessions])
    targets = torch.tensor([session[-1] - 1 for session in sessions])
    return torch.nn.functional.cross_entropy(logits, targets).item()


def table(model: SessionModel) -> Tensor:
    return item_table(model).weight.detach()


def circle(seed: int, count: int, n_items: int, noise: float = 0.1, popular: int | None = None) -> Sessions:
    """Each item is followed by the next one of a circle, but for some noise: any item, or the popular one."""
    random = np.random.default_rng(seed)
    sessions = []
    for length in random.integers(3, 7, count):
        session = [int(random.integers(1, n_items + 1))]
        while len(session) < length:
            stray = popular or int(random.integers(1, n_items + 1))
            session.append(stray if random.random() < noise else session[-1] % n_items + 1)
        sessions.append(session)
    return sessions
