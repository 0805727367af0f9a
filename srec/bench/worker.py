"""The process in which one row is written, or runs: nothing else takes its memory or its caches.

``python -m srec.bench.worker write FOLDER NAME`` writes FOLDER/NAME from FOLDER/subject and prints one line
of JSON. ``... serve FOLDER NAME`` loads it and answers lines of JSON on stdin with lines on stdout.
``... make FOLDER ITEMSxDIM`` writes a synthetic FOLDER/subject.
"""

import gc
import json
import os
import resource
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import torch
from torch import Tensor

from srec.bench import cpu
from srec.bench.backends import SUBJECT, candidate, fallbacks
from srec.bench.subject import GRAPH, load, random_inputs, read_appids, read_facts, synthetic
from srec.errors import SrecError
from srec.graph.inputs import model_inputs
from srec.graph.neighbours import GlobalGraph
from srec.graph.session import pad_clicks
from srec.ids import Vocabulary
from srec.io import read_json, write_json
from srec.serving.golden import same_order
from srec.serving.ranker import Ranker
from srec.stores.array import ArrayStore

K = 20
FACTS = "facts.json"
MEMORY_LEFT = 1 << 30  # bytes that a process which writes leaves to the machine


class Served:
    """A loaded row and its inputs; every public method answers one kind of request."""

    def __init__(self, folder: Path, name: str) -> None:
        self.imported = cpu.memory_of_this_process()["memory"]
        began = time.perf_counter()
        self.scorer = candidate(name).load(folder / name, read_json(folder / name / FACTS))
        graph = GlobalGraph.load(folder / SUBJECT / GRAPH)
        self.appids = read_appids(folder / SUBJECT)
        self.vocabulary = Vocabulary(self.appids)
        max_clicks = read_facts(folder / SUBJECT)["max_clicks"]
        self.ranker = Ranker(self.scorer, ArrayStore(graph), max_clicks)
        self.load_seconds = time.perf_counter() - began
        gc.collect()
        gc.freeze()  # as the handler does
        self.inputs: list[list[int]] = []

    def hello(self, inputs: int) -> dict[str, Any]:
        """Draw the inputs; say what this process uses."""
        self.inputs = random_inputs(self.appids, inputs)
        return {
            "torch": torch.__version__,
            "threads": torch.get_num_threads(),
            "load_seconds": self.load_seconds,
            "kernels": cpu.in_use(),
        }

    def run(
        self, first: int, count: int, batch: int, keep: str | None, limit: float | None
    ) -> dict[str, Any]:
        """Answer inputs from appids to top-20, and time each call.

        Args:
            first, count: which inputs.
            batch: inputs a call.
            keep: file for the answered items, int64 [calls * batch, K]; None keeps nothing.
            limit: seconds after which no further call is begun; None makes all.
        """
        latencies: list[float] = []
        found: list[Tensor] = []
        self.ranker.stages.take()
        before = fallbacks(self.scorer)
        total, clock = 0.0, time.perf_counter
        for start in range(first, first + count, batch):
            asked = self.inputs[start : start + batch]
            began = clock()
            sessions = [self.vocabulary.items(appids) for appids in asked]
            answers = self.ranker.rank_all(sessions, K)
            latencies.append(clock() - began)
            found += [answer.items for answer in answers]
            total += latencies[-1]
            if limit is not None and total >= limit:
                break
        if keep is not None:
            np.save(keep, torch.stack(found).numpy())
        return {
            "seconds": total,
            "inputs": len(found),
            "latencies": latencies,
            "stages": self.ranker.stages.take(),
            "fallbacks": None if before is None else (fallbacks(self.scorer) or 0) - before,
        }

    def memory(self) -> dict[str, int]:
        """Bytes of this process: after its imports, now, and at most so far."""
        return {"imports": self.imported, **cpu.memory_of_this_process()}

    def table_read(self, repeats: int) -> dict[str, float]:
        """Milliseconds to read the float32 item table once, as a sum and as a product with one vector."""
        table: Tensor = self.scorer.model.item_vectors().detach()  # type: ignore[attr-defined]
        vector = torch.randn(table.shape[1])
        return {
            "sum": _median_ms(table.sum, repeats),
            "product": _median_ms(lambda: table @ vector, repeats),
            "bytes": table.numel() * table.element_size(),
        }

    def compare(self, first: int, reference: str, answered: str) -> dict[str, float]:
        """Of eager's process: compare another row's answers with eager's, both from files of ``run``."""
        ours, theirs = np.load(reference), np.load(answered)
        count = min(len(ours), len(theirs))
        strict = (ours[:count] == theirs[:count]).all(axis=1)
        near = 0
        for place in np.flatnonzero(~strict):
            scores = self._scores(first + int(place))
            near += same_order(scores, torch.from_numpy(ours[place]), torch.from_numpy(theirs[place]))
        return {
            "compared": count,
            "same_order": (int(strict.sum()) + near) / count,
            "same_order_strict": int(strict.sum()) / count,
            "near_ties": near / count,
        }

    def rank_moves(self, first: int, count: int, reference: str) -> dict[str, int]:
        """The farthest that an item of eager's top-20 has moved in this row's full ranking."""
        farthest = 0
        for place, expected in enumerate(np.load(reference)[:count]):
            scores = self._scores(first + place)
            own = scores[torch.from_numpy(expected) - 1]
            ranks = (scores > own.unsqueeze(1)).sum(dim=1)  # [K], from 0; equal scores share the best rank
            farthest = max(farthest, int((ranks - torch.arange(len(expected))).abs().max()))
        return {"largest_rank_move": farthest}

    @torch.inference_mode()
    def _scores(self, place: int) -> Tensor:
        session = self.vocabulary.items(self.inputs[place])
        clicks = pad_clicks([session], self.ranker.max_clicks)
        return self.scorer.scores(model_inputs(clicks, self.ranker.store.fetch, self.scorer.hops))[0]


