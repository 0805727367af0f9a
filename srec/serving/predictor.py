"""Requests -> answers. No server in it: the handler, `srec recommend` and tests call the same class."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from srec.graph.neighbours import GlobalGraph
from srec.ids import Vocabulary
from srec.serving.contract import Request
from srec.serving.ranker import Ranker
from srec.topk import Selection, TopK, select

POPULAR = "popular"  # the source of an answer to a visitor of whom nothing is known


@dataclass(frozen=True)
class Catalogue:
    """The games of one model, in the order of its items.

    Attributes:
        vocabulary: appid <-> item.
        names: None where unknown, [V].
        clicks: clicks in training, [V]; what is popular.
    """

    vocabulary: Vocabulary
    names: Sequence[str | None]
    clicks: Sequence[int]


@dataclass(frozen=True)
class ModelInfo:
    """What an answer says of the model behind it."""

    source: str
    version: str
    graph: str

    @classmethod
    def of(cls, source: str, version: str, graph: GlobalGraph) -> "ModelInfo":
        """Name the graph by the start of its digest."""
        return cls(source, version, graph.digest[:12])


class Predictor:
    """Answers a batch of requests; every request is answered as if it came alone."""

    def __init__(self, ranker: Ranker, catalogue: Catalogue, info: ModelInfo) -> None:
        """Put the ranking path, the games' names and the model's name together."""
        self.ranker = ranker
        self.catalogue = catalogue
        self.info = info
        self._popularity = torch.tensor(catalogue.clicks, dtype=torch.float32)

    def answer(self, requests: Sequence[Request], request_ids: Sequence[str]) -> list[dict[str, Any]]:
        """Answer every request, in order, as the objects of the HTTP contract."""
        clicked = [self.catalogue.vocabulary.items(request.appids) for request in requests]
        known = [[item for item in items if item] for items in clicked]
        rankings = self._rank(requests, known)
        return [
            self._form(request, items, ranking, request_id)
            for request, items, ranking, request_id in zip(
                requests, clicked, rankings, request_ids, strict=True
            )
        ]

    def _rank(self, requests: Sequence[Request], known: Sequence[list[int]]) -> list[TopK]:
        selections = [
            Selection(request.k, items if request.exclude_clicked else ())
            for request, items in zip(requests, known, strict=True)
        ]
        asked = [index for index, items in enumerate(known) if items]
        rankings: dict[int, TopK] = {}
        if asked:
            found = self.ranker.rank([known[i] for i in asked], [selections[i] for i in asked])
            rankings = dict(zip(asked, found, strict=True))
        return [
            rankings[index] if index in rankings else self._popular(selection)
            for index, selection in enumerate(selections)
        ]

    def _popular(self, selection: Selection) -> TopK:
        return select(self._popularity.unsqueeze(0).clone(), [selection])[0]

    def _form(self, request: Request, items: list[int], ranking: TopK, request_id: str) -> dict[str, Any]:
        unknown = [appid for appid, item in zip(request.appids, items, strict=True) if not item]
        known = len(items) - len(unknown)
        return {
            "items": [
                {
                    "rank": rank,
                    "appid": self.catalogue.vocabulary.appid(item),
                    "score": round(score, 6),
                    "name": self.catalogue.names[item - 1],
                }
                for rank, (item, score) in enumerate(
                    zip(ranking.items.tolist(), ranking.scores.tolist(), strict=True), start=1
                )
            ],
            "source": self.info.source if known else POPULAR,
            "unknown_appids": list(dict.fromkeys(unknown)),
            "truncated": known > self.ranker.max_clicks,
            "model": {"name": "srec", "version": self.info.version, "graph": self.info.graph},
            "request_id": request_id,
        }
