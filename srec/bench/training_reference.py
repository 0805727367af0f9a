"""Trains with the code that the authors of GCE-GNN published, which srec neither holds nor changes.

A checkout of it is given by its folder. Its modules ``model`` and ``utils`` are imported, its data made from
DATA in memory, and its own training loop run: that loop draws its batches through ``tqdm``, which is where
the clock stands. The same examples, the same neighbours, the same settings as ours; on a CPU, with torch as
installed. Differences that stay are its own: sessions padded to the longest of all, and no limit of clicks.
"""

import importlib
import importlib.util
import sys
import time
import types
from collections.abc import Iterator
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch

from srec.bench.training_desk import Desk
from srec.data.dataset import Dataset, Sequences
from srec.errors import HostError, InputError
from srec.graph.neighbours import GlobalGraph
from srec.training.settings import RunSettings

MODULES: Final = ("model", "utils", "aggregator")
SLOPE: Final = 0.2  # of its LeakyReLUs, the paper's


class _Finished(Exception):  # noqa: N818  # it tells of no error
    """Nobody asks for more steps: leaves its training loop."""


def check_reference(code: Path, settings: RunSettings) -> None:
    """``InputError`` where the folder is not that code, or cannot train what the settings ask for."""
    for name in MODULES:
        if not (code / f"{name}.py").is_file():
            raise InputError(f"{code} has no {name}.py: give a checkout of the GCE-GNN authors' code")
    own = settings.parameters
    if settings.model != "gce-gnn" or own["scoring"] != "dot" or own["tags"] or own["context"]:
        raise InputError(
            "the reference is GCE-GNN as published: compare it with --model gce-gnn --preset paper, "
            "without tags, context and cosine scoring"
        )


def train_reference(code: Path, data: Dataset, settings: RunSettings, desk: Desk) -> None:
    """Train as far as the desk asks for; ``HostError`` where its code fails."""
    check_reference(code, settings)
    full = data.kind == "sessions"
    sequences, graph = data.sequences(full), data.graph(full)
    try:
        _train(code, sequences, graph, settings, desk)
    except _Finished:
        return
    except Exception as error:
        raise HostError(f"the reference failed: {type(error).__name__}: {error}") from error


def _train(code: Path, sequences: Sequences, graph: GlobalGraph, settings: RunSettings, desk: Desk) -> None:
    model, utils = _modules(code)
    torch.manual_seed(settings.training.seed)
    np.random.seed(settings.training.seed)  # what its code draws from
    loaded = utils.Data(prefixes(sequences))
    neighbours, weights = neighbour_lists(graph)
    table = utils.handle_adj(neighbours, graph.n_items + 1, graph.size, weights)
    network = model.trans_to_cuda(model.CombineGraph(options(settings, graph), graph.n_items + 1, *table))
    desk.answer(examples=len(loaded))
    model.tqdm = lambda loader: _clocked(loader, desk)
    model.train_test(network, loaded, loaded)


def _clocked(loader: Any, desk: Desk) -> Iterator[Any]:
    """Its batches; from one to the next it makes a step, and that is timed, with the wait for the batch."""
    batches = _endless(loader)
    for steps in desk.rounds():
        seconds = []
        for _ in range(steps):
            began = time.perf_counter()
            yield next(batches)
            seconds.append(time.perf_counter() - began)
        desk.timed(seconds)
    raise _Finished


def _endless(loader: Any) -> Iterator[Any]:
    while True:
        yield from loader


def _modules(code: Path) -> tuple[Any, Any]:
    """Its modules; where ``tqdm`` is not installed a stand-in lets them be imported."""
    if importlib.util.find_spec("tqdm") is None:
        stand_in: Any = importlib.util.module_from_spec(ModuleSpec("tqdm", None))
        stand_in.tqdm = iter
        sys.modules["tqdm"] = stand_in
    sys.path.insert(0, str(code.resolve()))
    return importlib.import_module("model"), importlib.import_module("utils")


def prefixes(sequences: Sequences) -> tuple[list[list[int]], list[int]]:
    """Every prefix of every sequence, and the items after them: the form of its ``train.txt``."""
    sessions = [sequences[index] for index in range(len(sequences))]
    inputs = [session[:end] for session in sessions for end in range(1, len(session))]
    return inputs, [session[end] for session in sessions for end in range(1, len(session))]


def neighbour_lists(graph: GlobalGraph) -> tuple[list[list[int]], list[list[int]]]:
    """Neighbours and weights of every item that are there: the form of its ``adj`` and ``num`` files."""
    counts = (graph.neighbours > 0).sum(axis=1).tolist()
    neighbours, weights = graph.neighbours.tolist(), graph.weights.astype(np.int64).tolist()
    return (
        [row[:count] for row, count in zip(neighbours, counts, strict=True)],
        [row[:count] for row, count in zip(weights, counts, strict=True)],
    )


def options(settings: RunSettings, graph: GlobalGraph) -> types.SimpleNamespace:
    """Our settings by the names of its options."""
    own, training = settings.parameters, settings.training
    return types.SimpleNamespace(
        batch_size=training.batch_size,
        hiddenSize=own["dim"],
        n_iter=own["hops"],
        n_sample=graph.size,
        n_sample_all=graph.size,
        dropout_gcn=own["dropout_aggregator"],
        dropout_local=own["dropout_local"],
        dropout_global=own["dropout_global"],
        activate="relu",
        alpha=SLOPE,
        lr=training.learning_rate,
        lr_dc=training.decay,
        lr_dc_step=training.decay_every,
        l2=training.l2,
    )
