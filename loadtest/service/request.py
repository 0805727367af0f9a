"""Where a worker's time for a request goes, from the frontend's bytes to the bytes of the answer."""

import contextlib
import json
import logging
import os
import platform
import random
import socket
import statistics
import struct
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import torch

import srec
from srec.export.archive import read_archive, read_manifest
from srec.handlers.srec_handler import SrecHandler
from srec.loadtest.inputs import Session, random_sessions
from srec.loadtest.report import machine
from srec.serve_config.embedded_redis import EmbeddedRedis
from srec.serve_config.folders import run_folder
from srec.serving import observed, stages
from srec.serving.artifact import Artifact
from srec.serving.observed import ALL_STAGES, PARSE, WRITE, ObservedBatch
from srec.serving.stages import GRAPH, STORE
from srec.serving.telemetry import Telemetry
from srec.stores.load import load_graph

K = 20
WARM = 5000  # requests that are not measured: by then rows are cached as in a service of some minutes
OVERHEAD = (PARSE, GRAPH, STORE, WRITE)  # preprocessing, store and response
# The headers that TorchServe passes on of a usual client's request, in its order.
_HEADERS = (
    ("explain", "False"), ("Host", "127.0.0.1:8080"), ("User-Agent", "Mozilla/5.0"), ("Accept", "*/*"),
    ("Content-Length", "52"), ("Content-Type", "application/json"), ("url_path", ""),
)  # fmt: skip
_METRICS = Path(__file__).resolve().parents[2] / "serve_config" / "metrics.yaml"
_END = struct.pack("!i", -1)

Figures = dict[str, Any]
Clock = Callable[[], float]


def request_shares(
    mar: Path, *, batches: Sequence[int], repeats: int, progress: Callable[[str], None]
) -> Figures:
    """Run batches through TorchServe's own protocol and service code and our handler, in this process.

    Args:
        mar: whose model answers; neighbours come from a Redis started for it.
        batches: sizes of batch.
        repeats: measured batches of each size, after ``WARM`` requests that are not.
        progress: called with a line when something begins.

    Returns:
        ``rows``, one a batch size: ``microseconds`` and ``cpu_microseconds`` a request by stage, and what
        preprocessing, store and response have of the CPU.
    """
    torch.set_num_threads(1)
    with _worker(mar) as worker:
        rows = []
        for size in batches:
            progress(f"{repeats} batches of {size}")
            rows.append(_row(worker, size, repeats))
    return {
        "format": 1,
        "mar_version": str(read_manifest(mar)["model"]["modelVersion"]),
        "srec": srec.__version__,
        "python": platform.python_version(),
        "machine": machine().model_dump(),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "rows": rows,
    }


def shares_table(figures: Figures) -> str:
    """Markdown: for every batch size CPU and time of each stage, microseconds a request."""
    rows = figures["rows"]
    heads = [head for row in rows for head in (f"batch {row['batch']}, µs CPU (share)", "µs")]
    lines = [["stage", *heads], ["---"] * (len(heads) + 1)]
    for name in rows[0]["cpu_microseconds"]:
        cells = [(_share(row["cpu_microseconds"], name), f"{row['microseconds'][name]:.0f}") for row in rows]
        lines.append([name, *(cell for pair in cells for cell in pair)])
    totals = [
        (f"{sum(row['cpu_microseconds'].values()):.0f}", f"{sum(row['microseconds'].values()):.0f}")
        for row in rows
    ]
    lines.append(["together", *(cell for pair in totals for cell in pair)])
    for name in ("overhead_of_handler", "overhead_of_worker"):
        shares = [(f"{row[name]:.1%}", "") for row in rows]
        lines.append([name.replace("_", " "), *(cell for pair in shares for cell in pair)])
    text = "\n".join("| " + " | ".join(line) + " |" for line in lines)
    return (
        f"{text}\n\nA request's share of its batch; CPU of all threads of the worker; means over the faster "
        "half of the batches. Overhead is the CPU of parse, graph, store and write: all of the handler but "
        "model and top-k. `receive` and `server` are TorchServe's protocol, its service code and our "
        "telemetry; Java is not in it (`srec bench service` has its CPU). "
        f"{figures['machine']['cpu']}, {figures['finished']}.\n"
    )


def _share(parts: Mapping[str, float], name: str) -> str:
    return f"{parts[name]:.0f} ({parts[name] / sum(parts.values()):.1%})"


class _Kept:
    """The handler's telemetry, of which the last batch is kept."""

    def __init__(self, telemetry: Telemetry) -> None:
        self._telemetry = telemetry
        self.last: ObservedBatch | None = None

    @contextlib.contextmanager
    def batch(self, size: int) -> Iterator[ObservedBatch]:
        """As the telemetry's own."""
        with self._telemetry.batch(size) as self.last:
            yield self.last


