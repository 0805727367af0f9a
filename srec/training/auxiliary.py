"""Auxiliary losses on the session vector: guides beside the next click, for any model with such a vector.

Linear heads read from it how long the session becomes, whether its next click comes within a day, and the
category of the next item (multi-task learning, Caruana, 1997). They are trained with the model and thrown
away: the model that is served does not know of them.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from srec.data.dataset import Dataset, Sequences
from srec.errors import InputError
from srec.models import SessionModel
from srec.training.batches import PrefixExamples
from srec.training.options import AuxiliaryOptions

DAY: Final = 86_400
LENGTH, RETURN, CATEGORY = "length", "return", "category"
UNKNOWN = -1


@dataclass(frozen=True)
class Labels:
    """What the heads learn of every training example, in the order of ``PrefixExamples``.

    Attributes:
        log_lengths: of the whole sessions, float32 [E].
        returns: 1 where the target was clicked within a day of the click before, else 0, float32 [E].
        categories: of the targets, int64 [E], -1 where unknown.
        n_categories: how many there are.
    """

    log_lengths: Tensor | None = None
    returns: Tensor | None = None
    categories: Tensor | None = None
    n_categories: int = 0


class Auxiliary(nn.Module):
    """The heads that have a weight, and their losses."""

    def __init__(self, dim: int, options: AuxiliaryOptions, labels: Labels) -> None:
        """Build heads for session vectors of width ``dim``."""
        super().__init__()
        self.labels = labels
        known = {
            LENGTH: (options.auxiliary_length, 1),
            RETURN: (options.auxiliary_return, 1),
            CATEGORY: (options.auxiliary_category, labels.n_categories),
        }
        self.weights = {name: weight for name, (weight, _) in known.items() if weight}
        self.heads = nn.ModuleDict({name: nn.Linear(dim, known[name][1]) for name in self.weights})

    def forward(self, sessions: Tensor, indices: NDArray[np.int64]) -> Tensor:
        """The weighted sum of the losses: session vectors [B, D] of examples [B] -> []."""
        losses = self.losses(sessions, indices)
        return torch.stack([weight * losses[name] for name, weight in self.weights.items()]).sum()

    def losses(self, sessions: Tensor, indices: NDArray[np.int64]) -> dict[str, Tensor]:
        """The mean loss of each head over the examples whose label is known."""
        chosen = torch.from_numpy(indices)
        losses = {}
        for name, head in self.heads.items():
            of_name = {LENGTH: self.labels.log_lengths, RETURN: self.labels.returns}
            labels = of_name.get(name, self.labels.categories)
            if labels is None:
                raise ValueError(f"the head {name} has no labels")
            losses[name] = _loss(name, head(sessions).float(), labels[chosen].to(sessions.device))
        return losses


def _loss(name: str, answered: Tensor, labels: Tensor) -> Tensor:
    if name == LENGTH:
        return F.mse_loss(answered.squeeze(1), labels)
    if name == RETURN:
        return F.binary_cross_entropy_with_logits(answered.squeeze(1), labels)
    total = F.cross_entropy(answered, labels, ignore_index=UNKNOWN, reduction="sum")
    return total / (labels != UNKNOWN).sum().clamp(min=1)


def make_auxiliary(
    model: SessionModel, data: Dataset, sequences: Sequences, options: AuxiliaryOptions
) -> Auxiliary | None:
    """The heads that the options ask for; None where they ask for none.

    ``InputError`` where DATA lacks what a head learns from.
    """
    if not any((options.auxiliary_length, options.auxiliary_return, options.auxiliary_category)):
        return None
    labels = _labels(data, sequences, options)
    return Auxiliary(model.item_vectors().size(1), options, labels)


def _labels(data: Dataset, sequences: Sequences, options: AuxiliaryOptions) -> Labels:
    targets = PrefixExamples(sequences, max_clicks=1).targets
    lengths = np.diff(sequences.offsets)
    log_lengths = np.log(np.repeat(lengths, np.maximum(lengths - 1, 0))).astype(np.float32)
    returns = categories = None
    count = 0
    if options.auxiliary_return:
        if sequences.times is None:
            raise ValueError("these sequences were read without times")
        within = np.diff(sequences.times, prepend=sequences.times[:1])[targets] <= DAY
        returns = torch.from_numpy(within.astype(np.float32))
    if options.auxiliary_category:
        of_item, count = item_categories(data)
        categories = torch.from_numpy(of_item[sequences.items[targets]])
    return Labels(torch.from_numpy(log_lengths), returns, categories, count)


def item_categories(data: Dataset) -> tuple[NDArray[np.int64], int]:
    """The category of every item, int64 [V+1], -1 where unknown, and how many there are.

    It is the first genre, or the first tag where there is no genre. ``InputError`` where no item has one.
    """
    names = _first_names(data.items) if data.has_metadata else [None] * data.n_items
    known = sorted({name for name in names if name is not None})
    if not known:
        raise InputError(
            "auxiliary_category needs genres or tags, and this DATA has none: prepare it with --games, "
            "or leave out --set auxiliary_category"
        )
    number = {name: index for index, name in enumerate(known)}
    of_item = [UNKNOWN, *(UNKNOWN if name is None else number[name] for name in names)]
    return np.array(of_item, np.int64), len(known)


def _first_names(items: pa.Table) -> list[str | None]:
    pairs = zip(items["genres"].to_pylist(), items["tags"].to_pylist(), strict=True)
    return [next(iter([*(genres or ()), *(tags or ())]), None) for genres, tags in pairs]
