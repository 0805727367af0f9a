"""Sessions of items -> their best items: graph, neighbours, model, top-k; for evaluation and HTTP alike."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from srec.graph.inputs import ModelInputs, model_inputs
from srec.graph.session import pad_clicks
from srec.serving.stages import GRAPH, MODEL, STORE, TOP_K, Stages
from srec.stores.base import NeighbourStore, Rows
from srec.topk import Selection, TopK, select


class Scorer(Protocol):
    """A model as it is run: eager, TorchScript, or any other export backend."""

    @property
    def hops(self) -> int:
        """How many hops of neighbours the inputs carry."""

    def scores(self, inputs: ModelInputs) -> Tensor:
        """Raw logits of all items, float32 [B, V], a tensor that the caller may write to."""

    def best(self, inputs: ModelInputs, selections: Sequence[Selection], stages: Stages) -> list[TopK]:
        """Answer each session with its best items, exactly; laps of model and top-k go to ``stages``."""


class DenseScorer:
    """Base of scorers that find the best items by scoring all of them."""

    hops: int

    def scores(self, inputs: ModelInputs) -> Tensor:
        """Raw logits, float32 [B, V]."""
        raise NotImplementedError

    def best(self, inputs: ModelInputs, selections: Sequence[Selection], stages: Stages) -> list[TopK]:
        """Score everything, then select."""
        scores = self.scores(inputs)
        stages.lap(MODEL)
        found = select(scores, selections)
        stages.lap(TOP_K)
        return found


class EagerScorer(DenseScorer):
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
        self.stages = Stages()

    @torch.inference_mode()
    def rank(self, sessions: Sequence[Sequence[int]], selections: Sequence[Selection]) -> list[TopK]:
        """Rank all items for each session and keep the best, exactly.

        Args:
            sessions: known items (1..V), oldest first, at least one each.
            selections: one a session.
        """
        self.stages.start()
        clicks = pad_clicks(sessions, self.max_clicks)
        inputs = model_inputs(clicks, self._fetch, self.scorer.hops)
        self.stages.lap(GRAPH)
        return self.scorer.best(inputs, selections, self.stages)

    def rank_all(self, sessions: Sequence[Sequence[int]], k: int) -> list[TopK]:
        """Keep the k best of each session, nothing left out."""
        return self.rank(sessions, [Selection(k)] * len(sessions))

    def _fetch(self, items: NDArray[np.int32]) -> Rows:
        self.stages.lap(GRAPH)
        rows = self.store.fetch(items)
        self.stages.lap(STORE)
        return rows
