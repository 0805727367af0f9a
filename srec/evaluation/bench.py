"""What an input costs on one thread at batch 1, from clicks to top-20, by export backend.

SRec's benchmark (1 to 5 random games an input) with what it left out: preprocessing and top-k.
"""

import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from srec.errors import HostError
from srec.export import BACKENDS, backend
from srec.export.pipeline import served_module
from srec.graph.inputs import ModelInputs, model_inputs
from srec.graph.session import pad_clicks
from srec.models import SessionModel
from srec.serving.golden import same_order
from srec.serving.ranker import DenseScorer, EagerScorer, Ranker, Scorer
from srec.stores.array import ArrayStore
from srec.training.run import Run

K = 20
COMPARED = 1000  # inputs whose order is compared with eager


class _Timed(DenseScorer):
    """A scorer that sums up its own time, so that the share of preprocessing and top-k is seen."""

    def __init__(self, scorer: Scorer) -> None:
        self.scorer, self.hops, self.seconds = scorer, scorer.hops, 0.0

    def scores(self, inputs: ModelInputs) -> Tensor:
        began = time.perf_counter()
        scores = self.scorer.scores(inputs)
        self.seconds += time.perf_counter() - began
        return scores


@dataclass
class _Row:
    scorer: _Timed
    seconds: list[float] = field(default_factory=list)
    model_seconds: list[float] = field(default_factory=list)
    latencies: list[float] = field(default_factory=list)


def measure_backends(
    run: Run, inputs: int, warmup: int, runs: int, progress: Callable[[str], None]
) -> dict[str, Any]:
    """Time every backend that this machine can run, interleaved, and compare its order with eager's.

    Returns:
        ``rows``, one a backend: total seconds and inputs/s of each run (medians beside), percentiles in
        milliseconds, share of inputs with eager's top-20 in eager's order; ``skipped`` with reasons.
    """
    torch.set_num_threads(1)
    model, graph = run.model(), run.graph()
    store, max_clicks = ArrayStore(graph), run.settings.training.max_clicks
    random = np.random.default_rng(0)
    sessions = [
        random.integers(1, graph.n_items + 1, random.integers(1, 6)).tolist() for _ in range(inputs + warmup)
    ]
    with tempfile.TemporaryDirectory() as folder:
        scorers, skipped = _scorers(model, sessions, store, max_clicks, Path(folder))
    rows = {name: _Row(_Timed(scorer)) for name, scorer in scorers.items()}
    for name, row in rows.items():
        progress(f"warming up {name}")
        _run(Ranker(row.scorer, store, max_clicks), sessions[:warmup])
    for number in range(runs):
        for name, row in rows.items():
            progress(f"run {number + 1} of {runs}: {name}")
            row.scorer.seconds = 0.0
            latencies = _run(Ranker(row.scorer, store, max_clicks), sessions[warmup:])
            row.latencies += latencies
            row.seconds.append(sum(latencies))
            row.model_seconds.append(row.scorer.seconds)
    return {
        "dim": run.settings.parameters.get("dim"),
        "items": graph.n_items,
        "inputs": inputs,
        "threads": 1,
        "torch": torch.__version__,
        "cpu_kernels": torch.backends.cpu.get_cpu_capability(),
        "rows": [
            {"backend": name}
            | _figures(row, inputs)
            | _agreement(Ranker(scorers["eager"], store, max_clicks), row.scorer, sessions[warmup:])
            for name, row in rows.items()
        ],
        "skipped": skipped,
    }


def _scorers(
    model: SessionModel, sessions: Sequence[list[int]], store: ArrayStore, max_clicks: int, folder: Path
) -> tuple[dict[str, Scorer], list[dict[str, str]]]:
    scorers: dict[str, Scorer] = {"eager": EagerScorer(model, model.hops)}
    skipped = []
    example = model_inputs(pad_clicks(sessions[:3], max_clicks), store.fetch, model.hops)
    for name in BACKENDS:
        target = folder / name
        target.mkdir()
        try:
            facts = backend(name).write(served_module(model), example, target)
        except HostError as error:
            skipped.append({"backend": name, "reason": str(error)})
            continue
        scorers[name] = backend(name).load(target, facts | {"hops": model.hops})
    return scorers, skipped


def _run(ranker: Ranker, sessions: Sequence[list[int]]) -> list[float]:
    latencies = []
    for session in sessions:
        began = time.perf_counter()
        ranker.rank_all([session], K)
        latencies.append(time.perf_counter() - began)
    return latencies


def _figures(row: _Row, inputs: int) -> dict[str, Any]:
    p50, p99 = np.percentile(row.latencies, [50, 99])
    return {
        "seconds": row.seconds,
        "inputs_per_s": inputs / float(np.median(row.seconds)),
        "model_only_inputs_per_s": inputs / float(np.median(row.model_seconds)),
        "p50_ms": 1000 * float(p50),
        "p99_ms": 1000 * float(p99),
    }


def _agreement(eager: Ranker, scorer: Scorer, sessions: Sequence[list[int]]) -> dict[str, float]:
    """Shares of inputs with eager's top-20 in eager's order: strictly, and but for near ties."""
    other = Ranker(scorer, eager.store, eager.max_clicks)
    alike = strict = 0
    compared = sessions[:COMPARED]
    for session in compared:
        clicks = pad_clicks([session], eager.max_clicks)
        reference = eager.scorer.scores(model_inputs(clicks, eager.store.fetch, eager.scorer.hops))[0]
        expected, answered = eager.rank_all([session], K)[0].items, other.rank_all([session], K)[0].items
        strict += torch.equal(expected, answered)
        alike += same_order(reference, expected, answered)
    return {
        "same_order": alike / len(compared),
        "same_order_strict": strict / len(compared),
        "near_ties": (alike - strict) / len(compared),
    }
