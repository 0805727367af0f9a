"""Models rearranged for speed: what depends on one item alone is computed at export and kept in tables.

A folded model answers as the model does, up to the order of float32 additions; ``export.proof`` checks it.
Every ``TableModel`` is folded here; another takes a file with a ``FoldedModel`` and a line of ``FOLDED``.
"""

import importlib
from typing import Final, Protocol, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from srec.models import SessionModel
from srec.models.scoring import SHORTEST
from srec.models.table_model import TableModel
from srec.script import script


class FoldedModel(Protocol):
    """An encoder whose tables lie outside, so that all workers of a host share one copy of them.

    Called with what ``export.fast.gather`` looks up in its tables.

    Attributes:
        tables: float32 [V+1, D] each: ``items``, what is scored and looked up for nodes and neighbours;
            ``clicked``, what is looked up for nodes where that is another table; ``own``, the part of an
            item's own vector in the global aggregator; ``side``, of tags and context. ``norms`` [V] where
            items are scored by their direction alone. ``lone.*`` of any shape where the model has an encoder
            for one session (``export.fast.LONE``).
    """

    tables: dict[str, Tensor]

    def eval(self) -> nn.Module:
        """Put the module into evaluation mode and return it."""

    def forward(self, *rows: Tensor) -> Tensor:
        """Session vectors, float32 [B, D]."""

    def parts(self, *rows: Tensor) -> Tensor:
        """What each click adds to the session vector, float32 [B, L, D]."""


FOLDED: Final = {"gce-gnn": "srec.export.fold_gce_gnn"}


def fold(model: SessionModel) -> FoldedModel | None:
    """Fold a trained model; None where there is no other form of it."""
    if isinstance(model, TableModel) and not model.hops:
        return FoldedTable(model)
    if model.name not in FOLDED:
        return None
    return cast(FoldedModel, importlib.import_module(FOLDED[model.name]).FOLDED(model))


class FoldedTable(nn.Module):
    """The encoder of a model that knows an item by its row of a table, without its tables.

    Called with (alias, edges, lengths, rows of ``clicked`` or ``items`` at the nodes).
    """

    def __init__(self, model: TableModel) -> None:
        super().__init__()
        self.model = model
        items, clicked = model.items.weight, model.looked_up
        self.tables = {"items": items.detach()}
        if clicked is not items:
            self.tables["clicked"] = clicked.detach()
        if model.settings.scoring == "cosine":
            self.tables["norms"] = items.detach()[1:].norm(dim=1).clamp(min=SHORTEST)

    def forward(self, *rows: Tensor) -> Tensor:
        """Session vectors, float32 [B, D]."""
        alias, edges, lengths, h = rows
        return self.model.settings.sessions(self.model.session(h, alias, edges, lengths))

    def parts(self, *rows: Tensor) -> Tensor:
        """What each click adds to the session vector, float32 [B, L, D]."""
        alias, edges, lengths, h = rows
        return self.model.settings.parts(self.model.terms(h, alias, edges, lengths))


class Unfolded(nn.Module):
    """A model's own encoder, with the scored table outside; takes ``model_inputs`` as they are."""

    def __init__(self, model: SessionModel) -> None:
        super().__init__()
        self.model = model
        vectors = model.item_vectors().detach()
        self.tables = {"items": F.pad(vectors, (0, 0, 1, 0))}

    def forward(self, *inputs: Tensor) -> Tensor:
        """Session vectors, float32 [B, D]."""
        return self.model.encode(*inputs)

    def parts(self, *inputs: Tensor) -> Tensor:
        """What each click adds to the session vector, float32 [B, L, D]."""
        return self.model.parts(*inputs)


@script  # a trace would keep one branch for all shapes
def _linear(x: Tensor, weight: Tensor, turned: Tensor) -> Tensor:
    """Multiply by the library that is faster for that many rows."""
    if x.size(0) < 8:
        return x @ turned
    return torch.ops.mkldnn._linear_pointwise(x, weight, None, "none", [], "")  # type: ignore[no-any-return]


class Linear(nn.Module):
    """x W^T without bias, by the library that is faster for the number of rows.

    With AVX-512, oneDNN takes half of MKL's time for many rows and more for a few. For these MKL reads the
    weights the other way round: they come from far caches, and in that order they come sooner.
    """

    weight: Tensor
    turned: Tensor

    def __init__(self, weight: Tensor) -> None:
        """Take weights [out, in]."""
        super().__init__()
        self.register_buffer("weight", weight.detach().contiguous())
        self.register_buffer("turned", weight.detach().t().contiguous())

    def forward(self, x: Tensor) -> Tensor:
        """[n, in] -> [n, out]."""
        return _linear(x, self.weight, self.turned)
