"""The learning rate over time."""

import math

from srec.training.options import ScheduleOptions


def learning_rate(options: ScheduleOptions, epoch: int, step: int, steps: int, epochs: int) -> float:
    """The rate of one step.

    Args:
        options: see ``ScheduleOptions``.
        epoch: from 0.
        step: of the epoch, from 0.
        steps: of an epoch.
        epochs: after which a cosine reaches 0, wherever early stopping ends: a refit takes the same path.
    """
    rate, taken = options.learning_rate, epoch * steps + step
    if options.schedule == "step":
        rate *= options.decay ** (epoch // options.decay_every)
    elif options.schedule == "cosine":
        rate *= 0.5 * (1 + math.cos(math.pi * min(taken / (epochs * steps), 1.0)))
    return rate * min((taken + 1) / (options.warmup_steps + 1), 1.0)
