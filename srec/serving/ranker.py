"""Sessions of items -> their best items: graph, neighbours, model, top-k; for evaluation and HTTP alike."""

from collections.abc import Iterable, Sequence
from typing import Protocol

import torch
from torch import Tensor, nn

from srec.graph.inputs import ModelInputs, model_inputs
from srec.graph.session import pad_clicks
from srec.stores.base import NeighbourStore
from srec.topk import TopK, top_k


class Scorer(Protocol):
    """A model as it is run: eager, TorchScript, or any other export backend."""

    @property
    def hops(self) -> int:
        """How many hops of neighbours the inputs carry."""

    def scores(self, inputs: ModelInputs) -> Tensor:
        """Raw logits of all items, float32 [B, V], a tensor that the caller may write to."""


class EagerScorer:
    """Runs a model as it was trained."""

    def __init__(self, model: nn.Module, hops: int) -> None:
        """Take a model in any mode; it is put into evaluation mode."""
        self.model = model.eval()
        self.hops = hops

    @torch.inference_mode()
    def scores(self, inputs: ModelInputs) -> Tensor:
        """Raw logits, float32 [B, V]."""
        scores: Tensor = self.model(*inputs)
        return scores


class Ranker:
    """The one path from clicked items to ranked items."""

    def __init__(self, scorer: Scorer, store: NeighbourStore, max_clicks: int) -> None:
        """Put a model and a neighbour store together; the model sees at most ``max_clicks`` newest clicks."""
        self.scorer = scorer
        self.store = store
        self.max_clicks = max_clicks

    @torch.inference_mode()
    def rank(
        self, sessions: Sequence[Sequence[int]], k: int, excluded: Iterable[Sequence[int]] | None = None
    ) -> list[TopK]:
        """Rank all items for each session and keep the k best, exactly.

        Args:
            sessions: known items (1..V), oldest first, at least one each.
            k: how many to keep.
            excluded: for each session the items that must not be answered.
        """
        clicks = pad_clicks(sessions, self.max_clicks)
        scores = self.scorer.scores(model_inputs(clicks, self.store.fetch, self.scorer.hops))
        for row, items in zip(scores, excluded or (), strict=excluded is not None):
            row[torch.tensor(items, dtype=torch.int64) - 1] = -torch.inf
        return top_k(scores, k)
