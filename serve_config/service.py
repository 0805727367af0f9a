"""`srec serve`: Redis, the neighbours, TorchServe; then wait, and end all of them."""

import os
import re
import shutil
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

from srec.errors import HostError, InputError
from srec.export.archive import read_manifest
from srec.serve_config import ports
from srec.serve_config.configuration import ADDRESS, MOST_WORKERS, Ports, TorchServeSettings
from srec.serve_config.embedded_redis import EmbeddedRedis
from srec.serve_config.folders import run_folder
from srec.serve_config.java import find_java
from srec.serve_config.signals import Stopped, StopSignals
from srec.serve_config.torchserve import TorchServe
from srec.stores.redis_client import FAILURES, connect, reason, server_name

_LOOPBACK = "127.0.0.1"
NO_REDIS = "array"
"""The store of ``srec.stores.STORES`` that needs no server."""


@dataclass(frozen=True)
class ServiceInfo:
    """What runs, once a prediction has succeeded."""

    predictions_url: str
    management_url: str
    metrics_url: str
    redis_url: str
    version: str
    """Of the model, as in the archive's manifest."""
    java_pid: int
    redis_pid: int | None
    """None when the Redis is not ours."""


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
    from the run's own copy of the archive; ``on_ready`` is called after the first prediction. The addresses
    default to SREC_ADDRESS and SREC_METRICS_ADDRESS, else loopback.
    With ``verify_key`` only an archive with its signature under that public key is served.
    Management, metrics and gRPC take 8081, 8082, 7070 and 7071 where those are free, else any free port.
    Call it from the main thread.

    Raises ``DataError`` for a damaged archive before anything starts, ``HostError`` for what this machine
    lacks and when a server ends by itself.
    """
    version = str(read_manifest(mar)["model"]["modelVersion"])
    address = address or os.environ.get("SREC_ADDRESS", _LOOPBACK)
    metrics_address = metrics_address or os.environ.get("SREC_METRICS_ADDRESS", _LOOPBACK)
    _check_options(port, workers, address)
    find_java()  # before Redis is started and filled in vain
    with StopSignals() as signals, ExitStack() as stack:
        folder = stack.enter_context(run_folder())
        stack.enter_context(suppress(Stopped))
        store = _private_store(mar, folder, verify_key)
        own_redis = None if redis_url else stack.enter_context(EmbeddedRedis(folder))
        url = redis_url or (own_redis.url if own_redis else "")
        if url != NO_REDIS:
            with signals.interruptible():
                check_redis(url)
                load_neighbours(store / "srec.mar", url)
        settings = TorchServeSettings(
            folder=folder,
            model_store=store,
            workers=workers,
            ports=_choose_ports(port),
            address=address,
            metrics_address=metrics_address,
            logs=logs,
            console=console,
            redis_url=url,
        )
        server = stack.enter_context(TorchServe(settings))
        with signals.interruptible():
            server.wait_ready()
            on_ready(_info(server, url, version, own_redis))
            _watch(server)


def _check_options(port: int, workers: int, address: str) -> None:
    if not 1 <= port <= 65534:
        raise InputError(f"port {port}: choose one from 1 to 65534")
    if not 1 <= workers <= MOST_WORKERS:
        raise InputError(f"{workers} workers: choose 1 to {MOST_WORKERS}, at most one for each core")
    if not re.fullmatch(ADDRESS, address):
        raise InputError(f'address "{address}": give an IPv4 address or a host name, 0.0.0.0 for all')
    remedy = "stop the program that listens there, or choose another port or address"
    ports.check_free(port, address, "predictions", remedy)


def check_redis(url: str) -> None:
    """Raise ``HostError`` unless a server answers at ``url``, ``InputError`` for an unusable URL."""
    with connect(url, timeout=3.0) as connection:
        try:
            connection.ping()
        except FAILURES as error:
            raise HostError(
                f"Redis at {server_name(connection)} {reason(error)}: start it, "
                "or leave out --redis and SREC_REDIS_URL for an embedded one"
            ) from None


def _private_store(mar: Path, folder: Path, verify_key: Path | None) -> Path:
    """A model store with this archive alone, so that writing a new one disturbs no running service."""
    store = folder / "model_store"
    store.mkdir()
    if verify_key is not None:
        from srec.export.signature import copy_verified  # noqa: PLC0415 (the package of the extra `sign`)

        copy_verified(mar, store / "srec.mar", verify_key)
        return store
    try:
        # Archives are replaced whole, never written in place, so a second name for the same file is a copy.
        (store / "srec.mar").hardlink_to(mar.resolve())
    except OSError:
        shutil.copyfile(mar, store / "srec.mar")
    return store


def _choose_ports(inference: int) -> Ports:
    wishes = [one if one != inference else None for one in (8081, 8082, 7070, 7071)]
    management, metrics, grpc_inference, grpc_management = ports.free_ports(wishes)
    return Ports(
        inference=inference,
        management=management,
        metrics=metrics,
        grpc_inference=grpc_inference,
        grpc_management=grpc_management,
    )


def _info(server: TorchServe, redis_url: str, version: str, own_redis: EmbeddedRedis | None) -> ServiceInfo:
    settings = server.settings
    return ServiceInfo(
        predictions_url=settings.predictions_url,
        management_url=settings.management_url,
        metrics_url=f"http://{_LOOPBACK}:{settings.ports.metrics}/metrics",
        redis_url=redis_url,
        version=version,
        java_pid=server.pid,
        redis_pid=own_redis.pid if own_redis else None,
    )


def _watch(server: TorchServe) -> None:
    """Return never; raise when Java ends. Redis may end: the workers then answer from the archive's copy."""
    while server.alive():
        time.sleep(0.5)
    raise HostError(f"TorchServe ended by itself; its log ends:\n{server.log_tail()}")
