"""One model trained by gradient, epoch by epoch; knows nothing of folders."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from srec.data.dataset import Sequences
from srec.errors import DataError
from srec.graph.inputs import model_inputs
from srec.graph.neighbours import GlobalGraph
from srec.models import SessionModel
from srec.stores.array import ArrayStore
from srec.training.batches import PrefixExamples
from srec.training.settings import TrainSettings
from srec.training.softmax import full_softmax_loss

StepProgress = Callable[[int, int, int, float], None]
"""Called with epoch, step, steps of the epoch, mean loss so far."""


@dataclass(frozen=True)
class AdamState:
    """Moments of Adam by parameter name, and the steps taken."""

    first: dict[str, Tensor]
    second: dict[str, Tensor]
    steps: int


class Trainer:
    """Cross-entropy over all items, Adam with L2 in the gradient, step decay: the papers' recipe."""

    def __init__(
        self, model: SessionModel, sequences: Sequences, graph: GlobalGraph, settings: TrainSettings
    ) -> None:
        """Take a freshly built model; it is moved to a GPU where there is one."""
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.model = model.to(self.device)
        self.settings = settings
        self.examples = PrefixExamples(sequences, settings.max_clicks)
        self.store = ArrayStore(graph)
        self.named = {name: p for name, p in model.named_parameters() if p.requires_grad}
        self.optimizer = torch.optim.Adam(
            self.named.values(), lr=settings.learning_rate, weight_decay=settings.l2, fused=True
        )
        self.steps = self.examples.steps(settings.batch_size)

    def train_epoch(self, epoch: int, progress: StepProgress) -> float:
        """Run epoch ``epoch`` (from 0) and return the mean loss; the same epoch always draws the same."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.settings.learning_rate * self.settings.decay ** (
                epoch // self.settings.decay_every
            )
        seed = self.settings.seed * 10_007 + epoch
        torch.manual_seed(seed)
        self.model.train()
        total = torch.zeros((), device=self.device)
        for step, (inputs, targets) in enumerate(self._batches(seed), start=1):
            self.optimizer.zero_grad(set_to_none=True)
            loss = full_softmax_loss(self.model.encode(*inputs), self.model.item_vectors(), targets - 1)
            loss.backward()  # type: ignore[no-untyped-call]
            self.optimizer.step()
            total += loss.detach()
            if step % 20 == 0 or step == self.steps:
                progress(epoch, step, self.steps, self._finite(total.item() / step, epoch, step))
        return total.item() / self.steps

    def _batches(self, seed: int) -> Iterator[tuple[tuple[Tensor, ...], Tensor]]:
        for indices in self.examples.epoch(self.settings.batch_size, seed):
            clicks, targets = self.examples.batch(indices)
            inputs = model_inputs(clicks, self.store.fetch, self.model.hops)
            yield (
                tuple(part.to(self.device, non_blocking=True) for part in inputs),
                torch.from_numpy(targets).to(self.device, non_blocking=True),
            )

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
