"""The games of one model: their names and popularity, and which of them pass a request's filters."""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from srec.errors import RequestError
from srec.ids import Vocabulary
from srec.serving.contract import Filters, unknown_name


@dataclass(frozen=True)
class Metadata:
    """What filters look at.

    Attributes:
        prices: float64 [V], NaN where unknown.
        free: whether it costs nothing, bool [V].
        paid: whether it costs something, bool [V]; neither where that is unknown.
        tagged: the indices of the games with a tag, int64, ascending; games without known tags have none.
    """

    prices: Tensor
    free: Tensor
    paid: Tensor
    tagged: Mapping[str, Tensor]

    @classmethod
    def of(
        cls,
        prices: Iterable[float | None],
        free: Sequence[bool | None],
        tags: Sequence[Sequence[int]],
        tag_names: Sequence[str],
    ) -> "Metadata":
        """Take the columns of ``catalogue.json``; ``tags`` are indices into ``tag_names``, a list a game."""
        game = np.repeat(np.arange(len(tags)), [len(of_game) for of_game in tags])
        tag = np.fromiter(itertools.chain.from_iterable(tags), np.int64, count=len(game))
        by_tag = torch.from_numpy(game[np.argsort(tag, kind="stable")])
        counts = np.bincount(tag, minlength=len(tag_names)).tolist()
        return cls(
            prices=torch.tensor(
                [np.nan if price is None else price for price in prices], dtype=torch.float64
            ),
            free=torch.tensor([known is True for known in free]),
            paid=torch.tensor([known is False for known in free]),
            tagged=dict(zip(tag_names, torch.split(by_tag, counts), strict=True)),
        )

    def passing(self, filters: Filters) -> Tensor:
        """The games that pass, bool [V]."""
        passes = self._with(filters.tags_any) if filters.tags_any else torch.ones_like(self.free)
        if filters.tags_none:
            passes &= ~self._with(filters.tags_none)
        if filters.max_price is not None:
            passes &= self.prices <= filters.max_price
        if filters.free is not None:
            passes &= self.free if filters.free else self.paid
        return passes

    def _with(self, tags: Iterable[str]) -> Tensor:
        games = torch.zeros_like(self.free)
        for tag in tags:
            games[self.tagged[tag]] = True
        return games


@dataclass(frozen=True)
class Catalogue:
    """The games of one model, in the order of its items.

    Attributes:
        vocabulary: appid <-> item.
        names: None where unknown, [V].
        clicks: clicks in training, [V]; what is popular.
        metadata: None for a model of sessions of which no more is known.
    """

    vocabulary: Vocabulary
    names: Sequence[str | None]
    clicks: Sequence[int]
    metadata: Metadata | None = None

    @classmethod
    def of(cls, content: Mapping[str, Any]) -> "Catalogue":
        """Take the content of ``catalogue.json``."""
        metadata = None
        if "tag_names" in content:
            columns = (content[name] for name in ("price", "free", "tags", "tag_names"))
            metadata = Metadata.of(*columns)
        return cls(Vocabulary(content["appid"]), content["name"], content["train_clicks"], metadata)

    def check(self, filters: Filters) -> None:
        """Refuse what this model cannot filter by.

        Raises:
            RequestError: a tag that no game has, naming the nearest; any filter but ``exclude_appids`` where
                the model has no metadata.
        """
        for field in _demands(filters):
            if self.metadata is None:
                raise RequestError(
                    f"filters.{field} cannot be used: this model was made without metadata of its games, "
                    "only exclude_appids can"
                )
            tags = getattr(filters, field) if field in ("tags_any", "tags_none") else ()
            for index, tag in enumerate(tags):
                if tag not in self.metadata.tagged:
                    message = unknown_name("tag", tag, self.metadata.tagged)
                    raise RequestError(f"filters.{field}[{index}]: {message}")

    def allowed(self, filters: Filters) -> Tensor | None:
        """The games that pass ``filters`` but for ``exclude_appids``, bool [V]; None where all do."""
        self.check(filters)
        if self.metadata is None or not _demands(filters):
            return None
        return self.metadata.passing(filters)


def _demands(filters: Filters) -> list[str]:
    """The filters that look at metadata and demand something."""
    by_metadata = ("tags_any", "tags_none", "max_price", "free")
    return [field for field in by_metadata if getattr(filters, field) not in ([], None)]
