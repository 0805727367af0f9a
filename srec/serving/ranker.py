"""Sessions of items -> their best items: graph, neighbours, model, top-k; for evaluation and HTTP alike."""

from collections.abc import Callable, Sequence
from typing import Protocol, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from srec.graph.inputs import LoneInputs, ModelInputs, batch_of_one, lone_inputs, model_inputs
from srec.graph.session import pad_clicks, pad_gaps
from srec.serving.stages import GRAPH, MODEL, STORE, TOP_K, Stages
from srec.stores.base import NeighbourStore, Rows
from srec.topk import Selection, TopK, select


class LoneScorer(Protocol):
    """The shorter way to the answer of a session that comes alone."""

    def best(self, clicks: Sequence[int], inputs: LoneInputs, selection: Selection, stages: Stages) -> TopK:
        """Answer a session exactly; laps of model and top-k go to ``stages``.

        Args:
            clicks: the session's items, oldest first.
            inputs: the same with its graph and neighbours.
            selection: what it may be answered with.
            stages: the stopwatch.
        """


class Scorer(Protocol):
    """A model as it is run: eager, TorchScript, or any other export backend."""

    @property
    def hops(self) -> int:
        """How many hops of neighbours the inputs carry."""

    @property
    def lone(self) -> LoneScorer | None:
        """Answers sessions that come alone; None where ``best`` does."""

    def scores(self, inputs: ModelInputs) -> Tensor:
        """Raw logits of all items, float32 [B, V], a tensor that the caller may write to."""

    def best(self, inputs: ModelInputs, selections: Sequence[Selection], stages: Stages) -> list[TopK]:
        """Answer each session with its best items, exactly; laps of model and top-k go to ``stages``."""

    def shares(self, inputs: ModelInputs, items: Sequence[Tensor]) -> list[Tensor] | None:
        """Split the scores of some items by clicks; None where the model's scores are no sum over clicks.

        Args:
            inputs: a batch of sessions.
            items: for each session the items to explain, int64 [n].

        Returns:
            for each session float32 [n, clicks]; the sum over the clicks is the item's score.
        """


class DenseScorer:
    """Base of scorers that find the best items by scoring all of them."""

    hops: int
    lone: LoneScorer | None = None

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

    def shares(self, inputs: ModelInputs, items: Sequence[Tensor]) -> list[Tensor] | None:
        """No scorer can split its scores unless it says so."""
        return None


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

    @torch.inference_mode()
    def shares(self, inputs: ModelInputs, items: Sequence[Tensor]) -> list[Tensor] | None:
        """Split the scores, where the model is additive."""
        if not getattr(self.model, "additive", False):
            return None
        return ragged_shares(cast(Callable[..., Tensor], self.model.shares), inputs, items)


def ragged_shares(
    shares: Callable[..., Tensor], inputs: ModelInputs, items: Sequence[Tensor]
) -> list[Tensor]:
    """Call a module's ``shares`` for a batch whose sessions ask for different numbers of items."""
    padded = torch.nn.utils.rnn.pad_sequence(list(items), batch_first=True, padding_value=1)  # [B, n]
    found = shares(padded, *inputs)  # [B, n, L]
    lengths = inputs[3].tolist()
    return [row[: len(one), :length] for row, one, length in zip(found, items, lengths, strict=True)]


class Ranker:
    """The one path from clicked items to ranked items."""

    def __init__(self, scorer: Scorer, store: NeighbourStore, max_clicks: int) -> None:
        """Put a model and a neighbour store together; the model sees at most ``max_clicks`` newest clicks."""
        self.scorer = scorer
        self.store = store
        self.max_clicks = max_clicks
        self.stages = Stages()

    def rank(
        self,
        sessions: Sequence[Sequence[int]],
        selections: Sequence[Selection],
        times: Sequence[Sequence[int]] | None = None,
    ) -> list[TopK]:
        """Rank all items for each session and keep the best, exactly.

        Args:
            sessions: known items (1..V), oldest first, at least one each.
            selections: one a session.
            times: of the clicks in seconds, for a model that needs them; requests carry none.
        """
        self.stages.start()
        lone = self.scorer.lone
        if lone is None or len(sessions) > 1 or times is not None:
            return self._rank(sessions, selections, times)
        clicks = sessions[0][-self.max_clicks :]
        of_one = lone_inputs(clicks, self._fetch)
        self.stages.lap(GRAPH)
        return [lone.best(clicks, of_one, selections[0], self.stages)]

    def rank_all(self, sessions: Sequence[Sequence[int]], k: int) -> list[TopK]:
        """Keep the k best of each session, nothing left out."""
        return self.rank(sessions, [Selection(k)] * len(sessions))

    @torch.inference_mode()
    def scores(self, sessions: Sequence[Sequence[int]]) -> Tensor:
        """Raw logits of all items, float32 [B, V]."""
        return self.scorer.scores(self._inputs(sessions))

    @torch.inference_mode()
    def shares(self, sessions: Sequence[Sequence[int]], items: Sequence[Tensor]) -> list[Tensor] | None:
        """Split the scores of some items by the clicks that the model sees; see ``Scorer.shares``."""
        return self.scorer.shares(self._inputs(sessions), items)

    @torch.inference_mode()
    def _rank(
        self,
        sessions: Sequence[Sequence[int]],
        selections: Sequence[Selection],
        times: Sequence[Sequence[int]] | None,
    ) -> list[TopK]:
        inputs = self._inputs(sessions, times)
        self.stages.lap(GRAPH)
        return self.scorer.best(inputs, selections, self.stages)

    def _inputs(
        self, sessions: Sequence[Sequence[int]], times: Sequence[Sequence[int]] | None = None
    ) -> ModelInputs:
        if len(sessions) == 1 and times is None:
            return batch_of_one(sessions[0][-self.max_clicks :], self._fetch, self.scorer.hops)
        gaps = None if times is None else pad_gaps(times, self.max_clicks)
        return model_inputs(pad_clicks(sessions, self.max_clicks), self._fetch, self.scorer.hops, gaps)

    def _fetch(self, items: NDArray[np.int32]) -> Rows:
        self.stages.lap(GRAPH)
        rows = self.store.fetch(items)
        self.stages.lap(STORE)
        return rows
