"""Content of the items beside their rows of the item table: v_i = V[i] + g(content_i).

The item table is parametrised while a model is trained, so that look-ups and scoring both see the sum; any
model with an item table ``items`` takes it. Afterwards the sum is written back as a plain table, and nothing
that serves knows of content.

An item without a training click has no row of its own, v_i = g(content_i). Items are also seen that way at
random in training (as in DropoutNet, Volkovs et al., NeurIPS 2017), so that g learns to stand alone.
"""

import math
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrize

from srec.errors import InputError
from srec.models.base import ItemFeatures, SessionModel

_PARAMETRISED = "items.parametrizations.weight."


class Content(nn.Module):
    """g: tag vectors and the sum of learnable context vectors -> a vector an item."""

    tags: Tensor
    context: Tensor

    def __init__(self, features: ItemFeatures, dim: int, kind: Literal["linear", "mlp"]) -> None:
        """Build with random weights; ``InputError`` where nothing is known of the items."""
        super().__init__()
        if features.tags is None and features.context is None:
            raise InputError(
                f"content={kind} needs metadata, and this DATA has none: prepare it with --games, "
                "or leave out --set content"
            )
        nothing = torch.zeros(features.n_items + 1, 1)
        tags = nothing if features.tags is None else F.normalize(features.tags, dim=-1)
        context = nothing.long() if features.context is None else features.context
        self.register_buffer("tags", tags, persistent=False)
        self.register_buffer("context", context, persistent=False)
        self.values = nn.Embedding(max(features.n_context, 1), dim, padding_idx=0)
        self.of_tags = nn.Linear(tags.size(1), dim, bias=False)
        self.after = nn.Sequential(*([nn.ReLU(), nn.Linear(dim, dim, bias=False)] if kind == "mlp" else []))
        for weights in self.parameters():
            nn.init.uniform_(weights, -1 / math.sqrt(dim), 1 / math.sqrt(dim))
        nn.init.zeros_(self.values.weight[:1])

    def forward(self) -> Tensor:
        """Vectors of all items, [V+1, D]; zeros for padding and for items of which nothing is known."""
        vectors: Tensor = self.after(self.of_tags(self.tags) + self.values(self.context).sum(1))
        return vectors


class ContentTable(nn.Module):
    """The parametrisation of an item table: own rows plus content."""

    clicked: Tensor

    def __init__(self, content: Content, clicked: Tensor, dropout: float) -> None:
        """Take g, which items have training clicks (bool [V+1]), and the share seen without their rows."""
        super().__init__()
        self.content = content
        self.dropout = dropout
        self.register_buffer("clicked", clicked.unsqueeze(1), persistent=False)

    def forward(self, own: Tensor) -> Tensor:
        """Rows [V+1, D] -> rows with content, [V+1, D]."""
        content: Tensor = self.content()
        kept = self.clicked
        if self.training and self.dropout:
            kept = kept & (torch.rand(len(own), 1, device=own.device) >= self.dropout)
        return own * kept + content


def item_tables(model: SessionModel) -> dict[str, nn.Embedding]:
    """Every table with a row an item, [V+1, *], by its name in the model; tag vectors are none."""
    return {
        name: module
        for name, module in model.named_children()
        if isinstance(module, nn.Embedding) and f"{name}.weight" in model.item_rows
    }


def item_weights(model: SessionModel) -> list[Tensor]:
    """All weights with a row an item, [V+1, *], tag vectors, too; with content as the model reads them."""
    names = [name.rpartition(".") for name in model.item_rows]
    owners = [(getattr(model, owner), weight) for owner, _, weight in names]
    return [getattr(owner, weight) for owner, weight in owners if owner is not None]


def item_table(model: SessionModel) -> nn.Embedding:
    """The table that items are scored by, ``items`` [V+1, D]; ``InputError`` where a model has none."""
    tables = item_tables(model)
    if "items" not in tables:
        raise InputError(f"{model.name} has no item table: leave out initial and content")
    return tables["items"]


def add_content(
    model: SessionModel,
    features: ItemFeatures,
    kind: Literal["linear", "mlp"],
    clicked: Tensor,
    dropout: float,
) -> None:
    """Let a model's item table be the sum of its rows and of what g makes of the items' content.

    Args:
        model: freshly built, with an item table.
        features: tags and context of the items.
        kind: g is linear, or an MLP with one hidden layer.
        clicked: which items have training clicks, bool [V+1].
        dropout: share of the items, anew each step, that training sees as content alone.
    """
    table = item_table(model)
    content = Content(features, table.embedding_dim, kind).to(table.weight.device)
    clicked = clicked.to(table.weight.device)
    parametrize.register_parametrization(table, "weight", ContentTable(content, clicked, dropout))


def plain_weights(model: SessionModel) -> dict[str, Tensor]:
    """The weights of the model without content, as if it had been built without: what is served."""
    weights = model.state_dict()
    if not any(name.startswith(_PARAMETRISED) for name in weights):
        return weights
    training = model.training
    model.eval()
    with torch.no_grad():
        table = item_table(model).weight.clone()
    model.train(training)
    return {
        "items.weight": table,
        **{name: tensor for name, tensor in weights.items() if not name.startswith(_PARAMETRISED)},
    }
