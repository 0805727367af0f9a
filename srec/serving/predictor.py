"""Requests -> answers. No server in it: the handler, `srec recommend` and tests call the same class."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from srec.graph.neighbours import GlobalGraph
from srec.ids import PADDING
from srec.serving.catalogue import Catalogue
from srec.serving.contract import Filters, Request
from srec.serving.explain import because
from srec.serving.forms import BECAUSE
from srec.serving.new_games import NewGames
from srec.serving.ranker import Ranker
from srec.topk import Selection, TopK, select

POPULAR = "popular"  # the source of an answer to a visitor of whom nothing is known
SHORT_SESSION = "short-session"  # the source of an answer by the artifact's model for few clicks
BY_TAGS = "tags"  # the source of an answer by what the clicked games are, not by who clicked them
AT_ONCE = 32  # requests that are encoded together: bodies of many requests would fill a worker's memory
NO_FILTERS = Filters()


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


@dataclass(frozen=True)
class ShortSessions:
    """A second model over the same items, for sessions of at most ``clicks`` known clicks."""

    ranker: Ranker
    clicks: int


@dataclass(frozen=True)
class TagFallback:
    """The tag recommender over the same items, for sessions that clicks say nothing of.

    Attributes:
        ranker: of the tag recommender.
        rare: items that were clicked too seldom in training to be known by it, bool [V].
    """

    ranker: Ranker
    rare: Tensor

    def answers(self, known: Sequence[int]) -> bool:
        """Whether all clicked games, at least one, are rare."""
        return bool(self.rare[torch.tensor(known) - 1].all())


class _Asked(NamedTuple):
    """A request as the ranking path takes it: known clicks as items, unknown appids each once."""

    request: Request
    known: list[int]
    unknown: list[int]
    selection: Selection


class _Found(NamedTuple):
    """What a request is answered with; ``reasons`` are clicked items, a list for each item answered."""

    source: str
    ranking: TopK
    truncated: bool = False
    reasons: Sequence[Sequence[int]] = ()


class Predictor:
    """Answers a batch of requests; every request is answered as if it came alone."""

    def __init__(
        self,
        ranker: Ranker,
        catalogue: Catalogue,
        info: ModelInfo,
        short: ShortSessions | None = None,
        new_games: NewGames | None = None,
        *,
        tags: TagFallback | None = None,
    ) -> None:
        """Put the ranking paths, the games' names and the model's name together."""
        self.new_games = new_games
        self.ranker = ranker
        self.catalogue = catalogue
        self.info = info
        self.short = short
        self.tags = tags
        self._popularity = torch.tensor(catalogue.clicks, dtype=torch.float32)
        self._frequency = self._popularity.log1p()
        self._rankers = {info.source: ranker}
        if short:
            self._rankers[SHORT_SESSION] = short.ranker
        if tags:
            self._rankers[BY_TAGS] = tags.ranker

    @property
    def sources(self) -> tuple[str, ...]:
        """What answers may name as their source."""
        beside = {SHORT_SESSION: self.short, BY_TAGS: self.tags}
        return (self.info.source, POPULAR, *(source for source, model in beside.items() if model))

    def check(self, request: Request) -> None:
        """Refuse what only this model can refuse: an unknown tag, a filter without metadata.

        Raises:
            RequestError: what is wrong, with the value and the nearest known one.
        """
        if request.filters is not None:
            self.catalogue.check(request.filters)

    def answer(self, requests: Sequence[Request], request_ids: Sequence[str]) -> list[dict[str, Any]]:
        """Answer every request, in order, as the objects of the HTTP contract.

        Raises:
            RequestError: a request that ``check`` refuses; ask it first where others share the batch.
        """
        asked = [self._ask(request) for request in requests]
        firsts = range(0, len(asked), AT_ONCE)
        found = [one for first in firsts for one in self._find(asked[first : first + AT_ONCE])]
        return [self._form(*one) for one in zip(asked, found, request_ids, strict=True)]

    def _ask(self, request: Request) -> _Asked:
        clicked = self.catalogue.vocabulary.items(request.appids)
        known, unknown = clicked, []
        if PADDING in clicked:
            known = [item for item in clicked if item]
            strange = (appid for appid, item in zip(request.appids, clicked, strict=True) if not item)
            unknown = list(dict.fromkeys(strange))
        filters = request.filters or NO_FILTERS
        excluded = {*self.catalogue.vocabulary.items(filters.exclude_appids)} - {PADDING}
        if request.exclude_clicked:
            excluded.update(known)
        penalty = request.popularity_penalty
        selection = Selection(
            request.k,
            tuple(excluded),
            self.catalogue.allowed(filters),
            self._frequency * penalty if penalty else None,
        )
        return _Asked(request, known, unknown, selection)

    def _find(self, asked: Sequence[_Asked]) -> list[_Found]:
        sources = [self._source(one.known) for one in asked]
        found: dict[int, _Found] = {}
        for source, ranker in self._rankers.items():
            found |= self._rank(source, ranker, {i: asked[i] for i, by in enumerate(sources) if by == source})
        return [found[i] if i in found else self._popular(one) for i, one in enumerate(asked)]

    def _source(self, known: Sequence[int]) -> str:
        """Which part answers: the first that can say something of these clicks."""
        if not known:
            return POPULAR
        if self.tags and self.tags.answers(known):
            return BY_TAGS
        if self.short and len(known) <= self.short.clicks:
            return SHORT_SESSION
        return self.info.source

    def _rank(self, source: str, ranker: Ranker, asked: Mapping[int, _Asked]) -> dict[int, _Found]:
        """Answer some of a batch's requests, named by their places, all with at least one known click."""
        if not asked:
            return {}
        sessions = {i: one.known[-ranker.max_clicks :] for i, one in asked.items()}
        rankings = dict(zip(asked, self._ranked(ranker, asked, list(sessions.values())), strict=True))
        explained = [i for i, one in asked.items() if one.request.explain and len(rankings[i].items)]
        reasons: dict[int, list[list[int]]] = {}
        if explained:
            behind = because(
                ranker, [sessions[i] for i in explained], [rankings[i].items for i in explained], BECAUSE
            )
            reasons = dict(zip(explained, behind, strict=True))
        return {
            i: _Found(source, rankings[i], len(one.known) > ranker.max_clicks, reasons.get(i, ()))
            for i, one in asked.items()
        }

    def _ranked(
        self, ranker: Ranker, asked: Mapping[int, _Asked], sessions: Sequence[Sequence[int]]
    ) -> list[TopK]:
        selections = [one.selection for one in asked.values()]
        if self.new_games is None:
            return ranker.rank(sessions, selections)
        return self.new_games.rank(
            lambda places, chosen: ranker.rank([sessions[place] for place in places], chosen), selections
        )

    def _popular(self, one: _Asked) -> _Found:
        chosen = [one.selection]
        new_games = self.new_games
        (ranking,) = new_games.limited(self._by_clicks, chosen) if new_games else self._by_clicks([0], chosen)
        return _Found(POPULAR, ranking, reasons=[()] * len(ranking.items))

    def _by_clicks(self, places: Sequence[int], selections: Sequence[Selection]) -> list[TopK]:
        return select(self._popularity.repeat(len(places), 1), selections)

    def _form(self, asked: _Asked, found: _Found, request_id: str) -> dict[str, Any]:
        appid, names = self.catalogue.vocabulary.appid, self.catalogue.names
        ranking = zip(found.ranking.items.tolist(), found.ranking.scores.tolist(), strict=True)
        items: list[dict[str, Any]] = [
            {"rank": rank, "appid": appid(item), "score": round(score, 6), "name": names[item - 1]}
            for rank, (item, score) in enumerate(ranking, start=1)
        ]
        if asked.request.explain:
            for form, reasons in zip(items, found.reasons, strict=True):
                form["because"] = [appid(item) for item in reasons]
        return {
            "items": items,
            "source": found.source,
            "unknown_appids": asked.unknown,
            "truncated": found.truncated,
            "model": {"name": "srec", "version": self.info.version, "graph": self.info.graph},
            "request_id": request_id,
        }
