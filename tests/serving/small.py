"""Six games and a model whose scores are known: what predictor, filters and reasons are tested with."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from srec.graph.inputs import ModelInputs
from srec.graph.neighbours import GlobalGraph
from srec.ids import Vocabulary
from srec.serving.catalogue import Catalogue, Metadata
from srec.serving.contract import Request
from srec.serving.predictor import ModelInfo, Predictor, ShortSessions, TagFallback
from srec.serving.ranker import DenseScorer, Ranker, Scorer
from srec.stores.array import ArrayStore

APPIDS = [10, 20, 30, 40, 50, 60]
CLICKS = [5, 9, 9, 1, 0, 2]
PRICES = [9.99, 0.0, None, 19.99, 20.0, 0.0]
FREE = [False, True, None, False, False, True]
TAG_NAMES = ["Co-op", "Horror", "Puzzle"]
TAGS = [[2], [0, 2], [], [1], [0, 1, 2], [0]]
MAX_CLICKS = 3


class LastClickScorer(DenseScorer):
    """Scores an item by closeness to the last click, so that order, repeats and ties show."""

    hops = 1

    def scores(self, inputs: ModelInputs) -> Tensor:
        nodes, alias, _, lengths, *_ = inputs
        last = nodes.gather(1, alias.gather(1, lengths.unsqueeze(1) - 1))  # [B, 1]
        return -(torch.arange(1, len(APPIDS) + 1) - last).abs().float()


def make_ranker(scorer: Scorer) -> Ranker:
    graph = GlobalGraph(np.zeros((len(APPIDS) + 1, 2), np.int32), np.zeros((len(APPIDS) + 1, 2), np.float32))
    return Ranker(scorer, ArrayStore(graph), MAX_CLICKS)


def make_predictor(
    scorer: Scorer | None = None,
    *,
    metadata: bool = True,
    short: ShortSessions | None = None,
    tags: TagFallback | None = None,
) -> Predictor:
    names = [None if appid == 40 else f"game {appid}" for appid in APPIDS]
    known = Metadata.of(PRICES, FREE, TAGS, TAG_NAMES) if metadata else None
    catalogue = Catalogue(Vocabulary(APPIDS), names, CLICKS, known)
    ranker = make_ranker(scorer or LastClickScorer())
    return Predictor(ranker, catalogue, ModelInfo("last-click", "1.0", "abc"), short, tags=tags)


def ask(predictor: Predictor, *appids: int, **fields: Any) -> dict[str, Any]:
    return predictor.answer([Request(appids=list(appids), **fields)], ["id"])[0]


def answered(answer: dict[str, Any]) -> list[int]:
    return [item["appid"] for item in answer["items"]]
