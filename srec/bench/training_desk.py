"""What the processes of the training benchmark are told, and how they answer."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import TextIO

from srec.bench.cpu import memory_of_this_process


@dataclass(frozen=True)
class Spec:
    """What a process trains.

    Attributes:
        data: folder of DATA; all its training sequences are used, those kept for validation too.
        settings: JSON of the ``RunSettings``.
        threads: of torch.
        reference: folder of another implementation of the model, to train in place of ours.
    """

    data: str
    settings: str
    threads: int
    reference: str | None = None

    def json(self) -> str:
        """As the process takes it."""
        return json.dumps(asdict(self))


class Desk:
    """Takes requests, gives the answers."""

    def __init__(self, requests: TextIO, answers: TextIO) -> None:
        self._requests, self._answers = requests, answers

    def rounds(self) -> Iterator[int]:
        """The numbers of steps that are asked for, until nobody asks any more."""
        for line in self._requests:
            yield int(json.loads(line)["count"])

    def answer(self, **values: object) -> None:
        """One line."""
        self._answers.write(json.dumps(values) + "\n")
        self._answers.flush()

    def timed(self, seconds: list[float]) -> None:
        """The answer to a round; with it the most memory that this process has held."""
        self.answer(seconds=seconds, peak_memory=memory_of_this_process()["peak_memory"])
