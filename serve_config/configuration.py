"""The settings of one TorchServe, and what they become: property files, command line, environment."""

import importlib.util
import os
import shutil
import sys
from pathlib import Path
from string import Template
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from srec.errors import HostError
from srec.serve_config.java import find_java

_HERE = Path(__file__).parent
ADDRESS = r"^[A-Za-z0-9.-]+$"
MOST_WORKERS = 256
JAVA_CLASS = "org.pytorch.serve.ModelServer"

Port = Annotated[int, Field(ge=1, le=65534)]


class Ports(BaseModel):
    """The five TCP ports that TorchServe listens on."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    inference: Port = 8080
    management: Port = 8081
    metrics: Port = 8082
    grpc_inference: Port = 7070
    grpc_management: Port = 7071


class TorchServeSettings(BaseModel):
    """One run of TorchServe with one archive."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    folder: Path
    """Private and existing; unpacked models, sockets and the rendered configuration go here."""
    model_store: Path
    mar: str = "srec.mar"
    model: str = "srec"
    workers: Annotated[int, Field(ge=1, le=MOST_WORKERS)] = 1
    ports: Ports = Ports()
    address: Annotated[str, Field(pattern=ADDRESS)] = "127.0.0.1"
    metrics_address: Annotated[str, Field(pattern=ADDRESS)] = "127.0.0.1"
    logs: Path | None = None
    """Where torchserve.log goes; None: ``folder/logs``."""
    console: bool = False
    """Also write warnings and tracebacks of workers to standard error."""
    redis_url: str | None = None
    """Given to the workers as SREC_REDIS_URL."""
    job_queue_size: Annotated[int, Field(ge=1)] = 256
    probe: bytes = b'{"appids": []}'
    """The request that must be answered with 200 before the service counts as ready."""

    @property
    def log_folder(self) -> Path:
        """Where torchserve.log is."""
        return (self.logs or self.folder / "logs").absolute()

    @property
    def predictions_url(self) -> str:
        """Where this machine can POST requests to."""
        return f"http://{reachable(self.address)}:{self.ports.inference}/predictions/{self.model}"

    @property
    def metrics_url(self) -> str:
        """Where this machine can read Prometheus metrics."""
        return f"http://{reachable(self.metrics_address)}:{self.ports.metrics}/metrics"

    @property
    def management_url(self) -> str:
        """TorchServe's management API, loopback only."""
        return f"http://127.0.0.1:{self.ports.management}"


def reachable(address: str) -> str:
    """The address under which this machine reaches a server that listens on ``address``."""
    return "127.0.0.1" if address == "0.0.0.0" else address  # noqa: S104 (compared, not bound)


def write_configuration(settings: TorchServeSettings) -> None:
    """Render the templates into the run's folder, whose path needs no escaping in any of them."""
    for name in ("log4j2.xml", "metrics.yaml"):
        shutil.copyfile(_HERE / name, settings.folder / name)
    values = {
        "address": settings.address,
        "metrics_address": settings.metrics_address,
        "model_store": settings.model_store,
        "mar": settings.mar,
        "workers": settings.workers,
        "job_queue_size": settings.job_queue_size,
        "metrics_config": settings.folder / "metrics.yaml",
        **{f"{purpose}_port": port for purpose, port in settings.ports.model_dump().items()},
    }
    template = Template((_HERE / "config.properties").read_text())
    (settings.folder / "config.properties").write_text(template.substitute(values))


def command(settings: TorchServeSettings) -> list[str]:
    """Java's command line; ``HostError`` without Java or TorchServe."""
    home = _torchserve_home()
    folder = settings.folder
    # The common pool must have at least two threads: with one, Java starts a new thread for each batch.
    parallelism = max(2, os.cpu_count() or 2)
    return [
        str(find_java().path),
        "-Xmx256m",
        "-XX:+ExitOnOutOfMemoryError",
        "-XX:-UsePerfData",  # it would write to /tmp whatever java.io.tmpdir says
        f"-Djava.util.concurrent.ForkJoinPool.common.parallelism={parallelism}",
        f"-Djava.io.tmpdir={folder}",
        f"-Dmodel_server_home={home}",
        f"-Dlog4j.configurationFile=file://{folder}/log4j2.xml",
        f"-Dsrec.logs={settings.log_folder}",
        f"-Dsrec.console={'INFO' if settings.console else 'OFF'}",
        *("-cp", f"{home}/ts/frontend/*", JAVA_CLASS),
        *("--python", sys.executable),
        *("--ts-config-file", f"{folder}/config.properties"),
        *("--model-store", str(settings.model_store)),
        "--no-config-snapshot",
    ]


def _torchserve_home() -> Path:
    package = importlib.util.find_spec("ts")
    if package is None or package.origin is None:
        raise HostError("the package torchserve is not installed: install srec[serve]")
    return Path(package.origin).parent.parent


def environment(settings: TorchServeSettings) -> dict[str, str]:
    """The caller's environment without what would overrule the configuration or the archive's code."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("TS_") and name not in ("PYTHONPATH", "SREC_REDIS_URL")
    }
    own = {
        "TMPDIR": str(settings.folder),
        "LOG_LOCATION": str(settings.log_folder),
        "METRICS_LOCATION": str(settings.log_folder),
        "OMP_NUM_THREADS": "1",  # a worker computes in one thread; more workers use more cores
    }
    return kept | own | ({"SREC_REDIS_URL": settings.redis_url} if settings.redis_url else {})
