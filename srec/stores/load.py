"""Puts a global graph into Redis: whole or absent for readers, resumed where a load before it ended."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from srec.errors import HostError
from srec.graph.neighbours import GlobalGraph
from srec.stores.record import fields, mark_key, pack, rows_key
from srec.stores.redis import TTL_SECONDS
from srec.stores.redis_client import FAILURES, Command, RedisClient, connect, reason, sound

LOAD_SECONDS = 10.0  # how long one step of a load may take
UNFINISHED_TTL_SECONDS = 2 * 3600  # an interrupted load can be resumed for this long; then its rows are gone
ROWS_PER_STEP = 2000  # about 200 kB at 12 neighbours

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class LoadReport:
    """What ``load_graph`` did.

    Attributes:
        digest: digest of the graph.
        server: where it is, without user and password.
        rows: rows it has in Redis.
        written: how many of them were absent or damaged, and are written now.
        already_there: the graph was whole; nothing was written, only the expiry renewed.
        seconds: time it took.
    """

    digest: str
    server: str
    rows: int
    written: int
    already_there: bool
    seconds: float


def load_graph(
    url: str, graph: GlobalGraph, ttl_seconds: int = TTL_SECONDS, progress: Progress | None = None
) -> LoadReport:
    """Put a graph into Redis. Readers see all of it or nothing.

    Every row that is there is compared, and only the others are written: a second load writes nothing, a
    load that was interrupted goes on where it ended, a damaged graph is repaired. The mark that makes
    readers see the graph comes last. A graph's keys carry its digest, so loads at the same time write the
    same rows to the same places, and no load touches another graph.

    Args:
        url: see ``redis_client.connect``.
        graph: what to load.
        ttl_seconds: the graph expires when nobody has read it for this long.
        progress: called with the rows compared or written, and the rows there are.

    Raises:
        InputError: the URL cannot be used.
        HostError: Redis is not there or refuses; readers see what they saw before.
    """
    start = time.monotonic()
    with connect(url, LOAD_SECONDS) as client:
        try:
            (marked,) = sound(client.ask([("EXISTS", mark_key(graph.digest))]))
            expiry = ttl_seconds if marked else UNFINISHED_TTL_SECONDS
            written = _write(client, graph, expiry, progress)
            _publish(client, graph, ttl_seconds)
        except FAILURES as error:
            raise HostError(f"the graph was not loaded: Redis at {client.name} {reason(error)}") from error
    already_there = bool(marked) and not written
    seconds = time.monotonic() - start
    return LoadReport(graph.digest, client.name, graph.n_items, written, already_there, seconds)


def is_whole(client: RedisClient, digest: str) -> bool:
    """Whether Redis holds every row of the graph with this digest.

    The mark alone does not tell: a node of a cluster that comes back empty has lost its rows, not the mark.
    """
    keys = [rows_key(digest, shard) for shard in range(client.shards)]
    marked, *there = sound(client.ask([("GET", mark_key(digest)), *(("HLEN", key) for key in keys)]))
    return marked is not None and sum(there) >= int(marked)


def _write(client: RedisClient, graph: GlobalGraph, expiry: int, progress: Progress | None) -> int:
    """Write the rows that are not there as they should be; return how many these were."""
    written = 0
    for first in range(1, graph.n_items + 1, ROWS_PER_STEP):
        items = np.arange(first, min(first + ROWS_PER_STEP, graph.n_items + 1), dtype=np.int32)
        shards = {shard: items[items % client.shards == shard] for shard in range(client.shards)}
        shards = {shard: part for shard, part in shards.items() if len(part)}
        written += _write_step(client, graph, shards, expiry)
        if progress is not None:
            progress(int(items[-1]), graph.n_items)
    return written


def _write_step(
    client: RedisClient, graph: GlobalGraph, shards: dict[int, NDArray[np.int32]], expiry: int
) -> int:
    names = {shard: fields(items) for shard, items in shards.items()}
    keys = {shard: rows_key(graph.digest, shard) for shard in shards}
    there = sound(client.ask([("HMGET", keys[shard], *names[shard]) for shard in shards]))
    commands: list[Command] = []
    written = 0
    for (shard, items), found in zip(shards.items(), there, strict=True):
        records = pack(graph.neighbours[items], graph.weights[items])
        rows = zip(names[shard], records, found, strict=True)
        wrong = [part for name, record, value in rows if value != record for part in (name, record)]
        if wrong:
            commands += [("HSET", keys[shard], *wrong), ("EXPIRE", keys[shard], expiry)]
            written += len(wrong) // 2
    if commands:
        sound(client.ask(commands))
    return written


def _publish(client: RedisClient, graph: GlobalGraph, ttl_seconds: int) -> None:
    """Set the mark, if all rows are there."""
    keys = [rows_key(graph.digest, shard) for shard in range(client.shards)]
    renewals: Iterable[Command] = (("EXPIRE", key, ttl_seconds) for key in keys)
    answers = sound(client.ask([*(("HLEN", key) for key in keys), *renewals]))
    if sum(answers[: len(keys)]) < graph.n_items:  # restarted or flushed since the first step
        raise HostError(f"Redis at {client.name} lost rows while the graph was loaded: load it again")
    sound(client.ask([("SET", mark_key(graph.digest), graph.n_items, "EX", ttl_seconds)]))
