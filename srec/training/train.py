"""DATA -> RUN: select on validation, stop early, refit where asked, resume after an interruption."""

import shutil
import time
from pathlib import Path
from typing import Any, Protocol

import torch

from srec.data.dataset import Dataset, Sequences
from srec.errors import InputError
from srec.evaluation.evaluate import rank_targets
from srec.manifest import RUN
from srec.models import ItemFeatures, SessionModel, model_class
from srec.serving.ranker import EagerScorer, Ranker
from srec.stores.array import ArrayStore
from srec.training import checkpoint
from srec.training.checkpoint import Progress
from srec.training.features import item_features
from srec.training.loop import Trainer
from srec.training.run import Outcome, write_run
from srec.training.settings import RunSettings, TrainSettings


class Report(Protocol):
    """Who is told how training goes."""

    def step(self, epoch: int, step: int, steps: int, loss: float) -> None:
        """Some steps of an epoch are done."""

    def epoch(self, record: dict[str, Any]) -> None:
        """An epoch is done and was measured on validation."""

    def phase(self, name: str) -> None:
        """A phase of the work begins."""


def train(data: Dataset, settings: RunSettings, out: Path, resume: bool, report: Report) -> None:
    """Train one model and write RUN; what was at ``out`` stays until the new run is complete."""
    RUN.check_target(out)
    torch.manual_seed(settings.training.seed)
    features = item_features(data, settings)
    model = model_class(settings.model)(settings.model_settings(), features)
    if not model.trained_by_gradient:
        outcome = _count(model, data, settings.training)
        write_run(out, settings, data, features, outcome)
        return
    work = _Training(data, settings, features, out.with_name(f".{out.name}.training"), report)
    write_run(out, settings, data, features, work.outcome(model, resume))
    shutil.rmtree(work.folder)


class _Training:
    """The two phases of one training and its checkpoint."""

    def __init__(
        self, data: Dataset, settings: RunSettings, features: ItemFeatures, folder: Path, report: Report
    ) -> None:
        self.data, self.settings, self.features = data, settings, features
        self.folder, self.report = folder, report
        self.progress = Progress(settings.model_dump(mode="json"), data.digest)
        self.refit = _refits(settings.training, data)

    def outcome(self, model: SessionModel, resume: bool) -> Outcome:
        found = checkpoint.load(self.folder, self.progress) if resume else None
        if not resume:
            shutil.rmtree(self.folder, ignore_errors=True)
        self.progress = found or self.progress
        trainer = self._trainer(model, full=self.progress.phase == "refit")
        best = checkpoint.restore(self.folder, trainer) if found else checkpoint.snapshot(model)
        if self.progress.phase == "select":
            best = self._select(trainer, best)
        if not self.refit:
            return Outcome(best, None, self._record())
        if self.progress.phase == "select":
            self.progress.phase, self.progress.epoch = "refit", 0
            torch.manual_seed(self.settings.training.seed)
            again = model_class(self.settings.model)(self.settings.model_settings(), self.features)
            trainer = self._trainer(again, full=True)
        self._refit(trainer, best)
        return Outcome(checkpoint.snapshot(trainer.model), best, self._record())

    def _select(self, trainer: Trainer, best: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Epochs until validation has not become better for ``patience`` of them."""
        progress, limits = self.progress, self.settings.training
        self.report.phase("select")
        while progress.epoch < limits.epochs and progress.epoch - progress.best_epoch < limits.patience:
            began = time.perf_counter()
            loss = trainer.train_epoch(progress.epoch, self.report.step)
            seconds = time.perf_counter() - began
            measured = validate(trainer.model, self.data, limits.max_clicks)
            progress.epoch += 1
            progress.seconds += seconds
            progress.history.append({"epoch": progress.epoch, "loss": loss, "seconds": seconds, **measured})
            if self._is_best():
                progress.best_epoch = progress.epoch
                best = checkpoint.snapshot(trainer.model)
            self.report.epoch(progress.history[-1])
            checkpoint.save(self.folder, progress, trainer, best)
        return best

    def _is_best(self) -> bool:
        """Whether the last epoch beats all before; without validation examples each one does."""
        values = [record.get(self.settings.training.select_by, 0.0) for record in self.progress.history]
        return len(values) == 1 or values[-1] > max(values[:-1]) or not any(values)

    def _refit(self, trainer: Trainer, best: dict[str, torch.Tensor]) -> None:
        """Train from scratch on everything for the epochs that validation chose."""
        self.report.phase("refit")
        while self.progress.epoch < self.progress.best_epoch:
            began = time.perf_counter()
            loss = trainer.train_epoch(self.progress.epoch, self.report.step)
            self.progress.seconds += time.perf_counter() - began
            self.progress.epoch += 1
            self.report.epoch({"epoch": self.progress.epoch, "loss": loss})
            checkpoint.save(self.folder, self.progress, trainer, best)

    def _trainer(self, model: SessionModel, full: bool) -> Trainer:
        sequences = _with_examples(self.data.sequences(full), self.data)
        return Trainer(model, sequences, self.data.graph(full), self.settings.training)

    def _record(self) -> dict[str, Any]:
        chosen = self.progress.history[self.progress.best_epoch - 1]
        return {
            "history": self.progress.history,
            "epochs": self.progress.best_epoch,
            "validation": {k: v for k, v in chosen.items() if "@" in k},
            "seconds": self.progress.seconds,
        }


def validate(model: SessionModel, data: Dataset, max_clicks: int) -> dict[str, float]:
    """Metrics on validation through the path that serves; empty where there are no examples."""
    examples = data.examples("validation")
    if not len(examples):
        return {}
    device = next(iter(model.state_dict().values())).device
    ranker = Ranker(EagerScorer(model.cpu(), model.hops), ArrayStore(data.graph()), max_clicks)
    ranks = rank_targets(ranker, examples, exclude_clicked=data.kind == "reviews")
    model.to(device)
    return ranks.metrics()


def _count(model: SessionModel, data: Dataset, settings: TrainSettings) -> Outcome:
    """A model without gradients: one pass over the sequences, and one over all where it is refitted."""
    refit = _refits(settings, data)
    began = time.perf_counter()
    sequences = data.sequences()
    model.fit(sequences.items, sequences.offsets)
    measured = validate(model, data, settings.max_clicks)
    record = {"history": [], "epochs": 0, "validation": measured, "seconds": time.perf_counter() - began}
    selection = checkpoint.snapshot(model)
    if not refit:
        return Outcome(selection, None, record)
    sequences = data.sequences(full=True)
    model.fit(sequences.items, sequences.offsets)
    return Outcome(checkpoint.snapshot(model), selection, record)


def _refits(settings: TrainSettings, data: Dataset) -> bool:
    """Whether to train once more on everything: for session files, unless the settings say otherwise."""
    if settings.refit and data.kind != "sessions":
        raise InputError(
            "refit=true needs session files: training on reviews ends where validation begins, "
            "leave out --set refit=true"
        )
    return data.kind == "sessions" if settings.refit is None else settings.refit


def _with_examples(sequences: Sequences, data: Dataset) -> Sequences:
    if len(sequences.items) <= len(sequences):
        raise InputError(
            f"{data.folder} has no training sequence of two clicks: loosen the filters of `srec prepare`"
        )
    return sequences
