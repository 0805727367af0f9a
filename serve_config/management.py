"""TorchServe's management API, as far as a service with one model needs it."""

import http.client
import json
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import quote

from srec.errors import HostError
from srec.serve_config import client


@dataclass(frozen=True)
class Version:
    """One registered version of the model."""

    name: str
    wanted: int
    """Workers it should have."""
    ready: int
    """Workers that have loaded the model, golden sessions included."""
    waiting: int
    """Requests in its queue."""
    response_timeout: int
    """Seconds after which TorchServe replaces a worker that does not answer."""

    @classmethod
    def of(cls, description: dict[str, Any]) -> Self:
        """From the object that TorchServe describes a version with."""
        workers = description.get("workers", [])
        return cls(
            name=str(description["modelVersion"]),
            wanted=int(description["minWorkers"]),
            ready=sum(worker.get("status") == "READY" for worker in workers),
            waiting=int(description.get("jobQueueStatus", {}).get("pendingRequests", 0)),
            response_timeout=int(description["responseTimeout"]),
        )


class Management:
    """Speaks to the management port at ``url``; every failure is a ``HostError`` with TorchServe's words."""

    def __init__(self, url: str, model: str = "srec") -> None:
        self._url = url
        self._model = f"{url}/models/{quote(model)}"

    def default(self, timeout: float = 5.0) -> Version:
        """The version that answers requests which name none."""
        return self._describe("", timeout)[0]

    def versions(self, timeout: float = 5.0) -> dict[str, Version]:
        """Every registered version by its name."""
        return {version.name: version for version in self._describe("/all", timeout)}

    def register(self, archive: str) -> None:
        """Unpack the archive of this name in the model store; it gets no worker yet."""
        # Without workers, since a registration whose workers fail is a 500 that unregisters in its own time.
        self._call("POST", f"{self._url}/models?url={quote(archive)}&initial_workers=0", timeout=120.0)

    def scale(self, version: str, workers: int) -> None:
        """Ask for so many workers; ``versions`` tells when they are ready."""
        path = f"/{quote(version)}?min_worker={workers}&max_worker={workers}"
        self._call("PUT", self._model + path)

    def set_default(self, version: str) -> None:
        """From now on this version answers requests which name none."""
        self._call("PUT", f"{self._model}/{quote(version)}/set-default")

    def unregister(self, version: str) -> None:
        """End the workers of a version that is not the default, and forget it."""
        self._call("DELETE", f"{self._model}/{quote(version)}", timeout=120.0)

    def _describe(self, path: str, timeout: float) -> list[Version]:
        answer = self._call("GET", self._model + path, timeout)
        try:
            found = [Version.of(one) for one in json.loads(answer.body)]
        except (ValueError, KeyError, TypeError):
            raise HostError(f"{self._url} does not speak as TorchServe's management API does") from None
        if not found:
            raise HostError(f"TorchServe at {self._url} has no version of the model")
        return found

    def _call(self, method: str, url: str, timeout: float = 30.0) -> client.Answer:
        try:
            answer = client.request(method, url, timeout=timeout)
        except client.FAILURES as error:
            raise HostError(f"TorchServe's management API at {self._url} does not answer ({error})") from None
        if answer.status >= http.client.MULTIPLE_CHOICES:
            raise HostError(f"TorchServe at {self._url} refuses ({answer.status}): {answer.text}")
        return answer
