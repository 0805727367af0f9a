"""Teach a small head the session vectors of a trained model."""

import itertools
from collections.abc import Callable

import torch
import torch.nn.functional as F

from srec.data.dataset import Sequences
from srec.graph.inputs import model_inputs
from srec.graph.neighbours import GlobalGraph
from srec.models import SessionModel
from srec.models.distilled import DistilledHead, DistilledSettings
from srec.stores.array import ArrayStore
from srec.training.batches import PrefixExamples

BATCH, LEARNING_RATE, HIDDEN = 128, 1e-3, 256


def distil(
    teacher: SessionModel,
    graph: GlobalGraph,
    sequences: Sequences,
    max_clicks: int,
    *,
    steps: int = 3000,
    seed: int = 0,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> DistilledHead:
    """Train a head on prefixes of the training sequences.

    The loss is the distance between both session vectors of length 1: the order of the items depends on a
    session vector's direction alone.

    Args:
        teacher: a trained model, in evaluation mode.
        graph: the teacher's global graph.
        sequences: training sequences.
        max_clicks: newest clicks that the models see.
        steps: batches of 128 prefixes.
        seed: of the head's first weights and of the order of the prefixes.
        progress: told of steps done and to do.
    """
    torch.manual_seed(seed)
    head = DistilledHead(DistilledSettings(hidden=HIDDEN), teacher, max_clicks)
    optimizer = torch.optim.Adam(head.parameters(), LEARNING_RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    examples, store = PrefixExamples(sequences, max_clicks), ArrayStore(graph)
    epochs = itertools.chain.from_iterable(examples.epoch(BATCH, seed + n) for n in itertools.count())
    for step, indices in enumerate(itertools.islice(epochs, steps), start=1):
        inputs = model_inputs(examples.batch(indices)[0], store.fetch, teacher.hops)
        with torch.no_grad():
            wanted = F.normalize(teacher.encode(*inputs), dim=-1)
        loss = (F.normalize(head.encode(*inputs[:4]), dim=-1) - wanted).square().sum(-1).mean()
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
        progress(step, steps)
    return head.eval()
