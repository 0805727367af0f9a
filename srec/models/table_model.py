"""Models that know an item by its row of one table, and the session by its clicks alone."""

import math
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from srec.models.base import ItemFeatures, SessionModel
from srec.models.scoring import ScoringSettings


class TableModel(SessionModel):
    """Base of models without neighbours and metadata; a model defines ``session``, an additive one ``terms``.

    Session vectors come from rows of ``looked_up``, scores from rows of ``items``, the same table unless the
    model says otherwise. So an export can keep both outside the encoder, for all workers to share.
    """

    Settings: ClassVar[type[ScoringSettings]] = ScoringSettings
    item_rows: ClassVar[tuple[str, ...]] = ("items.weight",)
    settings: ScoringSettings

    def __init__(self, settings: ScoringSettings, features: ItemFeatures, dim: int) -> None:
        """Make the item table, ``dim`` wide."""
        super().__init__(settings, features)
        self.settings = settings
        self.items = nn.Embedding(features.n_items + 1, dim, padding_idx=0)
        self.repeats = settings.bonus(features.max_clicks)

    @property
    def looked_up(self) -> Tensor:
        """The table whose rows stand for clicks, float32 [V+1, E]; row 0 is padding."""
        return self.items.weight

    def session(self, h: Tensor, alias: Tensor, edges: Tensor, lengths: Tensor) -> Tensor:
        """Session vectors [B, D] not yet scaled, from rows of ``looked_up`` at the nodes [B, N, E]."""
        raise TypeError(f"{type(self).__name__} does not define session()")

    def terms(self, h: Tensor, alias: Tensor, edges: Tensor, lengths: Tensor) -> Tensor:
        """What each click adds to ``session``, [B, L, D]."""
        raise TypeError(f"a session vector of {type(self).__name__} is no sum over clicks")

    def encode(self, nodes: Tensor, alias: Tensor, edges: Tensor, lengths: Tensor, *rows: Tensor) -> Tensor:
        """Session vectors, float32 [B, D]."""
        h = F.embedding(nodes, self.looked_up, padding_idx=0)
        return self.settings.sessions(self.session(h, alias, edges, lengths))

    def parts(self, nodes: Tensor, alias: Tensor, edges: Tensor, lengths: Tensor, *rows: Tensor) -> Tensor:
        """What each click adds to the session vector, float32 [B, L, D]."""
        h = F.embedding(nodes, self.looked_up, padding_idx=0)
        return self.settings.parts(self.terms(h, alias, edges, lengths))

    def item_vectors(self) -> Tensor:
        """The item table without padding, [V, D]; rows of length 1 with cosine scoring."""
        return self.settings.items(self.items.weight[1:])

    def draw_uniform(self, width: int) -> None:
        """Draw all weights from U(-1/sqrt(width), 1/sqrt(width)); padding stays zero."""
        bound = 1 / math.sqrt(width)
        with torch.no_grad():
            for weights in self.parameters():
                weights.uniform_(-bound, bound)
            for module in self.modules():
                if isinstance(module, nn.Embedding):
                    module.weight[0] = 0
