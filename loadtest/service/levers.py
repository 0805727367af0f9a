"""The levers of a fast service, each as one difference from the service that is shipped."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

Mode = Literal["busy", "lone", "crowd"]
"""busy: 32 connections, inputs/s count. lone: one, its p50 counts. crowd: 512, the p99 of answers counts."""


@dataclass(frozen=True)
class Lever:
    """What is changed, and how. Everything else is as shipped.

    Attributes:
        name: short, unique; ``srec bench levers --only`` takes it.
        what: the change in words.
        shipped: whether the lever stands as we ship it, so that this row switches it off; else the row
            switches on what was tried and dropped.
        java_without: beginnings of options taken off Java's command line.
        java_with: options added to it.
        properties: lines of config.properties set or, by None, taken out.
        environment: variables given to Java and the workers.
        archive: (file of the archive, text, its replacement), each of which must be found.
        handler: a file that takes the place of the archive's handler.
        workers: worker processes; None: as many as cores.
        redis: whether neighbours come from Redis.
        modes: what is measured.
    """

    name: str
    what: str
    shipped: bool = False
    java_without: tuple[str, ...] = ()
    java_with: tuple[str, ...] = ()
    properties: Mapping[str, str | None] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    archive: tuple[tuple[str, str, str], ...] = ()
    handler: Path | None = None
    workers: int | None = None
    redis: bool = True
    modes: tuple[Mode, ...] = ("busy", "lone")


SHIPPED = Lever("shipped", "as `srec serve` starts it", shipped=True)
_CONFIG = "model-config.yaml"
_HANDLER = "srec_handler.py"


def _batch(size: int = 32, delay: int = 1) -> tuple[tuple[str, str, str], ...]:
    changes = (("batchSize: 32", f"batchSize: {size}"), ("maxBatchDelay: 1", f"maxBatchDelay: {delay}"))
    return tuple((_CONFIG, old, new) for old, new in changes if old != new)


LEVERS = (
    Lever("log4j2", "TorchServe's own logging: access, model and metrics logs", True, ("-Dlog4j",)),
    Lever(
        "worker-log", "Python's root logger at INFO in the worker", True,
        archive=((_HANDLER, "root.setLevel(logging.WARNING)", "root.setLevel(logging.INFO)"),),
    ),
    Lever("forkjoin", "Java's common pool as it sizes itself", True, ("-Djava.util.concurrent.Fork",)),
    Lever("batch-1", "no batches: one request a call", True, archive=_batch(size=1)),
    Lever("batch-8", "batches of at most 8", True, archive=_batch(size=8)),
    Lever("batch-64", "batches of at most 64", archive=_batch(size=64)),
    Lever("delay-0", "a batch waits for nobody (by model_snapshot; TorchServe's yaml knows no 0)",
          properties={"load_models": None, "model_snapshot": "SNAPSHOT"}),
    Lever("delay-2", "a batch waits 2 ms", archive=_batch(delay=2)),
    Lever("delay-5", "a batch waits 5 ms", archive=_batch(delay=5)),
    Lever("workers-1", "one worker", True, workers=1),
    Lever("stock-reads", "TorchServe's own reads: about 40 system calls a request", True,
          archive=((_CONFIG, "buffered_reads: true", "buffered_reads: false"),)),
    Lever("array-store", "neighbours from the archive's copy, no Redis", redis=False),
    Lever("direct-buffers", "netty's direct buffers", properties={"prefer_direct_buffer": "true"}),
    Lever("netty-1", "one netty thread for clients and one for workers",
          properties={"number_of_netty_threads": "1", "netty_client_threads": "1"}),
    Lever("no-epoll", "Java's own sockets; workers on TCP", properties={"use_native_io": "false"}),
    Lever("serial-gc", "the serial collector", java_with=("-XX:+UseSerialGC",)),
    Lever("parallel-gc", "the parallel collector", java_with=("-XX:+UseParallelGC",)),
    Lever("g1-gc", "the G1 collector", java_with=("-XX:+UseG1GC",)),
    Lever("no-share", "no shared class data", java_with=("-Xshare:off",)),
    Lever("heap-1g", "1 GB of heap instead of 256 MB", java_with=("-Xmx1g",)),
    Lever("c1-only", "Java's first compiler alone", java_with=("-XX:TieredStopAtLevel=1",)),
    Lever("async-log", "log4j2 writes in a thread of its own", properties={"async_logging": "true"}),
    Lever("queue-100", "TorchServe's own bound of waiting requests", True,
          properties={"job_queue_size": "100"}, modes=("crowd",)),
    Lever("queue-1000", "four times as many requests may wait", True,
          properties={"job_queue_size": "1000"}, modes=("crowd",)),
)  # fmt: skip


def snapshot(version: str, workers: int, batch_size: int, batch_delay_ms: int) -> str:
    """A value of ``model_snapshot``: the one way to start a model with a delay of 0."""
    model = {
        "defaultVersion": True,
        "marName": "srec.mar",
        "minWorkers": workers,
        "maxWorkers": workers,
        "batchSize": batch_size,
        "maxBatchDelay": batch_delay_ms,
        "responseTimeout": 10,
        "startupTimeout": 120,
    }
    return json.dumps({"name": "start.cfg", "modelCount": 1, "models": {"srec": {version: model}}})


def set_properties(text: str, properties: Mapping[str, str | None]) -> str:
    """A property file with lines set or, by None, taken out."""
    kept = [line for line in text.splitlines() if line.partition("=")[0] not in properties]
    return "\n".join(
        [*kept, *(f"{key}={value}" for key, value in properties.items() if value is not None), ""]
    )
