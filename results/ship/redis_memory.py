"""Memory of a graph in Redis: bytes a row, at 12 neighbours, as `srec load-neighbours` writes it."""

import json
import sys
import tempfile
from pathlib import Path

import numpy as np
import redis

from srec.graph.neighbours import GlobalGraph
from srec.serve_config.embedded_redis import EmbeddedRedis
from srec.stores.load import load_graph

NEIGHBOURS = 12


def measure(items: int) -> dict[str, float]:
    """Load a random graph with full rows into an empty server."""
    random = np.random.default_rng(0)
    shape = (items + 1, NEIGHBOURS)
    neighbours = random.integers(1, items + 1, shape, dtype=np.int32)
    weights = random.integers(1, 100, shape).astype(np.float32)
    neighbours[0], weights[0] = 0, 0
    with (
        tempfile.TemporaryDirectory() as folder,
        EmbeddedRedis(Path(folder)) as server,
        redis.Redis.from_url(server.url, protocol=2) as client,
    ):
        before = client.info("memory")["used_memory"]
        report = load_graph(server.url, GlobalGraph(neighbours, weights))
        after = client.info("memory")
    return {
        "items": items,
        "bytes_a_row": round((after["used_memory"] - before) / items, 1),
        "server_mb": round(after["used_memory_rss"] / 1e6, 1),
        "load_seconds": round(report.seconds, 2),
    }


if __name__ == "__main__":
    rows = [measure(items) for items in (3_535, 42_429, 200_000)]
    Path(sys.argv[1]).write_text(json.dumps(rows, indent=2) + "\n")
