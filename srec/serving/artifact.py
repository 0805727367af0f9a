"""ARTIFACT, the folder that is served: checked against its manifest, then opened."""

import functools
from pathlib import Path
from typing import Any

import torch

from srec.errors import DataError
from srec.export import backend
from srec.graph.neighbours import GlobalGraph
from srec.io import read_json
from srec.manifest import ARTIFACT
from srec.serving.catalogue import Catalogue
from srec.serving.golden import replay
from srec.serving.new_games import NewGames
from srec.serving.predictor import ModelInfo, Predictor, ShortSessions, TagFallback
from srec.serving.ranker import Ranker, Scorer
from srec.stores import open_store
from srec.stores.settings import StoreSettings

CATALOGUE, GRAPH, GOLDEN = "catalogue.json", "graph.safetensors", "golden.json"
SHORT, TAGS = "short", "tags"  # folders of models beside the main one: for short sessions, by tags
_VERSION = 12  # characters of a digest that name a version


class Artifact:
    """One exported model with all that its answers need."""

    def __init__(self, folder: Path) -> None:
        """Open and verify; ``InputError`` where there is none, ``DataError`` where it is damaged."""
        self.folder = folder
        self.manifest = ARTIFACT.read(folder)
        ARTIFACT.verify(folder, self.manifest)
        if self.graph.digest != self.manifest["graph"]:
            raise DataError(f"{folder / GRAPH} is the graph of another model: export again")

    @property
    def version(self) -> str:
        """The default version: the start of the content's digest."""
        return str(self.manifest["digest"])[:_VERSION]

    @functools.cached_property
    def graph(self) -> GlobalGraph:
        """The archive's own copy of the global graph."""
        return GlobalGraph.load(self.folder / GRAPH)

    @functools.cached_property
    def catalogue(self) -> Catalogue:
        """Appids, names, popularity and metadata of the items."""
        return Catalogue.of(read_json(self.folder / CATALOGUE))

    @functools.cached_property
    def scorer(self) -> Scorer:
        """The model, loaded by the backend that wrote it."""
        return backend(self.manifest["backend"]).load(self.folder, self.manifest)

    def ranker(self, redis_url: str | None = None, store_settings: StoreSettings | None = None) -> Ranker:
        """The ranking path over Redis, or over the artifact's own graph where no URL is given."""
        store = open_store(redis_url, self.graph, store_settings)
        return Ranker(self.scorer, store, self.manifest["max_clicks"])

    def predictor(
        self,
        redis_url: str | None = None,
        store_settings: StoreSettings | None = None,
        version: str | None = None,
    ) -> Predictor:
        """The whole path from request to answer."""
        info = ModelInfo.of(self.manifest["model"], version or self.version, self.graph)
        ranker = self.ranker(redis_url, store_settings)
        return Predictor(
            ranker,
            self.catalogue,
            info,
            self._short(ranker),
            self._new_games(),
            tags=self._tags(ranker),
        )

    def self_test(self) -> int:
        """Replay the golden sessions on the artifact's own graph; ``DataError`` on any difference."""
        ranker = self.ranker()
        replayed = replay(self.folder / GOLDEN, ranker)
        for name in (SHORT, TAGS):
            if second := self._second(name, ranker):
                replayed += replay(self.folder / name / GOLDEN, second[0])
        return replayed

    def _new_games(self) -> NewGames | None:
        """How games without a training click are answered with; None where there are none."""
        found = self.manifest.get("new_games")
        if found is None:
            return None
        new = torch.tensor(self.catalogue.clicks) == 0
        return NewGames(new, float(found["bonus"]), float(found["share"]))

    def _short(self, ranker: Ranker) -> ShortSessions | None:
        """The model for short sessions; None without one."""
        found = self._second(SHORT, ranker)
        return ShortSessions(found[0], found[1]["clicks"]) if found else None

    def _tags(self, ranker: Ranker) -> TagFallback | None:
        """The tag recommender, for sessions of games that hardly anybody has clicked; None without one."""
        found = self._second(TAGS, ranker)
        if not found:
            return None
        return TagFallback(found[0], torch.tensor(self.catalogue.clicks) < found[1]["below"])

    def _second(self, name: str, ranker: Ranker) -> tuple[Ranker, dict[str, Any]] | None:
        """A model beside the main one, on its store and stopwatch, and its facts; None without one."""
        if f"{name}/{facts_of(name)}" not in self.manifest["files"]:
            return None
        facts = read_json(self.folder / name / facts_of(name))
        scorer = backend(facts["backend"]).load(self.folder / name, facts)
        second = Ranker(scorer, ranker.store, facts["max_clicks"])
        second.stages = ranker.stages
        return second, facts


def facts_of(name: str) -> str:
    """The file, in the folder of a model beside the main one, that says when it is used and how loaded."""
    return f"{name}.json"
