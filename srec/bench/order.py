"""Are a backend's top-20 the trained model's own, in its order? Asked over many real sessions."""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from srec.bench.backends import candidate, fallbacks
from srec.bench.subject import Subject
from srec.bench.trained import trained
from srec.data.dataset import Dataset
from srec.graph.inputs import model_inputs
from srec.graph.session import pad_clicks
from srec.serving.golden import RELATIVE_BOUND, same_order
from srec.serving.ranker import EagerScorer, Ranker, Scorer
from srec.stores.array import ArrayStore
from srec.topk import top_k
from srec.training.run import Run

K = 20
DIFFERENCES_KEPT = 10
PARTS = ("test", "validation")


def check_order(
    run: Run, backend: str, sessions: int, data: Path | None, progress: Callable[[int, int], None]
) -> dict[str, Any]:
    """Compare a backend with the plain model, session by session at batch 1.

    Args:
        run: a trained one.
        backend: a row's name, as in ``srec bench model``.
        sessions: how many.
        data: where the run's DATA lies now; None where it was.
        progress: told how many of how many are compared.

    Returns:
        How many rankings are the same to the last place, how many differ only among scores closer than the
        float32 bound, how many differ truly, the largest difference of a score, how often a certified scan
        fell back, and the first few that differ.
    """
    subject, dataset = trained(run), run.data(data)
    asked = real_sessions(dataset, sessions)
    with tempfile.TemporaryDirectory(prefix="srec-order-") as name:
        chosen = candidate(backend)
        scorer = chosen.load(Path(name), chosen.write(subject, Path(name)))
        counts = _compare(subject, scorer, asked, progress)
        fell_back = fallbacks(scorer)
    return {
        "run": run.digest,
        "data": dataset.digest,
        **subject.facts(),
        "backend": backend,
        "torch": torch.__version__,
        "kernels": torch.backends.cpu.get_cpu_capability(),
        "k": K,
        "sessions": len(asked),
        **counts,
        "same_order": (counts["same"] + counts["near_ties"]) / len(asked),
        "same_order_strict": counts["same"] / len(asked),
        "bound": RELATIVE_BOUND,
        "fallbacks": fell_back,
    }


def _compare(
    subject: Subject, scorer: Scorer, asked: Sequence[list[int]], progress: Callable[[int, int], None]
) -> dict[str, Any]:
    store = ArrayStore(subject.graph)
    ours = Ranker(scorer, store, subject.max_clicks)
    eager = EagerScorer(subject.model, subject.model.hops)
    counts = {"same": 0, "near_ties": 0, "different": 0}
    differences: list[dict[str, Any]] = []
    largest = 0.0
    for number, session in enumerate(asked):
        progress(number, len(asked))
        inputs = model_inputs(pad_clicks([session], subject.max_clicks), store.fetch, eager.hops)
        scores = eager.scores(inputs)
        expected, answer = top_k(scores, K)[0], ours.rank_all([session], K)[0]
        apart = (answer.scores - scores[0][answer.items - 1]).abs().max() / scores.abs().max()
        largest = max(largest, float(apart))
        if torch.equal(expected.items, answer.items):
            counts["same"] += 1
        elif same_order(scores[0], expected.items, answer.items):
            counts["near_ties"] += 1
        else:
            counts["different"] += 1
            differences.append(
                {"clicks": session, "eager": expected.items.tolist(), "answered": answer.items.tolist()}
            )
    return {
        **counts,
        "largest_relative_difference": largest,
        "differences": differences[:DIFFERENCES_KEPT],
    }


def real_sessions(data: Dataset, count: int) -> list[list[int]]:
    """Inputs of test and validation, then prefixes of training sequences, evenly drawn."""
    found: list[list[int]] = []
    for part in PARTS:
        inputs = data.examples(part).inputs
        found += _spread(len(inputs), count - len(found), inputs.__getitem__)
    sequences = data.sequences()

    def prefix(click: int) -> list[int]:
        start = sequences.offsets[np.searchsorted(sequences.offsets, click, side="right") - 1]
        items: list[int] = sequences.items[start : click + 1].tolist()
        return items

    return found + _spread(len(sequences.items), count - len(found), prefix)


def _spread(there: int, wanted: int, get: Callable[[int], list[int]]) -> list[list[int]]:
    return [get(place) for place in _places(there, wanted)]


def _places(there: int, wanted: int) -> Iterator[int]:
    """At most ``wanted`` places, evenly over 0..there-1."""
    count = max(0, min(there, wanted))
    return (number * there // count for number in range(count))
