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
from srec.training.auxiliary import make_auxiliary
from srec.training.checkpoint import Progress
from srec.training.distributed import Group
from srec.training.features import item_features
from srec.training.loop import Trainer
from srec.training.repeats import fit_repeats, fitted
from srec.training.run import Outcome, Run, write_run
from srec.training.settings import RunSettings, TrainSettings
from srec.training.start import new_model
from srec.training.times import reads_times
from srec.training.warm import WarmStart


class Report(Protocol):
    """Who is told how training goes."""

    def step(self, epoch: int, step: int, steps: int, loss: float) -> None:
        """Some steps of an epoch are done."""

    def epoch(self, record: dict[str, Any]) -> None:
        """An epoch is done and was measured on validation."""

    def phase(self, name: str) -> None:
        """A phase of the work begins."""


class Silence:
    """A report that nobody hears: of all processes but the first."""

    def step(self, epoch: int, step: int, steps: int, loss: float) -> None:
        """Say nothing."""

    def epoch(self, record: dict[str, Any]) -> None:
        """Say nothing."""

    def phase(self, name: str) -> None:
        """Say nothing."""


def train(
    data: Dataset,
    settings: RunSettings,
    out: Path,
    *,
    resume: bool,
    report: Report,
    earlier: Run | None = None,
    group: Group | None = None,
) -> None:
    """Train one model and write RUN; what was at ``out`` stays until the new run is complete.

    Args:
        data: what to learn from.
        settings: all that decides the run.
        out: folder of the new run.
        resume: go on where an interrupted training stood.
        report: who is told how it goes.
        earlier: a run to start from instead of random weights; games are matched by appid.
        group: the processes that train together; None: this one alone.
    """
    RUN.check_target(out)
    warm = None if earlier is None else WarmStart(earlier, data)
    features = item_features(data, settings)
    if not model_class(settings.model).trained_by_gradient:
        if warm is not None:
            raise InputError(f"{settings.model} counts anew and starts from no run: leave out --from")
        torch.manual_seed(settings.training.seed)
        model = model_class(settings.model)(settings.model_settings(), features)
        write_run(out, settings, data, features, _count(model, data, settings.training))
        return
    if warm is not None:
        warm.check(settings)
        features = warm.features(features)
    group = group or Group()
    folder = out.with_name(f".{out.name}.training")
    work = _Training(data, settings, features, folder, report=report, group=group, warm=warm)
    outcome = work.outcome(resume)
    if group.first:
        write_run(out, settings, data, features, outcome)
        shutil.rmtree(folder)
    group.wait()


class _Training:
    """The two phases of one training and its checkpoint."""

    def __init__(
        self,
        data: Dataset,
        settings: RunSettings,
        features: ItemFeatures,
        folder: Path,
        *,
        report: Report,
        group: Group,
        warm: WarmStart | None,
    ) -> None:
        self.data, self.settings, self.features = data, settings, features
        self.folder, self.report, self.group, self.warm = folder, report, group, warm
        begun = warm.digest if warm else None
        self.progress = Progress(settings.model_dump(mode="json"), data.digest, begun)
        self.refit = _refits(settings.training, data)

    def outcome(self, resume: bool) -> Outcome:
        found = checkpoint.load(self.folder, self.progress) if resume else None
        self.group.wait()
        if not resume and self.group.first:
            shutil.rmtree(self.folder, ignore_errors=True)
        self.progress = found or self.progress
        trainer = self._trainer(full=self.progress.phase == "refit")
        best = checkpoint.restore(self.folder, trainer) if found else checkpoint.snapshot(trainer.model)
        if self.progress.phase == "select":
            best = self._select(trainer, best)
        if not self.refit:
            return Outcome(best, None, self._record())
        if self.progress.phase == "select":
            self.progress.phase, self.progress.epoch = "refit", 0
            trainer = self._trainer(full=True)
        self._refit(trainer, best)
        with trainer.served() as model:
            return Outcome(fitted(checkpoint.snapshot(model), best), best, self._record())

    def _select(self, trainer: Trainer, best: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Epochs until validation has not become better for ``patience`` of them."""
        progress, limits = self.progress, self.settings.training
        self.report.phase("select")
        while progress.epoch < limits.epochs and progress.epoch - progress.best_epoch < limits.patience:
            began = time.perf_counter()
            loss = trainer.train_epoch(progress.epoch, self.report.step)
            seconds = time.perf_counter() - began
            with trainer.served() as model:
                measured = self._measure(model)
                weights = checkpoint.snapshot(model)
            progress.epoch += 1
            progress.seconds += seconds
            progress.history.append({"epoch": progress.epoch, "loss": loss, "seconds": seconds, **measured})
            if self._is_best():
                progress.best_epoch = progress.epoch
                best = weights
            self._keep(progress.history[-1], trainer, best)
        return best

    def _measure(self, model: SessionModel) -> dict[str, float]:
        """Validation, by process 0 for all; what clicked items gain is fitted before."""
        found, max_clicks = None, self.settings.training.max_clicks
        if self.group.first:
            _fit(model, self.data, max_clicks)
            found = validate(model, self.data, max_clicks)
        measured: dict[str, float] = self.group.told(found)
        return measured

    def _keep(self, record: dict[str, Any], trainer: Trainer, best: dict[str, torch.Tensor]) -> None:
        """Tell of an epoch, then write the checkpoint."""
        if self.group.first:
            self.report.epoch(record)
            checkpoint.save(self.folder, self.progress, trainer, best)

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
            self._keep({"epoch": self.progress.epoch, "loss": loss}, trainer, best)

    def _trainer(self, full: bool) -> Trainer:
        """A new model, and what trains it; ``full``: on validation, too."""
        settings, timed = self.settings.training, reads_times(self.settings, self.data)
        sequences = _with_examples(self.data.sequences(full, timed), self.data)
        model = new_model(self.settings, self.features, sequences, self.warm, selection=not full)
        heads = make_auxiliary(model, self.data, sequences, settings)
        return Trainer(model, sequences, self.data.graph(full), settings, self.group, auxiliary=heads)

    def _record(self) -> dict[str, Any]:
        chosen = self.progress.history[self.progress.best_epoch - 1]
        return {
            "history": self.progress.history,
            "epochs": self.progress.best_epoch,
            "validation": {k: v for k, v in chosen.items() if "@" in k},
            "seconds": self.progress.seconds,
            **({"from": self.warm.digest} if self.warm else {}),
        }


def validate(model: SessionModel, data: Dataset, max_clicks: int) -> dict[str, float]:
    """Metrics on validation through the path that serves; empty where there are no examples."""
    examples = data.examples("validation", times=model.needs_times)
    if not len(examples):
        return {}
    device = next(iter(model.state_dict().values())).device
    ranker = Ranker(EagerScorer(model.cpu(), model.hops), ArrayStore(data.graph()), max_clicks)
    ranks = rank_targets(ranker, examples, exclude_clicked=data.kind == "reviews")
    model.to(device)
    return ranks.metrics()


def _fit(model: SessionModel, data: Dataset, max_clicks: int) -> None:
    """Fit what clicked items gain, where the model has it and clicked items may be answered."""
    if model.repeats is None or data.kind == "reviews":
        return
    device = next(iter(model.state_dict().values())).device
    examples = data.examples("validation", times=model.needs_times)
    fit_repeats(model.cpu(), examples, ArrayStore(data.graph()), max_clicks)
    model.to(device)


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
        remedy = "give more sessions" if data.kind == "sessions" else "loosen the filters"
        raise InputError(f"{data.folder} has no training sequence of two clicks: {remedy} and prepare again")
    return sequences
