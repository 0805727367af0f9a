"""`srec serve`: Redis, the neighbours, TorchServe, the operations port; then wait, and end all of them."""

import logging
import os
import re
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

from srec.api_key import given_api_key
from srec.errors import HostError, InputError
from srec.export.archive import read_manifest
from srec.serve_config import ports
from srec.serve_config.configuration import ADDRESS, MOST_WORKERS, Ports, TorchServeSettings, reachable
from srec.serve_config.embedded_redis import EmbeddedRedis
from srec.serve_config.folders import run_folder
from srec.serve_config.health import Health
from srec.serve_config.java import find_java
from srec.serve_config.limits import Limits
from srec.serve_config.neighbours import NeighbourKeeper
from srec.serve_config.operations import Operations
from srec.serve_config.running import RunningService
from srec.serve_config.signals import Stopped, StopSignals
from srec.serve_config.staging import stage, take
from srec.serve_config.supervisor import Supervisor
from srec.serve_config.torchserve import TorchServe
from srec.stores.redis_client import FAILURES, connect, reason

_LOOPBACK = "127.0.0.1"
log = logging.getLogger(__name__)
OPERATIONS_PORT = 8083
NO_REDIS = "array"
"""The store of ``srec.stores.STORES`` that needs no server."""


@dataclass(frozen=True)
class ServiceInfo:
    """What runs, once a prediction has succeeded."""

    predictions_url: str
    management_url: str
    metrics_url: str
    operations_url: str
    redis_url: str
    version: str
    """Of the model, as in the archive's manifest."""
    java_pid: int
    redis_pid: int | None
    """None when the Redis is not ours."""


@dataclass(frozen=True)
class _Addresses:
    """What the service listens on."""

    predictions: str
    metrics: str
    operations: str


def serve(
    mar: Path,
    *,
    redis_url: str | None,
    port: int,
    workers: int,
    load_neighbours: Callable[[Path, str], None],
    on_ready: Callable[[ServiceInfo], None],
    address: str | None = None,
    metrics_address: str | None = None,
    verify_key: Path | None = None,
    logs: Path | None = None,
    console: bool = True,
) -> None:
    """Serve ``mar`` on ``address:port`` until SIGINT, SIGTERM or SIGHUP; then end all that it started.

    Without ``redis_url`` an embedded server holds the neighbours; with ``array`` there is no Redis, and the
    workers read the archive's own copy. ``load_neighbours(mar, url)`` fills a Redis before TorchServe starts,
    from the run's own copy of the archive, and again whenever it was lost; ``on_ready`` is called after the
    first prediction. The addresses default to SREC_ADDRESS and SREC_METRICS_ADDRESS, else loopback; the
    operations port has SREC_OPERATIONS_ADDRESS. Further limits: see ``Limits``.
    With ``verify_key`` only an archive with its signature under that public key is served.
    Management, metrics, operations and gRPC take 8081, 8082, 8083, 7070 and 7071 where those are free, else
    any free port. Call it from the main thread.

    Raises ``DataError`` for a damaged archive before anything starts, ``HostError`` for what this machine
    lacks and when a server ends by itself again and again.
    """
    version = str(read_manifest(mar)["model"]["modelVersion"])
    addresses = _Addresses(
        address or os.environ.get("SREC_ADDRESS", _LOOPBACK),
        metrics_address or os.environ.get("SREC_METRICS_ADDRESS", _LOOPBACK),
        os.environ.get("SREC_OPERATIONS_ADDRESS", _LOOPBACK),
    )
    limits = Limits.from_environment()
    _check_options(port, workers, addresses)
    find_java()  # before Redis is started and filled in vain
    with StopSignals() as signals, ExitStack() as stack:
        folder = stack.enter_context(run_folder())
        stack.enter_context(suppress(Stopped))
        archive, store = _private_store(mar, folder, verify_key, limits)
        own_redis = None if redis_url else stack.enter_context(EmbeddedRedis(folder))
        url = redis_url or (own_redis.url if own_redis else "")
        if url != NO_REDIS:
            with signals.interruptible():
                _fill(archive, url, load_neighbours, must=own_redis is not None)
        chosen, operations_port = _choose_ports(port)
        settings = TorchServeSettings(
            folder=folder,
            model_store=store,
            workers=workers,
            ports=chosen,
            address=addresses.predictions,
            metrics_address=addresses.metrics,
            logs=logs,
            console=console,
            redis_url=url,
            job_queue_size=limits.queue_size(workers),
        )
        operations_url = f"http://{reachable(addresses.operations)}:{operations_port}"
        described = _describe(
            settings, operations_url, mar, redis_url=url, limits=limits, verify_key=verify_key
        )
        described.write()
        health = Health(settings.management_url, settings.predictions_url, settings.probe, settings.model)
        stack.enter_context(Operations(health, addresses.operations, operations_port))
        server = stack.enter_context(TorchServe(settings))
        stack.enter_context(health)
        if url != NO_REDIS:
            stack.enter_context(NeighbourKeeper(archive, url, load_neighbours))
        supervisor = Supervisor(server, own_redis, health, signals)
        info = _info(server, operations_url, url, version, own_redis)
        try:
            supervisor.run(lambda: on_ready(info))
        except Stopped:
            supervisor.drain(limits)


