"""Whether the service is ready: found out in the background, told at once."""

import http.client
import threading
import time
from enum import StrEnum
from types import TracebackType
from typing import Any, Self

from srec.errors import HostError
from srec.serve_config import client
from srec.serve_config.management import Management, Version

POLL_SECONDS = 0.5
POLL_TIMEOUT = 2.0
PROBE_SECONDS = 10.0  # a hung worker is found by this request if no visitor's finds it before
PROBE_TIMEOUT = 30.0
STALE_SECONDS = 5.0
RAISED = "Prediction failed"  # TorchServe's word, in a 503, for a handler that raised
LIVE_SECONDS = 600.0  # far beyond what the supervisor's own restarts take


class Phase(StrEnum):
    """Where the service stands in its life."""

    STARTING = "starting"
    SERVING = "serving"
    RECOVERING = "recovering"
    DRAINING = "draining"


class Health:
    """Polls the workers' states and sends a probe now and then while entered.

    ``report`` reads what was last seen and never waits: a hung worker or server cannot block it.

    Args:
        management_url: of TorchServe.
        predictions_url: where the probe is sent.
        probe: the body that must be answered with 200.
        model: its name.
    """

    def __init__(self, management_url: str, predictions_url: str, probe: bytes, model: str = "srec") -> None:
        self._management = Management(management_url, model)
        self._predictions_url = predictions_url
        self._probe = probe
        self._phase = Phase.STARTING
        self._version: Version | None = None
        self._seen_at = 0.0
        self._fault = "no prediction has succeeded yet"
        self._well_at = time.monotonic()
        self._end = threading.Event()
        self._threads = [
            threading.Thread(target=run, name=f"srec-{name}", daemon=True)
            for name, run in (("poll", self._poll_on), ("probe", self._probe_on))
        ]

    @property
    def phase(self) -> Phase:
        """Where the service stands."""
        return self._phase

    def serving(self) -> None:
        """Every worker is ready and a prediction has succeeded; called by who has seen both."""
        self._see()
        self._fault = ""
        self._well_at = time.monotonic()
        self._phase = Phase.SERVING

    def recovering(self) -> None:
        """TorchServe is being restarted."""
        self._fault = "no prediction has succeeded since the restart"
        self._phase = Phase.RECOVERING

    def draining(self) -> None:
        """The service ends: not ready from now on."""
        self._phase = Phase.DRAINING

    def unwell_seconds(self) -> float:
        """For how long not every worker was ready, or TorchServe did not say."""
        return time.monotonic() - self._well_at

    def ready(self) -> bool:
        """Whether requests should be sent here."""
        return not self._reason()

    def live(self) -> bool:
        """Whether the service runs or can still be expected to recover by itself."""
        return self._phase is Phase.DRAINING or self.unwell_seconds() < LIVE_SECONDS

    def report(self) -> dict[str, Any]:
        """What `/ready` shows: the decision, its reason, and what it was made from."""
        version = self._version
        reason = self._reason()
        return {
            "ready": not reason,
            "reason": reason or None,
            "phase": self._phase.value,
            "version": version.name if version else None,
            "workers": {"ready": version.ready, "wanted": version.wanted} if version else None,
        }

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end.set()

    def _reason(self) -> str:
        """Why the service is not ready; empty when it is."""
        if self._phase is not Phase.SERVING:
            return f"the service is {self._phase.value}"
        version = self._version
        if version is None or time.monotonic() - self._seen_at > STALE_SECONDS:
            return "TorchServe does not tell the state of its workers"
        if version.ready < version.wanted:
            return f"{version.ready} of {version.wanted} workers are ready"
        return self._fault

    def _poll_on(self) -> None:
        while not self._end.wait(POLL_SECONDS):
            self._see()

    def _see(self) -> None:
        try:
            version = self._management.default(POLL_TIMEOUT)
        except HostError:
            return
        self._version, self._seen_at = version, time.monotonic()
        if 0 < version.wanted <= version.ready:
            self._well_at = self._seen_at

    def _probe_on(self) -> None:
        while not self._end.wait(1.0 if self._fault else PROBE_SECONDS):
            if self._phase is Phase.SERVING:
                self._fault = self._probe_fault()

    def _probe_fault(self) -> str:
        try:
            answer = client.post(self._predictions_url, self._probe, PROBE_TIMEOUT)
        except client.FAILURES as error:
            return f"the last test prediction failed ({error})"
        # A full queue is a service at work.
        full = answer.status == http.client.SERVICE_UNAVAILABLE and answer.text != RAISED
        if answer.status == http.client.OK or full:
            return ""
        return f"the last test prediction was answered with {answer.status}"
