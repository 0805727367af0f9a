"""One model trained by gradient, epoch by epoch; knows nothing of folders."""

import contextlib
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.utils import parametrize

from srec.data.dataset import Sequences
from srec.errors import DataError
from srec.graph.distinct import distinct_inputs
from srec.graph.inputs import ModelInputs, model_inputs
from srec.graph.neighbours import GlobalGraph
from srec.models import SessionModel
from srec.stores.array import ArrayStore
from srec.training.auxiliary import Auxiliary
from srec.training.averaging import make_averager
from srec.training.batches import PrefixExamples
from srec.training.distributed import Group
from srec.training.perturb import Perturber
from srec.training.schedule import learning_rate
from srec.training.settings import TrainSettings
from srec.training.step import Batch, StepLoss

StepProgress = Callable[[int, int, int, float], None]
"""Called with epoch, step, steps of the epoch, mean loss so far."""


@dataclass(frozen=True)
class AdamState:
    """Moments of Adam by parameter name, and the steps taken."""

    first: dict[str, Tensor]
    second: dict[str, Tensor]
    steps: int


class Trainer:
    """Adam with L2 in the gradient; unless told otherwise, cross-entropy over all items and step decay."""

    def __init__(
        self,
        model: SessionModel,
        sequences: Sequences,
        graph: GlobalGraph,
        settings: TrainSettings,
        group: Group | None = None,
        *,
        auxiliary: Auxiliary | None = None,
    ) -> None:
        """Take a freshly built model, and heads beside it; moved to a GPU where there is one."""
        self.group = group or Group()
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.model = model.to(self.device)
        self.settings = settings
        self.examples = PrefixExamples(sequences, settings.max_clicks)
        self.store = ArrayStore(graph)
        self.auxiliary = None if auxiliary is None else auxiliary.to(self.device)
        heads = auxiliary.named_parameters("auxiliary") if auxiliary is not None else ()
        self.named = {n: p for n, p in (*model.named_parameters(), *heads) if p.requires_grad}
        self.optimizer = torch.optim.Adam(
            self.named.values(), lr=settings.learning_rate, weight_decay=settings.l2, fused=True
        )
        self.steps = self.examples.steps(settings.batch_size)
        clicks = np.bincount(sequences.items, minlength=model.n_items + 1)[1:]
        clicked = torch.from_numpy(clicks).float().to(self.device)
        self.loss = StepLoss(self.model, settings, clicked, self.auxiliary)
        self.averager = make_averager(settings, self.model, self.steps)
        # One mask a session for all look-ups needs them session by session.
        self.by_pairs = model.reads_pairs and model.hops > 0 and not settings.table_dropout

    def train_epoch(self, epoch: int, progress: StepProgress) -> float:
        """Run epoch ``epoch`` (from 0) and return the mean loss; the same epoch always draws the same."""
        total = torch.zeros((), device=self.device)
        for step, loss in enumerate(self.losses(epoch), start=1):
            total += loss
            if step % 20 == 0 or step == self.steps:
                mean = self.group.size * total.item() / step
                progress(epoch, step, self.steps, self._finite(mean, epoch, step))
        self.averager.after_epoch()
        return self.group.sum(total).item() / self.steps

    def losses(self, epoch: int) -> Iterator[Tensor]:
        """Run the epoch step by step, and yield this process's part of each step's loss."""
        seed = self.settings.seed * 10_007 + epoch
        torch.manual_seed(self.group.seed(seed))
        self.model.train()
        for step, batch in enumerate(self._batches(seed), start=1):
            yield self._step(batch, epoch, step)

    @contextlib.contextmanager
    def served(self) -> Iterator[SessionModel]:
        """Lend the model with the weights that would be served: the average, where one is kept."""
        with self.averager.applied(), parametrize.cached():
            yield self.model

    def _step(self, batch: Batch | None, epoch: int, step: int) -> Tensor:
        """One update (from step 1), and this process's part of the loss."""
        rate = learning_rate(self.settings, epoch, step - 1, self.steps, self.settings.epochs)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.zero_grad(set_to_none=True)
        loss = torch.zeros((), device=self.device)
        if batch is not None:
            loss = self.loss(batch)
            loss.backward()  # type: ignore[no-untyped-call]
        self.group.add_gradients(self.named.values())
        self.optimizer.step()
        self.averager.after_step(epoch * self.steps + step)
        return loss.detach()

    def _batches(self, seed: int) -> Iterator[Batch | None]:
        """Batches of an epoch, this process's part of each; None where nothing is left for it."""
        perturb = Perturber(self.settings, self.group.seed(seed)) if self.settings.perturb else None
        for whole in self.examples.epoch(self.settings.batch_size, seed):
            indices = self.group.share(whole)
            if not len(indices):
                yield None
                continue
            clicks, targets = self.examples.batch(indices)
            copies = None if perturb is None else perturb(clicks, self.examples.times_of(indices))
            gaps = self.examples.gaps(indices) if self.model.reads_times else None
            beside = copies is not None and self.settings.consistency > 0
            yield Batch(
                self._inputs(clicks if copies is None or beside else copies, gaps),
                torch.from_numpy(targets).to(self.device, non_blocking=True),
                indices,
                len(indices) / len(whole),
                self._inputs(copies) if copies is not None and beside else None,
            )

    def _inputs(self, clicks: NDArray[np.int64], gaps: NDArray[np.float32] | None = None) -> ModelInputs:
        if self.by_pairs:
            inputs = distinct_inputs(clicks, self.store.fetch, self.model.hops)
        else:
            inputs = model_inputs(clicks, self.store.fetch, self.model.hops, gaps)
        return tuple(part.to(self.device, non_blocking=True) for part in inputs)

    def _finite(self, loss: float, epoch: int, step: int) -> float:
        if not math.isfinite(loss):
            raise DataError(
                f"the loss became {loss} in epoch {epoch + 1}, step {step}: "
                f"lower --set learning_rate={self.settings.learning_rate}"
            )
        return loss

    def optimizer_state(self) -> AdamState:
        """What must be kept beside the weights to go on after an interruption."""
        states = {name: self.optimizer.state[parameter] for name, parameter in self.named.items()}
        steps = {int(state["step"]) for state in states.values()}
        return AdamState(
            {name: state["exp_avg"] for name, state in states.items()},
            {name: state["exp_avg_sq"] for name, state in states.items()},
            max(steps, default=0),
        )

    def restore_optimizer(self, state: AdamState) -> None:
        """Put back what ``optimizer_state`` gave."""
        for name, parameter in self.named.items():
            self.optimizer.state[parameter] = {
                "step": torch.tensor(float(state.steps), device=self.device),
                "exp_avg": state.first[name].to(self.device),
                "exp_avg_sq": state.second[name].to(self.device),
            }
