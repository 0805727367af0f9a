"""What the cheaper forms of a trained model save, and what they cost: milliseconds beside P@20 and MRR@20."""

import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from srec.data.dataset import Examples
from srec.evaluation.evaluate import rank_targets
from srec.export import backend
from srec.export.pipeline import served_module
from srec.export.variants import EXACT, VARIANTS, variant
from srec.graph.inputs import model_inputs
from srec.graph.session import pad_clicks
from srec.models import SessionModel
from srec.serving.ranker import Ranker
from srec.stores.array import ArrayStore
from srec.training.run import Run

BACKEND, K, ROUNDS, WARM_UP = "fast", 20, 5, 100


def measure_variants(
    run: Run, data: Path | None, inputs: int, progress: Callable[[str], None]
) -> dict[str, Any]:
    """Measure every variant, exported by the fast backend, on the run's validation examples.

    Args:
        run: of a model with one hop.
        data: DATA of the run, where it has moved.
        inputs: examples that are timed one by one, in interleaved rounds.
        progress: told what is done.

    Returns:
        ``rows``, one a variant: metrics, median milliseconds an input of each round, share of the exact
        variant's top-20 that is kept.
    """
    torch.set_num_threads(1)
    examples, max_clicks = run.data(data).examples("validation"), run.settings.training.max_clicks
    store = ArrayStore(run.graph(selection=run.refitted))
    rankers = {}
    for name in VARIANTS:
        progress(f"making {name}")
        rankers[name] = Ranker(_exported(variant(run, name, data), run, store), store, max_clicks)
    sessions = [examples.inputs[index] for index in range(min(inputs, len(examples)))]
    times = _interleaved(rankers, sessions)
    return {
        "run": run.digest,
        "dim": run.settings.parameters.get("dim"),
        "items": run.graph().n_items,
        "backend": BACKEND,
        "validation_examples": len(examples),
        "rows": [_row(name, rankers, examples, sessions, times[name]) for name in rankers],
    }


def _exported(model: SessionModel, run: Run, store: ArrayStore) -> Any:
    sample, max_clicks = run.sample_sessions()[:3], run.settings.training.max_clicks
    example = model_inputs(pad_clicks(sample, max_clicks), store.fetch, model.hops)
    with tempfile.TemporaryDirectory() as folder:
        facts = backend(BACKEND).write(served_module(model), example, Path(folder))
        return backend(BACKEND).load(Path(folder), facts | {"hops": model.hops})


def _interleaved(rankers: dict[str, Ranker], sessions: Sequence[list[int]]) -> dict[str, list[float]]:
    """Median milliseconds an input, a figure a round."""
    times: dict[str, list[float]] = {name: [] for name in rankers}
    for _ in range(ROUNDS):
        for name, ranker in rankers.items():
            taken = []
            for session in sessions[:WARM_UP]:
                ranker.rank_all([session], K)
            for session in sessions:
                began = time.perf_counter()
                ranker.rank_all([session], K)
                taken.append(time.perf_counter() - began)
            times[name].append(1000 * float(np.median(taken)))
    return times


def _row(
    name: str,
    rankers: dict[str, Ranker],
    examples: Examples,
    sessions: Sequence[list[int]],
    times: Sequence[float],
) -> dict[str, Any]:
    found, exact = (rankers[one].rank_all(sessions, K) for one in (name, EXACT))
    kept = [
        len(set(left.items.tolist()) & set(right.items.tolist())) / len(right.items)
        for left, right in zip(found, exact, strict=True)
    ]
    metrics = rank_targets(rankers[name], examples, exclude_clicked=False).metrics()
    return {
        "variant": name,
        "ms": float(np.median(times)),
        "ms_of_rounds": list(times),
        "p@20": metrics["recall@20"],
        "mrr@20": metrics["mrr@20"],
        "top20_kept": float(np.mean(kept)),
    }
