"""TorchServe's process: its start, readiness and end.

Java is started directly: the `torchserve` command leaves Java behind when it is told to stop, and keeps its
pid file where every other TorchServe of this user looks for one.
"""

import http.client
import subprocess
import time
from collections import deque
from types import TracebackType
from typing import Self

from srec.errors import DataError, HostError
from srec.serve_config import client, ports, processes
from srec.serve_config.configuration import TorchServeSettings, command, environment, write_configuration
from srec.serve_config.worker_log import load_error, settled_error, worker_error

STOP_GRACE = 6.0
OPEN_FILES = 2048  # of which Java needs about 60 itself: the bound of connections, which TorchServe lacks
_STANDARD_ERROR = 2
_LOGS = ("java.log", "torchserve.log")


class TorchServe:
    """A context manager around the Java frontend and its Python workers.

    Enter it from a thread that lives as long as the server should (see ``follow_parent``).
    """

    def __init__(self, settings: TorchServeSettings) -> None:
        self.settings = settings
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Java's process id, which is also that of its process group, workers included."""
        if self._process is None:
            raise HostError("TorchServe is not running: start it first")
        return self._process.pid

    def start(self) -> None:
        """Check the ports, write the configuration, start Java; ``wait_ready`` does the waiting."""
        settings = self.settings
        _check_ports(settings)
        _put_old_logs_aside(settings)
        self.configure()
        with (settings.log_folder / "java.log").open("ab") as log:
            self._process = processes.start(
                self.command(),
                folder=settings.folder,
                output=log,
                errors=_STANDARD_ERROR if settings.console else None,
                environment=self.environment(),
            )
        processes.limit_open_files(self._process.pid, OPEN_FILES)

    def configure(self) -> None:
        """Write the configuration; like the next two a place where a benchmark can differ."""
        write_configuration(self.settings)

    def command(self) -> list[str]:
        """Java's command line."""
        return command(self.settings)

    def environment(self) -> dict[str, str]:
        """The variables of Java and the workers."""
        return environment(self.settings)

    def restart(self) -> None:
        """End what is left of it and start again; ``wait_ready`` does the waiting."""
        self.stop()
        self.start()

    def wait_ready(self, timeout: float = 120.0) -> None:
        """Return once every worker is READY and the probe was answered with 200.

        Raises ``DataError`` with the worker's own error when the archive does not load, ``HostError`` when
        Java ends or ``timeout`` seconds pass.
        """
        deadline = time.monotonic() + timeout
        while not (self._workers_ready() and self._probe_answered()):
            self._raise_if_failed()
            if time.monotonic() > deadline:
                raise HostError(
                    f"TorchServe was not ready after {timeout:g} s; its log ends:\n{self.log_tail()}"
                )
            time.sleep(0.1)

    def alive(self) -> bool:
        """Whether Java runs."""
        return self._process is not None and self._process.poll() is None

    def stop(self) -> None:
        """End Java and its workers, at the latest after ``STOP_GRACE`` and 3 more seconds."""
        if self._process is not None:
            processes.stop(self._process, grace=STOP_GRACE)

    def log_tail(self, lines: int = 20) -> str:
        """The last lines of what TorchServe and its workers logged."""
        return "\n".join(deque(self._log().splitlines(), maxlen=lines))

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _workers_ready(self) -> bool:
        answer = client.get_json(f"{self.settings.management_url}/models/{self.settings.model}", timeout=2.0)
        workers = answer[0].get("workers", []) if isinstance(answer, list) and answer else []
        ready = [worker for worker in workers if worker.get("status") == "READY"]
        return len(ready) >= self.settings.workers

    def _probe_answered(self) -> bool:
        try:
            answer = client.post(self.settings.predictions_url, self.settings.probe)
        except client.FAILURES:
            return False
        if http.client.BAD_REQUEST <= answer.status < http.client.INTERNAL_SERVER_ERROR:
            text = answer.body.decode(errors="replace")
            raise DataError(f"the archive's model refuses the test request {self.settings.probe!r}: {text}")
        return answer.status == http.client.OK

    def _raise_if_failed(self) -> None:
        if not self.alive():
            code = self._process.returncode if self._process else None
            raise HostError(f"TorchServe's Java ended (status {code}); its log ends:\n{self.log_tail()}")
        if self._worker_error() is not None:
            reason = settled_error(self._worker_error)
            raise DataError(f"the model of {self.settings.mar} does not load in its worker: {reason}")
        if refusal := load_error(self._log()):
            raise DataError(f"TorchServe refuses {self.settings.mar}: {refusal}")

    def _worker_error(self) -> str | None:
        return worker_error(self._log())

    def _log(self) -> str:
        files = [self.settings.log_folder / name for name in _LOGS]
        return "".join(file.read_text(errors="replace") for file in files if file.exists())


def _check_ports(settings: TorchServeSettings) -> None:
    numbers = settings.ports.model_dump()
    if len(set(numbers.values())) < len(numbers):
        raise HostError(f"TorchServe needs five different ports, got {numbers}")
    addresses = {"inference": settings.address, "metrics": settings.metrics_address}
    for purpose, port in numbers.items():
        remedy = "stop the program that listens there, or choose another port"
        ports.check_free(port, addresses.get(purpose, "127.0.0.1"), f"TorchServe's {purpose}", remedy)


def _put_old_logs_aside(settings: TorchServeSettings) -> None:
    """What an earlier run logged must not be taken for an error of this one; the last one's is kept."""
    settings.log_folder.mkdir(parents=True, exist_ok=True)
    for file in (settings.log_folder / name for name in _LOGS):
        if file.exists():
            file.replace(file.with_suffix(".previous.log"))