class _Worker:
    """TorchServe's service object around our handler, and a connection as the frontend's."""

    def __init__(self, folder: Path, manifest: dict[str, Any]) -> None:
        from ts.metrics.metric_cache_yaml_impl import MetricsCacheYamlImpl  # noqa: PLC0415 (needs srec[serve])
        from ts.service import Service  # noqa: PLC0415

        metrics = MetricsCacheYamlImpl(config_file_path=str(_METRICS))
        metrics.initialize_cache()
        metrics.model_name = "srec"
        self.handler = SrecHandler()
        self.service = Service("srec", str(folder), manifest, self.handler.handle, None, 32, True, metrics)
        self.handler.initialize(self.service.context)
        self._kept = _Kept(self.handler.telemetry)
        self.handler.telemetry = cast(Telemetry, self._kept)
        self.appids = self.handler.predictor.catalogue.vocabulary.appids.tolist()
        self.frontend, backend = socket.socketpair()
        for end in (self.frontend, backend):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        self.backend = backend
        self.service.set_cl_socket(backend)

    @property
    def observed(self) -> ObservedBatch:
        """What the telemetry saw of the last batch."""
        if self._kept.last is None:
            raise RuntimeError("no batch has been asked for yet")
        return self._kept.last

    def close(self) -> None:
        """Close the connection."""
        self.frontend.close()
        self.backend.close()


@contextlib.contextmanager
def _worker(mar: Path) -> Iterator[_Worker]:
    lines = logging.getLogger("ts.metrics.caching_metric")
    lines.propagate = False  # the metrics that TorchServe would read from the worker's output
    with run_folder() as folder, EmbeddedRedis(folder) as redis, read_archive(mar) as files:
        load_graph(redis.url, Artifact(files).graph)
        os.environ["SREC_REDIS_URL"] = redis.url  # as the launcher does for a worker
        worker = _Worker(files, read_manifest(mar))
        try:
            yield worker
        finally:
            worker.close()


def _row(worker: _Worker, size: int, repeats: int) -> Figures:
    warm = -(-WARM // size)
    sessions = random_sessions(worker.appids, size * (warm + 2 * repeats), seed=size)
    batches = [sessions[at : at + size] for at in range(0, len(sessions), size)]
    for batch in batches[:warm]:
        _measure(worker, batch, time.perf_counter)
    seconds = _parts(worker, batches[warm : warm + repeats], time.perf_counter)
    with _stages_read(time.process_time):
        cpu = _parts(worker, batches[warm + repeats :], time.process_time)
    overhead = sum(cpu[name] for name in OVERHEAD)
    return {
        "batch": size,
        "repeats": repeats,
        "microseconds": seconds,
        "cpu_microseconds": cpu,
        "overhead_of_handler": overhead / sum(cpu[name] for name in ALL_STAGES),
        "overhead_of_worker": overhead / sum(cpu.values()),
    }


def _parts(worker: _Worker, batches: Sequence[Sequence[Session]], clock: Clock) -> dict[str, float]:
    """Microseconds a request of every part, means over the faster half of the batches.

    On a shared machine the slower half measures the neighbours.
    """
    measured = sorted(
        (_measure(worker, batch, clock) for batch in batches), key=lambda one: sum(one.values())
    )
    kept = measured[: (len(measured) + 1) // 2]
    return {name: 1e6 * statistics.mean(one[name] for one in kept) / len(batches[0]) for name in kept[0]}


def _measure(worker: _Worker, batch: Sequence[Session], clock: Clock) -> dict[str, float]:
    """Seconds of every part, from a message's first byte to the answer's last."""
    from ts.protocol.otf_message_handler import retrieve_msg  # noqa: PLC0415 (needs srec[serve])

    worker.frontend.sendall(_message(batch))
    begin = clock()
    _, message = retrieve_msg(worker.backend)
    received = clock()
    answer = worker.service.predict(message)
    end = clock()
    if answer.count(b"unknown_appids") != len(batch):
        raise RuntimeError(f"not every request was answered: {bytes(answer[:200])!r}")
    server = end - received - worker.observed.total
    return {"receive": received - begin, **worker.observed.seconds, "server": server}


@contextlib.contextmanager
def _stages_read(clock: Clock) -> Iterator[None]:
    """Let the stopwatches of the serving path read another clock, which no service ever does."""
    modules: tuple[Any, ...] = (stages, observed)
    for module in modules:
        module.time = SimpleNamespace(perf_counter=clock, time_ns=time.time_ns)
    try:
        yield
    finally:
        for module in modules:
            module.time = time


def _message(batch: Sequence[Session]) -> bytes:
    """The frontend's message for a batch, in TorchServe's own format."""
    return b"I" + b"".join(_request(f"{random.getrandbits(128):036x}", clicks) for clicks in batch) + _END


def _request(request_id: str, clicks: Session) -> bytes:
    head = b"".join(_field(name) + _field(value) for name, value in _HEADERS)
    body = json.dumps({"appids": clicks, "k": K})
    return _field(request_id) + head + _END + b"".join(map(_field, ("body", "application/json", body))) + _END


def _field(text: str) -> bytes:
    data = text.encode()
    return struct.pack("!i", len(data)) + data
