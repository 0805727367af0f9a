"""What GCE-GNN's attention may know of a click's item besides its vector: tags and context."""

import torch.nn.functional as F
from torch import Tensor, nn

from srec.errors import InputError
from srec.models.base import ItemFeatures

_NO_METADATA = (
    "{what}=true needs metadata, and this DATA has none: prepare it with --games, "
    "use --preset paper or best, or add --set {what}=false"
)


class TagEmbedding(nn.Module):
    """The factors of the tag matrix, rows of length 1 (or 0 where a game has no tags)."""

    def __init__(self, factors: Tensor, trainable: bool) -> None:
        super().__init__()
        self.width = factors.size(1)
        self.factors = nn.Parameter(F.normalize(factors, dim=-1), requires_grad=trainable)

    def forward(self, items: Tensor) -> Tensor:
        """Items [B, L] -> [B, L, T]."""
        return F.embedding(items, self.factors)


class ContextEmbedding(nn.Module):
    """One learnable vector a context value; an item's vector is the sum over its values."""

    indices: Tensor

    def __init__(self, indices: Tensor, n_values: int, dim: int) -> None:
        super().__init__()
        self.width = dim
        self.register_buffer("indices", indices)
        self.values = nn.Embedding(n_values, dim)

    def forward(self, items: Tensor) -> Tensor:
        """Items [B, L] -> [B, L, D]."""
        indices = self.indices[items]  # [B, L, C]
        known = (indices > 0).unsqueeze(-1)  # [B, L, C, 1]
        vectors: Tensor = self.values(indices) * known  # [B, L, C, D]
        return vectors.sum(2)


def tag_table(wanted: bool, trainable: bool, features: ItemFeatures) -> TagEmbedding | None:
    """The table of tag vectors, where it is wanted; ``InputError`` where there are no tags."""
    if not wanted:
        return None
    if features.tags is None:
        raise InputError(_NO_METADATA.format(what="tags"))
    return TagEmbedding(features.tags, trainable)


def context_table(wanted: bool, dim: int, features: ItemFeatures) -> ContextEmbedding | None:
    """The table of context vectors, where it is wanted; ``InputError`` where there is no context."""
    if not wanted:
        return None
    if features.context is None:
        raise InputError(_NO_METADATA.format(what="context"))
    return ContextEmbedding(features.context, features.n_context, dim)
