"""Time and memory of the global graph at SRec's size and at ten times it: `graph.py OUT.json`.

Made-up sequences of 21 clicks over 42,429 games, with a store's popularity and no other structure: nearly
every pair of neighbours is a new one, the worst case. Each size has a process, and so a peak, of its own.
"""

import json
import multiprocessing
import os
import resource
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from srec.graph.neighbours import build_graph

GAMES, LENGTH, CLICKS = 42_429, 21, 13_520_506
GIGABYTE = 1e9


def measure(clicks: int) -> dict[str, Any]:
    """Build the graph of so many clicks."""
    random = np.random.default_rng(0)
    items = (GAMES * random.random(clicks, np.float32) ** 3.3).astype(np.int32) + 1
    offsets = np.arange(0, clicks // LENGTH * LENGTH + 1, LENGTH, dtype=np.int64)
    before, began = _peak(), time.perf_counter()
    edges = int((build_graph(items[: offsets[-1]], offsets, GAMES).weights > 0).sum())
    seconds = round(time.perf_counter() - began, 1)
    return {
        "clicks": clicks,
        "seconds": seconds,
        "peak_gb": round(_peak(), 2),
        "peak_before_gb": round(before, 2),
        "edges": edges,
    }


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / GIGABYTE


if __name__ == "__main__":
    with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as processes:
        found = processes.map(measure, [CLICKS, 10 * CLICKS], chunksize=1)
    record = {"load": round(os.getloadavg()[0], 1), "cores": os.cpu_count(), "rows": found}
    Path(sys.argv[1]).write_text(json.dumps(record, indent=2) + "\n")
