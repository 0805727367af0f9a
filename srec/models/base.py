"""What every session model is: clicks' tensors in, one score an item out."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict
from torch import Tensor, nn

from srec.models.repeats import RepeatBonus

LEAST_COUNT = 1e-12  # stands for a count of nothing, whose logarithm would not be finite


class ModelSettings(BaseModel):
    """A model's own parameters; each model extends it. Unknown keys and values out of bounds are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid")


@dataclass(frozen=True)
class ItemFeatures:
    """What is known of the items besides clicks; None where DATA has no metadata.

    Attributes:
        n_items: number of items V.
        max_clicks: newest clicks of a session that the model sees, L at most.
        tags: tag vectors, float32 [V+1, T], row 0 is zeros.
        context: indices into one table of context values, int64 [V+1, C], 0 where unknown.
        n_context: rows of that table.
    """

    n_items: int
    max_clicks: int
    tags: Tensor | None = None
    context: Tensor | None = None
    n_context: int = 0


class SessionModel(nn.Module):
    """Base of the models, built as ``Model(settings, features)``.

    ``forward`` takes the tensors of ``srec.graph.inputs.model_inputs``. A model that is trained by gradient
    defines ``encode`` and ``item_vectors``; one that only counts defines ``forward`` and ``fit``.
    """

    Settings: ClassVar[type[ModelSettings]] = ModelSettings
    name: ClassVar[str]
    trained_by_gradient: ClassVar[bool] = True
    additive: ClassVar[bool] = False
    """Whether a session's vector is a sum over its clicks, whose terms ``parts`` gives."""

    sized_by_data: ClassVar[tuple[str, ...]] = ()
    """Buffers whose shapes ``fit`` decides: loading a state takes them in the state's shapes."""

    item_rows: ClassVar[tuple[str, ...]] = ()
    """Weights with a row an item, [V+1, *], by their names; one that the settings leave out is lacking."""

    hops: int = 0
    """How far the model looks into the global graph."""

    reads_pairs: ClassVar[bool] = False
    """Whether ``encode`` takes the inputs of ``srec.graph.distinct``, too: training then gives it those."""

    reads_times: bool = False
    """Whether training gives it the gaps between the clicks, as the last of ``rows``."""

    needs_times: bool = False
    """Whether it cannot do without them: such a model answers no request, since requests carry no times."""

    def __init__(self, settings: ModelSettings, features: ItemFeatures) -> None:
        super().__init__()
        self.settings = settings
        self.n_items = features.n_items
        self.repeats: RepeatBonus | None = None
        self.register_load_state_dict_pre_hook(_take_shapes)  # type: ignore[no-untyped-call]

    @property
    def scores_by_product(self) -> bool:
        """Whether scores are products of ``encode`` with the table of ``item_vectors``."""
        return type(self).item_vectors is not SessionModel.item_vectors

    def forward(self, nodes: Tensor, alias: Tensor, edges: Tensor, lengths: Tensor, *rows: Tensor) -> Tensor:
        """Score all items: raw logits, float32 [B, V]; column i is item i + 1."""
        products = self.encode(nodes, alias, edges, lengths, *rows) @ self.item_vectors().T
        return self.raised(products, nodes, alias, lengths)

    def encode(self, nodes: Tensor, alias: Tensor, edges: Tensor, lengths: Tensor, *rows: Tensor) -> Tensor:
        """Session vectors, float32 [B, D], ready for the dot product with ``item_vectors``."""
        raise TypeError(f"{type(self).__name__} defines neither encode() nor forward()")

    def item_vectors(self) -> Tensor:
        """The item table as scored, float32 [V, D]; row i is item i + 1."""
        raise TypeError(f"{type(self).__name__} defines neither item_vectors() nor forward()")

    def raised(self, products: Tensor, nodes: Tensor, alias: Tensor, lengths: Tensor) -> Tensor:
        """Products of session and item vectors [B, V] -> scores, with what clicked items gain."""
        if self.repeats is None:
            return products
        return self.repeats.raised(products, nodes, alias, lengths)

    def log_scores(self, scores: Tensor) -> Tensor:
        """Scores [B, V] on the scale of logits, for blends: of counts, which are not negative, the logarithm.

        A blend's ``softmax(sharpness * log_scores)`` is then a model's own distribution, or counts to the
        power of ``sharpness`` divided by their sum.
        """
        return scores if self.trained_by_gradient else scores.clamp(min=LEAST_COUNT).log()

    def parts(self, nodes: Tensor, alias: Tensor, edges: Tensor, lengths: Tensor, *rows: Tensor) -> Tensor:
        """What each click adds to the session vector, float32 [B, L, D]; the sum over L is ``encode``."""
        raise TypeError(f"a session vector of {type(self).__name__} is no sum over clicks")

    def shares(
        self, items: Tensor, nodes: Tensor, alias: Tensor, edges: Tensor, lengths: Tensor, *rows: Tensor
    ) -> Tensor:
        """Split scores by clicks: items int64 [B, n] -> float32 [B, n, L]; the sum over L is the score."""
        vectors = self.item_vectors()[items - 1]  # [B, n, D]
        shares = vectors @ self.parts(nodes, alias, edges, lengths, *rows).transpose(1, 2)
        return self.shared(shares, items, nodes, alias, lengths)

    def shared(self, shares: Tensor, items: Tensor, nodes: Tensor, alias: Tensor, lengths: Tensor) -> Tensor:
        """Shares in the products for ``items``, [B, n, L] -> in the scores, with what clicked items gain."""
        if self.repeats is None:
            return shares
        return self.repeats.shared(shares, items, nodes, alias, lengths)

    def fit(self, items: NDArray[np.int32], offsets: NDArray[np.int64]) -> None:
        """Count what there is to count in the training sequences.

        Args:
            items: all sequences end to end, int32 [clicks].
            offsets: where each sequence starts, and the end of the last, int64 [S+1].
        """
        raise TypeError(f"{type(self).__name__} is trained by gradient")


def _take_shapes(model: SessionModel, state: dict[str, Any], prefix: str, *_: Any) -> None:
    """Before a state is loaded: give the buffers that data sizes the state's shapes."""
    for name in model.sized_by_data:
        if (saved := state.get(prefix + name)) is not None:
            setattr(model, name, torch.empty_like(saved))
