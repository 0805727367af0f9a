"""Raw measurements of one load process: a row a request, so that percentiles need no buckets."""

from array import array
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from srec.io import new_file

COLUMNS = ("due", "sent", "response", "fault", "cpu")


@dataclass(frozen=True)
class Samples:
    """What one process saw.

    ``rows``: float64 [requests, 5]: when the request was due and when it was sent (seconds from the start),
    how long the answer took (seconds), index into ``faults`` (0: right), the process's CPU seconds so far.
    """

    rows: npt.NDArray[np.float64]
    faults: tuple[str, ...]

    def column(self, name: str) -> npt.NDArray[np.float64]:
        """One of ``COLUMNS``: float64 [requests]."""
        return self.rows[:, COLUMNS.index(name)]

    def due_within(self, begin: float, end: float) -> "Samples":
        """The requests that were due in [begin, end)."""
        due = self.column("due")
        return Samples(self.rows[(due >= begin) & (due < end)], self.faults)


class Recorder:
    """Collects rows during the run: 40 bytes a request, nothing is computed until it is over."""

    def __init__(self) -> None:
        self._values = array("d")
        self._faults: dict[str | None, int] = {None: 0}

    def add(self, due: float, sent: float, response: float, fault: str | None, cpu: float) -> None:
        """Note one request; ``fault`` is None for a right answer."""
        index = self._faults.setdefault(fault, len(self._faults))
        self._values.extend((due, sent, response, index, cpu))

    def write(self, path: Path) -> None:
        """Write everything noted so far to ``path`` (.npz)."""
        rows = np.array(self._values, dtype=np.float64).reshape(-1, len(COLUMNS))
        with new_file(path) as temporary, temporary.open("wb") as stream:
            np.savez(stream, rows=rows, faults=np.array([fault or "" for fault in self._faults]))


def read_samples(folder: Path) -> list[Samples]:
    """What the processes of one run wrote, those without a single request left out."""
    found = []
    for path in sorted(folder.glob("*.npz")):
        with np.load(path, allow_pickle=False) as stored:
            found.append(Samples(stored["rows"], tuple(map(str, stored["faults"]))))
    return [samples for samples in found if len(samples.rows)]
