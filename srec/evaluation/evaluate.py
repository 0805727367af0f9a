"""Examples -> answers and ranks, through the very path that serves."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from srec.data.dataset import Examples
from srec.evaluation.metrics import MAX_K, metrics
from srec.serving.ranker import Ranker
from srec.topk import Selection

SESSIONS, CLICKS = 512, 6400  # of a batch at most: bounds the scores and the neighbours in memory
WARM_UP = 10  # calls for one session before the clock runs
LENGTH_GROUPS: Final = {"1": (1, 1), "2-3": (2, 3), "4-6": (4, 6), "7+": (7, np.inf)}

Times = Sequence[list[int]] | None
Ask = Callable[[Sequence[list[int]], Times], NDArray[np.int32]]
"""Sessions of items [B], and times of the clicks where the examples have them -> their best items, best
first, 0 where there are fewer: int32 [B, MAX_K]."""
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Ranks:
    """What was answered, and where the right items stood.

    Attributes:
        ranks: from 1, 0 where not among the first 20, int64 [E].
        lengths: clicks of each example's input, int64 [E].
        answers: the best items, best first, 0 where fewer may be answered, int32 [E, MAX_K].
        seconds: time spent in the calls that answered several sessions at once.
        alone: seconds of each call that answered one session, float64 [n].
    """

    ranks: NDArray[np.int64]
    lengths: NDArray[np.int64]
    answers: NDArray[np.int32]
    seconds: float
    alone: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))

    def metrics(self) -> dict[str, float]:
        """Metrics over all examples."""
        return metrics(self.ranks)

    def metrics_by_length(self) -> dict[str, dict[str, float]]:
        """Metrics by the number of clicks; groups without an example are left out."""
        groups = {name: (self.lengths >= a) & (self.lengths <= b) for name, (a, b) in LENGTH_GROUPS.items()}
        return {
            name: {"examples": int(group.sum()), **metrics(self.ranks[group])}
            for name, group in groups.items()
            if group.any()
        }

    def latency(self) -> dict[str, float | None]:
        """Milliseconds an input: of batches, and of sessions that came alone (mean, p50, p99)."""
        batched = len(self.ranks) - len(self.alone)
        alone = 1000 * self.alone
        return {
            "milliseconds_an_example": 1000 * self.seconds / batched if batched else None,
            "alone_mean_ms": float(alone.mean()) if len(alone) else None,
            "alone_p50_ms": float(np.percentile(alone, 50)) if len(alone) else None,
            "alone_p99_ms": float(np.percentile(alone, 99)) if len(alone) else None,
        }


def rank_targets(
    ranker: Ranker,
    examples: Examples,
    exclude_clicked: bool,
    progress: Progress = lambda done, total: None,
    alone: int = 0,
) -> Ranks:
    """Rank every example's target by a ranker; see ``answer_examples``."""

    def ask(sessions: Sequence[list[int]], times: Times) -> NDArray[np.int32]:
        selections = [Selection(MAX_K, session if exclude_clicked else ()) for session in sessions]
        return best_items(ranker, sessions, selections, times)

    return answer_examples(ask, examples, progress, alone)


def answer_examples(ask: Ask, examples: Examples, progress: Progress, alone: int = 0) -> Ranks:
    """Answer every example once and look for its target.

    Args:
        ask: what answers.
        examples: the sessions and their targets.
        progress: told how many examples of how many are done.
        alone: so many examples, evenly drawn, are answered in a call each, and every call is timed; the
            others in batches of similar length. Answers keep the examples' order.
    """
    lengths = np.diff(examples.inputs.offsets)
    answers = np.zeros((len(examples), MAX_K), np.int32)
    lone = np.unique(np.linspace(0, len(examples) - 1, min(alone, len(examples))).astype(np.int64))
    times = _answer_alone(ask, examples, lone, answers)
    rest = np.setdiff1d(np.arange(len(examples)), lone)
    rest = rest[np.argsort(lengths[rest], kind="stable")]
    seconds, done = 0.0, len(lone)
    for batch in _batches(rest, lengths):
        asked = _asked(examples, batch)
        began = time.perf_counter()
        answers[batch] = ask(*asked)
        seconds += time.perf_counter() - began
        done += len(batch)
        progress(done, len(examples))
    hits = answers == examples.targets[:, np.newaxis]
    ranks = np.where(hits.any(axis=1), hits.argmax(axis=1) + 1, 0)
    return Ranks(ranks.astype(np.int64), lengths, answers, seconds, times)


def best_items(
    ranker: Ranker, sessions: Sequence[list[int]], selections: Sequence[Selection], times: Times = None
) -> NDArray[np.int32]:
    """The ranker's answers as one array, 0 where there are fewer, int32 [B, MAX_K]."""
    found = [answer.items for answer in ranker.rank(sessions, selections, times)]
    items = torch.nn.utils.rnn.pad_sequence(found, batch_first=True).numpy()  # [B, n]
    return np.pad(items, ((0, 0), (0, MAX_K - items.shape[1]))).astype(np.int32)


def _answer_alone(
    ask: Ask, examples: Examples, chosen: NDArray[np.int64], answers: NDArray[np.int32]
) -> NDArray[np.float64]:
    """One call an example; seconds of each."""
    times = np.zeros(len(chosen))
    for index in chosen[:WARM_UP]:
        ask(*_asked(examples, [index]))
    for place, index in enumerate(chosen):
        asked = _asked(examples, [index])
        began = time.perf_counter()
        answers[index] = ask(*asked)[0]
        times[place] = time.perf_counter() - began
    return times


def _asked(examples: Examples, indices: Iterable[int]) -> tuple[list[list[int]], Times]:
    """Sessions of some examples, and their times where they were read."""
    inputs = examples.inputs
    times = None if inputs.times is None else [inputs.times_of(index) for index in indices]
    return [inputs[index] for index in indices], times


def _batches(order: NDArray[np.int64], lengths: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    """Stretches of ``order``, which ascends by length; the longest session of each bounds its size."""
    start = 0
    while start < len(order):
        size = SESSIONS
        longest = int(lengths[order[min(start + size, len(order)) - 1]])
        size = max(1, min(size, CLICKS // longest))
        yield order[start : start + size]
        start += size
