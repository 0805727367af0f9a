"""The process in which one row trains: nothing else takes its memory, its threads or its caches.

``python -m srec.bench.training_worker SPEC`` builds the model and its data, prints a line of JSON, and
answers every line ``{"do": "steps", "count": n}`` on stdin by n steps of training and a line with their
seconds. SPEC is the JSON of a ``Spec``.
"""

import json
import os
import sys
import time
from collections.abc import Sequence
from itertools import count
from pathlib import Path

import torch

from srec.bench.training_desk import Desk, Spec
from srec.bench.training_reference import train_reference
from srec.data.dataset import Dataset
from srec.errors import SrecError
from srec.training.features import item_features
from srec.training.loop import Trainer
from srec.training.memory import keep_freed_memory
from srec.training.settings import RunSettings
from srec.training.start import new_model


def train(data: Dataset, settings: RunSettings, desk: Desk) -> None:
    """Train as ``srec train`` does, on all sequences, as far as the desk asks for."""
    keep_freed_memory()
    full = data.kind == "sessions"
    sequences = data.sequences(full)
    model = new_model(settings, item_features(data, settings), sequences, None, selection=not full)
    trainer = Trainer(model, sequences, data.graph(full), settings.training)
    desk.answer(examples=len(trainer.examples))
    losses = (loss for epoch in count() for loss in trainer.losses(epoch))
    for steps in desk.rounds():
        seconds = []
        for _ in range(steps):
            began = time.perf_counter()
            next(losses)
            seconds.append(time.perf_counter() - began)
        desk.timed(seconds)


def main(arguments: Sequence[str]) -> int:
    """Run; whatever libraries print goes to stderr, stdout carries answers only."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    desk = Desk(sys.stdin, answers)
    spec = Spec(**json.loads(arguments[0]))
    torch.set_num_threads(spec.threads)
    settings = RunSettings.model_validate_json(spec.settings)
    try:
        if spec.reference is None:
            train(Dataset(Path(spec.data)), settings, desk)
        else:
            train_reference(Path(spec.reference), Dataset(Path(spec.data)), settings, desk)
    except SrecError as error:
        desk.answer(failed=str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
