"""Keeps the servers of `srec serve` running: what ends or stays unwell is restarted, then given up."""

import logging
import time
from collections.abc import Callable
from contextlib import suppress

from srec.errors import DataError, HostError
from srec.serve_config.drain import wait_until_idle
from srec.serve_config.embedded_redis import EmbeddedRedis
from srec.serve_config.health import Health, Phase
from srec.serve_config.limits import Limits
from srec.serve_config.management import Management
from srec.serve_config.signals import Stopped, StopSignals
from srec.serve_config.torchserve import TorchServe

UNWELL_SECONDS = 90.0  # TorchServe itself gives up a worker that cannot start after 30
MOST_RESTARTS = 5  # in a row
SETTLED_SECONDS = 60.0  # after so long in service a restart counts as a success
FINISH_SECONDS = 5.0  # for answers on their way, beyond the response limit
_WATCH_SECONDS = 0.2
_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.5, 8.0

log = logging.getLogger(__name__)


class Supervisor:
    """Runs the started servers until a stop signal; call ``run`` from the thread that started them."""

    def __init__(
        self, server: TorchServe, redis: EmbeddedRedis | None, health: Health, signals: StopSignals
    ) -> None:
        self._server = server
        self._redis = redis
        self._health = health
        self._signals = signals

    def run(self, on_ready: Callable[[], None]) -> None:
        """Serve, and never return: ``Stopped`` is raised when a signal came, after the drain.

        Raises ``HostError`` or ``DataError`` when the first start fails, or ``MOST_RESTARTS`` in a row do.
        """
        with self._signals.interruptible():
            self._server.wait_ready()
            self._health.serving()
            on_ready()
        failures = 0
        well_since = time.monotonic()
        while True:
            try:
                with self._signals.interruptible():
                    if self._health.phase is Phase.RECOVERING:
                        time.sleep(min(_SHORTEST_PAUSE * 2**failures, _LONGEST_PAUSE))
                        self._server.wait_ready()
                        self._health.serving()
                        well_since = time.monotonic()
                    self._watch()
                self._restart_redis()
            except (HostError, DataError) as error:
                was_serving = self._health.phase is Phase.SERVING
                settled = was_serving and time.monotonic() - well_since > SETTLED_SECONDS
                failures = 1 if settled else failures + 1
                if failures > MOST_RESTARTS:
                    raise
                log.warning("%s\nTorchServe is restarted, %d of %d", error, failures, MOST_RESTARTS)
                self._health.recovering()
                self._server.restart()

    def drain(self, limits: Limits) -> None:
        """Not ready from now on; after the pause, wait for what is in flight. A second signal ends it."""
        was_serving = self._health.phase is Phase.SERVING
        self._health.draining()
        if not was_serving:
            return
        with suppress(Stopped), self._signals.interruptible():
            time.sleep(limits.drain_seconds)
            settings = self._server.settings
            management = Management(settings.management_url, settings.model)
            with suppress(HostError):
                limit = management.default().response_timeout + FINISH_SECONDS
                if not wait_until_idle(settings.metrics_url, management, limit):
                    log.warning("requests may still be in flight: TorchServe was not idle within %g s", limit)

    def _watch(self) -> None:
        """Return when the embedded Redis ends; raise ``HostError`` when TorchServe is beyond recovery."""
        while self._redis is None or self._redis.alive():
            if not self._server.alive():
                raise HostError(f"TorchServe ended by itself; its log ends:\n{self._server.log_tail()}")
            if self._health.unwell_seconds() > UNWELL_SECONDS:
                reason = self._health.report()["reason"]
                raise HostError(f"TorchServe was not well for {UNWELL_SECONDS:g} s: {reason}")
            time.sleep(_WATCH_SECONDS)

    def _restart_redis(self) -> None:
        """An empty one; ``NeighbourKeeper`` fills it, the archive's own copy answers meanwhile."""
        if self._redis is not None:
            log.warning("the embedded Redis ended; it is restarted")
            self._redis.start()
            time.sleep(_SHORTEST_PAUSE)  # one that ends at once must not be started in a tight loop