def write(folder: Path, name: str) -> dict[str, Any]:
    """Write one row's files; returns what is worth telling."""
    (folder / name).mkdir()
    began = time.perf_counter()
    facts = candidate(name).write(load(folder / SUBJECT), folder / name)
    write_json(folder / name / FACTS, facts)
    return {"facts": facts, "seconds": time.perf_counter() - began}


def make(folder: Path, size: str) -> dict[str, Any]:
    """Write a synthetic subject without tags and context; returns what it is."""
    items, _, dim = size.partition("x")
    made = synthetic(int(items), int(dim), metadata=False)
    (folder / SUBJECT).mkdir()
    made.save(folder / SUBJECT)
    return made.facts()


def serve(served: Served, lines: TextIO, answer: Callable[[Any], None]) -> None:
    """Answer requests ``{"do": method, ...arguments}`` until the lines end."""
    answer({})
    for line in lines:
        request = json.loads(line)
        answer(getattr(served, request.pop("do"))(**request))


def _limit_memory() -> None:
    """A row that needs more than there is shall fail by itself and not take others with it."""
    limit = max(cpu.available_memory() - MEMORY_LEFT, MEMORY_LEFT)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))


def _median_ms(call: Callable[[], Any], repeats: int) -> float:
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        call()
        times.append(1000 * (time.perf_counter() - began))
    return float(np.median(times))


def main(arguments: Sequence[str]) -> int:
    """Run; whatever libraries print goes to stderr, stdout carries answers only."""
    verb, folder, name = arguments[0], Path(arguments[1]), arguments[2]
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    torch.set_num_threads(1)
    torch.set_num_interop_threads(1)

    def answer(value: Any) -> None:
        answers.write(json.dumps(value) + "\n")
        answers.flush()

    try:
        if verb == "serve":
            serve(Served(folder, name), sys.stdin, answer)
        else:
            _limit_memory()
            answer({"write": write, "make": make}[verb](folder, name))
    except SrecError as error:
        answer({"failed": str(error)})
        return 1
    except Exception as error:  # a row that cannot run is skipped with its reason, whatever that is
        traceback.print_exc()
        answer({"failed": _reason(error)})
        return 1
    return 0


def _reason(error: Exception) -> str:
    if isinstance(error, MemoryError) or "allocate" in str(error):
        return "not enough memory on this machine"
    lines = [line for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0] if lines else ''}"[:300]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
