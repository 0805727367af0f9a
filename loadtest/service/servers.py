"""Services of one archive, shipped or with one lever changed, side by side on this machine."""

import zipfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Self

import psutil

from srec.errors import InputError
from srec.export.archive import read_archive, read_manifest
from srec.loadtest.service.levers import Lever, set_properties, snapshot
from srec.serve_config import ports
from srec.serve_config.configuration import Ports, TorchServeSettings
from srec.serve_config.embedded_redis import EmbeddedRedis
from srec.serve_config.folders import run_folder
from srec.serve_config.torchserve import TorchServe
from srec.serving.artifact import CATALOGUE, Artifact
from srec.stores.load import load_graph

BATCH_SIZE = 32


class VariedTorchServe(TorchServe):
    """TorchServe as `srec serve` starts it, but for what a lever changes."""

    def __init__(self, settings: TorchServeSettings, lever: Lever, version: str) -> None:
        super().__init__(settings)
        self._lever = lever
        self._version = version

    def configure(self) -> None:
        """Write the configuration, then change its properties."""
        super().configure()
        path = self.settings.folder / "config.properties"
        workers = self.settings.workers
        values = {"SNAPSHOT": snapshot(self._version, workers, BATCH_SIZE, 0)}
        changes = {key: values.get(value or "", value) for key, value in self._lever.properties.items()}
        path.write_text(set_properties(path.read_text(), changes))

    def command(self) -> list[str]:
        """Java's command line without some options, with others."""
        java, *options = super().command()
        kept = [
            one
            for one in options
            if not (self._lever.java_without and one.startswith(self._lever.java_without))
        ]
        first = kept.index("-cp")
        return [java, *kept[:first], *self._lever.java_with, *kept[first:]]

    def environment(self) -> dict[str, str]:
        """The variables, with the lever's."""
        return super().environment() | dict(self._lever.environment)


class Running:
    """A service that answers; its processes' CPU can be read."""

    def __init__(self, server: TorchServe, redis: EmbeddedRedis) -> None:
        self._java = psutil.Process(server.pid)
        self._workers = [
            p for p in self._java.children(recursive=True) if "model_service_worker" in " ".join(p.cmdline())
        ]
        self._redis = psutil.Process(redis.pid)
        self.management_url = server.settings.management_url
        self.url = server.settings.predictions_url.partition("/predictions")[0]

    def cpu_seconds(self) -> dict[str, float]:
        """CPU so far of Java, of all workers together, and of the Redis that all services share."""
        return {
            "java": _cpu(self._java),
            "workers": sum(map(_cpu, self._workers)),
            "redis": _cpu(self._redis),
        }


class Stand:
    """What services of one archive share: a Redis with its neighbours, and the appids to ask for."""

    def __init__(self, mar: Path, workers: int) -> None:
        self.mar = mar
        self.workers = workers
        self.version = str(read_manifest(mar)["model"]["modelVersion"])
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        try:
            self.folder = self._stack.enter_context(run_folder())
            self._redis = self._stack.enter_context(EmbeddedRedis(self.folder))
            with read_archive(self.mar) as files:
                load_graph(self._redis.url, Artifact(files).graph)
                self.appids = self.folder / CATALOGUE
                self.appids.write_bytes((files / CATALOGUE).read_bytes())
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @contextmanager
    def serve(self, lever: Lever) -> Iterator[Running]:
        """Start the service that a lever describes, on free ports; it is ready when this returns."""
        numbers = ports.free_ports([None] * 5)
        with run_folder() as folder:
            store = folder / "model_store"
            store.mkdir()
            rewrite_archive(self.mar, store / "srec.mar", lever)
            settings = TorchServeSettings(
                folder=folder,
                model_store=store,
                workers=lever.workers or self.workers,
                ports=Ports(**dict(zip(Ports.model_fields, numbers, strict=True))),
                redis_url=self._redis.url if lever.redis else None,
            )
            with VariedTorchServe(settings, lever, self.version) as server:
                server.wait_ready()
                yield Running(server, self._redis)


def rewrite_archive(mar: Path, target: Path, lever: Lever) -> None:
    """Copy an archive with a lever's changes; ``InputError`` for a text to replace that is not there."""
    with zipfile.ZipFile(mar) as source, zipfile.ZipFile(target, "w") as sink:
        handler = read_manifest(mar)["model"]["handler"]
        for name in source.namelist():
            content = source.read(name)
            if name == handler and lever.handler is not None:
                content = lever.handler.read_bytes()
            sink.writestr(name, _replaced(name, content, lever))


def _replaced(name: str, content: bytes, lever: Lever) -> bytes:
    for file, old, new in lever.archive:
        if file == name:
            if old.encode() not in content:
                raise InputError(
                    f'lever {lever.name}: {name} does not hold "{old}": the archive is of another version'
                )
            content = content.replace(old.encode(), new.encode())
    return content


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def cpu_per_request(
    before: Mapping[str, float], after: Mapping[str, float], requests: int
) -> dict[str, float]:
    """Milliseconds of CPU a request, by process."""
    return {name: 1000 * (after[name] - before[name]) / max(1, requests) for name in before}
