"""Sequences with times and trainings of a second, without any DATA."""

import numpy as np
import torch

from srec.data.dataset import Sequences
from srec.graph.neighbours import GlobalGraph
from srec.models import ItemFeatures, SessionModel, model_class
from srec.serving.ranker import EagerScorer, Ranker
from srec.stores.array import ArrayStore
from srec.topk import Selection
from srec.training.loop import Trainer
from srec.training.settings import resolve

Clicks = list[int]


def sequences_of(sessions: list[Clicks], times: list[list[int]] | None = None) -> Sequences:
    offsets = np.cumsum([0, *map(len, sessions)]).astype(np.int64)
    flat = None if times is None else np.concatenate(times).astype(np.int64)
    return Sequences(np.concatenate(sessions).astype(np.int32), offsets, flat)


def no_graph(items: int) -> GlobalGraph:
    return GlobalGraph(np.zeros((items + 1, 1), np.int32), np.zeros((items + 1, 1), np.float32))


def trained_on(sequences: Sequences, graph: GlobalGraph, model: str, **changes: object) -> SessionModel:
    """A model after all its epochs; no validation, no early stop."""
    quick = {"dim": 16, "batch_size": 50, "learning_rate": 0.02, "decay_every": 100, "epochs": 10}
    settings = resolve(model, "paper", {name: str(value) for name, value in (quick | changes).items()})
    torch.manual_seed(0)
    fresh = model_class(model)(settings.model_settings(), ItemFeatures(graph.n_items, 10))
    trainer = Trainer(fresh, sequences, graph, settings.training)
    for epoch in range(settings.training.epochs):
        trainer.train_epoch(epoch, lambda *_: None)
    return trainer.model.eval()


def share_right(
    model: SessionModel,
    graph: GlobalGraph,
    sessions: list[Clicks],
    targets: list[int],
    times: list[list[int]] | None = None,
) -> float:
    """How often the best item is the target, through the path that serves."""
    ranker = Ranker(EagerScorer(model, model.hops), ArrayStore(graph), 10)
    found = ranker.rank(sessions, [Selection(1)] * len(sessions), times)
    return float(np.mean([int(best.items[0]) == target for best, target in zip(found, targets, strict=True)]))
