"""The loss of one batch: the model's forward pass with all that training adds to it."""

import contextlib
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.utils import parametrize

from srec.graph.inputs import ModelInputs
from srec.models import SessionModel
from srec.models.content import item_weights
from srec.training.auxiliary import Auxiliary
from srec.training.dropout import TableDropout
from srec.training.losses import make_objective
from srec.training.settings import TrainSettings

DTYPES: Final = {"float32": torch.float32, "bfloat16": torch.bfloat16}


@dataclass(frozen=True)
class Batch:
    """What one step learns from.

    Attributes:
        inputs: of the model, B sessions.
        targets: the items that came next, int64 [B].
        indices: which training examples these are, int64 [B].
        share: of the examples of the whole batch, where several processes share it.
        perturbed: inputs of the perturbed sessions, where they are to be like the others.
    """

    inputs: ModelInputs
    targets: Tensor
    indices: NDArray[np.int64]
    share: float = 1.0
    perturbed: ModelInputs | None = None


class StepLoss:
    """Batch -> loss; holds the objective, the dropout of the item table, and the precision."""

    def __init__(
        self,
        model: SessionModel,
        settings: TrainSettings,
        clicks: Tensor,
        auxiliary: Auxiliary | None = None,
    ) -> None:
        """Prepare for a model, the training clicks of its items [V], and heads that learn beside it."""
        self.model, self.auxiliary = model, auxiliary
        self.settings = settings
        cold_items_wait = settings.content != "none"
        self.objective = make_objective(settings, clicks, clicks > 0 if cold_items_wait else None)
        self.dropout = TableDropout(settings.table_dropout, lambda: item_weights(model))
        self.dtype = DTYPES[settings.precision]

    def __call__(self, batch: Batch) -> Tensor:
        """Mean loss over the batch, times its share."""
        with parametrize.cached():
            table = self.model.item_vectors()
            sessions = self._encode(batch.inputs)
            loss = self.objective(sessions.to(self.dtype), table.to(self.dtype), batch.targets - 1)
            if self.auxiliary is not None:
                loss = loss + self.auxiliary(sessions, batch.indices)
            if batch.perturbed is not None:
                apart = 1 - F.cosine_similarity(sessions, self._encode(batch.perturbed)).mean()
                loss = loss + self.settings.consistency * apart
        return loss * batch.share

    def _encode(self, inputs: ModelInputs) -> Tensor:
        """Session vectors, float32 [B, D]."""
        if self.settings.table_dropout:
            self.dropout.renew(len(inputs[0]))
        dropping = self.dropout if self.settings.table_dropout else contextlib.nullcontext()
        casting = torch.autocast(inputs[0].device.type, self.dtype, enabled=self.dtype != torch.float32)
        with dropping, casting:
            return self.model.encode(*inputs).float()