def _check_options(port: int, workers: int, addresses: _Addresses) -> None:
    given_api_key()  # workers that refuse it would be started again and again
    if not 1 <= port <= 65534:
        raise InputError(f"port {port}: choose one from 1 to 65534")
    if not 1 <= workers <= MOST_WORKERS:
        raise InputError(f"{workers} workers: choose 1 to {MOST_WORKERS}, at most one for each core")
    for address in (addresses.predictions, addresses.metrics, addresses.operations):
        if not re.fullmatch(ADDRESS, address):
            raise InputError(f'address "{address}": give an IPv4 address or a host name, 0.0.0.0 for all')
    remedy = "stop the program that listens there, or choose another port or address"
    ports.check_free(port, addresses.predictions, "predictions", remedy)


def _fill(archive: Path, url: str, load: Callable[[Path, str], None], *, must: bool) -> None:
    """Load the neighbours; where a given Redis is away, ``NeighbourKeeper`` does it later."""
    try:
        check_redis(url)
        load(archive, url)
    except HostError as error:
        if must:
            raise
        log.warning("%s\nUntil it is there, the archive's own copy of the neighbours answers.", error)


def check_redis(url: str) -> None:
    """Raise ``HostError`` unless a server answers at ``url``, ``InputError`` for an unusable URL."""
    with connect(url, timeout=3.0) as connection:
        try:
            connection.ping()
        except FAILURES as error:
            raise HostError(
                f"Redis at {connection.name} {reason(error)}: start it, "
                "or leave out --redis and SREC_REDIS_URL for an embedded one"
            ) from None


def _private_store(mar: Path, folder: Path, verify_key: Path | None, limits: Limits) -> tuple[Path, Path]:
    """The run's own copy of the archive, and a model store with it alone.

    So writing a new archive disturbs no running service, and what was verified is what is served.
    """
    archive, store = folder / "srec.mar", folder / "model_store"
    store.mkdir()
    take(mar, archive, verify_key)
    stage(archive, store / "srec.mar", limits.response_timeout)
    return archive, store


def _choose_ports(inference: int) -> tuple[Ports, int]:
    """TorchServe's five, and the one for operations."""
    usual = (8081, 8082, 7070, 7071, OPERATIONS_PORT)
    # Two services that start at once would both find the usual ports free.
    free = bool(os.environ.get("SREC_FREE_PORTS"))
    wishes = [None if free or one == inference else one for one in usual]
    management, metrics, grpc_inference, grpc_management, operations = ports.free_ports(wishes)
    chosen = Ports(
        inference=inference,
        management=management,
        metrics=metrics,
        grpc_inference=grpc_inference,
        grpc_management=grpc_management,
    )
    return chosen, operations


def _describe(
    settings: TorchServeSettings,
    operations_url: str,
    mar: Path,
    *,
    redis_url: str,
    limits: Limits,
    verify_key: Path | None,
) -> RunningService:
    return RunningService(
        folder=settings.folder,
        mar=mar.absolute(),
        model_store=settings.model_store,
        log_folder=settings.log_folder,
        management_url=settings.management_url,
        predictions_url=settings.predictions_url,
        metrics_url=settings.metrics_url,
        operations_url=operations_url,
        redis_url=redis_url,
        workers=settings.workers,
        response_timeout=limits.response_timeout,
        verify_key=verify_key.absolute() if verify_key else None,
    )


def _info(
    server: TorchServe, operations_url: str, redis_url: str, version: str, own_redis: EmbeddedRedis | None
) -> ServiceInfo:
    settings = server.settings
    return ServiceInfo(
        predictions_url=settings.predictions_url,
        management_url=settings.management_url,
        metrics_url=settings.metrics_url,
        operations_url=operations_url,
        redis_url=redis_url,
        version=version,
        java_pid=server.pid,
        redis_pid=own_redis.pid if own_redis else None,
    )
