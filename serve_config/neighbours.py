"""Sees to it that Redis holds the neighbours of the served archive, also after it has lost them."""

import logging
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from srec.errors import SrecError
from srec.serve_config.staging import graph_of
from srec.stores.load import is_whole
from srec.stores.redis_client import FAILURES, connect

CHECK_SECONDS = 5.0

log = logging.getLogger(__name__)


class NeighbourKeeper:
    """While entered, loads the graph of ``mar`` again whenever the Redis at ``url`` does not hold it.

    The workers answer from the archive's own copy in between, so a failure here is no more than a warning.
    """

    def __init__(self, mar: Path, url: str, load: Callable[[Path, str], None]) -> None:
        self._mar = mar
        self._url = url
        self._load = load
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._keep_on, name="srec-neighbours", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end.set()

    def _keep_on(self) -> None:
        while not self._end.wait(CHECK_SECONDS):
            try:
                self._keep()
            except (SrecError, *FAILURES) as error:
                log.info("the neighbours in Redis were not checked: %s", error)

    def _keep(self) -> None:
        graph = graph_of(self._mar)  # a deployment replaces the archive
        if graph is None:
            return
        with connect(self._url, timeout=3.0) as client:
            there = is_whole(client, graph)
        if not there:
            self._load(self._mar, self._url)
