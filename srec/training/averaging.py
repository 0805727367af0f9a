"""Averages of the weights of many steps, served in place of the last ones.

``ema``: Polyak averaging with an exponential window. ``last``: the mean of the weights at the ends of the
last epochs (as in Izmailov et al., UAI 2018, arXiv 1803.05407).
"""

import contextlib
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn

from srec.training.options import AveragingOptions

EVERY = 10
"""Steps between updates of a moving average: the table is large, and its weights move slowly. Also how often
an epoch updates it at least, if it has the steps: the average of a short training must leave the start."""


class Averager:
    """No average: the base of the others, and what a training without averaging uses."""

    def __init__(self, weights: Mapping[str, Tensor]) -> None:
        """Watch these weights, by name; the optimizer changes them in place."""
        self.weights = weights

    def after_step(self, taken: int) -> None:
        """Take note of the weights after step ``taken`` (from 1, over all epochs)."""

    def after_epoch(self) -> None:
        """Take note of the weights after an epoch."""

    def average(self) -> Mapping[str, Tensor]:
        """The weights to serve."""
        return self.weights

    def state(self) -> dict[str, Tensor]:
        """What must be kept beside the weights to go on after an interruption."""
        return {}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Put back what ``state`` gave."""

    @contextlib.contextmanager
    def applied(self) -> Iterator[None]:
        """Let the model have the average inside, and its own weights again afterwards."""
        average = self.average()
        if average is self.weights:
            yield
            return
        own = {name: tensor.detach().clone() for name, tensor in self.weights.items()}
        self._write(average)
        try:
            yield
        finally:
            self._write(own)

    def _write(self, values: Mapping[str, Tensor]) -> None:
        with torch.no_grad():
            for name, tensor in self.weights.items():
                tensor.copy_(values[name])


class MovingAverage(Averager):
    """An exponential moving average; its window is at most about a tenth of the training so far."""

    def __init__(self, weights: Mapping[str, Tensor], decay: float, steps: int) -> None:
        """``decay`` is a step's, ``steps`` are those of an epoch."""
        super().__init__(weights)
        self.decay = decay
        self.every = min(max(steps // EVERY, 1), EVERY)
        self.mean = {name: tensor.detach().clone() for name, tensor in weights.items()}

    def after_step(self, taken: int) -> None:
        """Move towards the weights, every ``every`` steps."""
        if taken % self.every:
            return
        decay = min(self.decay**self.every, taken / (taken + 9 * self.every))
        with torch.no_grad():
            torch._foreach_lerp_(list(self.mean.values()), list(self.weights.values()), 1 - decay)

    def average(self) -> Mapping[str, Tensor]:
        """The moving average."""
        return self.mean

    def state(self) -> dict[str, Tensor]:
        """The moving average."""
        return self.mean

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Put it back."""
        self.mean = {name: state[name].to(tensor.device) for name, tensor in self.weights.items()}


class LastEpochs(Averager):
    """The mean of the weights after each of the last epochs; it keeps a copy of each."""

    def __init__(self, weights: Mapping[str, Tensor], count: int) -> None:
        """``count`` epochs at most."""
        super().__init__(weights)
        self.count = count
        self.kept: list[dict[str, Tensor]] = []

    def after_epoch(self) -> None:
        """Keep a copy, and forget the oldest beyond ``count``."""
        self.kept.append({name: tensor.detach().clone() for name, tensor in self.weights.items()})
        del self.kept[: -self.count]

    def average(self) -> Mapping[str, Tensor]:
        """The mean; before the first epoch the weights themselves."""
        if not self.kept:
            return self.weights
        return {name: torch.stack([each[name] for each in self.kept]).mean(0) for name in self.weights}

    def state(self) -> dict[str, Tensor]:
        """All copies, oldest first."""
        return {f"{place}.{name}": t for place, each in enumerate(self.kept) for name, t in each.items()}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Put the copies back."""
        places = sorted({int(name.partition(".")[0]) for name in state})
        self.kept = [
            {name: state[f"{place}.{name}"].to(tensor.device) for name, tensor in self.weights.items()}
            for place in places
        ]


def make_averager(options: AveragingOptions, model: nn.Module, steps: int) -> Averager:
    """The averager that the options ask for, of the weights that training changes in ``steps`` an epoch."""
    weights = {name: p for name, p in model.named_parameters() if p.requires_grad}
    if options.averaging == "ema":
        return MovingAverage(weights, options.ema_decay, steps)
    if options.averaging == "last":
        return LastEpochs(weights, options.average_last)
    return Averager(weights)
