"""The other fields of a game as indices into one table of values."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from srec.prepare.games import Game

GENRES = 3
COLUMNS = (
    "developer",
    "publisher",
    *(f"genre_{place}" for place in range(1, GENRES + 1)),
    "year",
    "price",
    "free",
)
FIELDS = ("developer", "publisher", "genre", "year", "price", "free")
OTHER = "other"
LEAST_GAMES = 2
"""A value of fewer games than this tells nothing that the game itself does not, and shares "other"."""
_BANDS = ((0.0, "0"), (5.0, "under 5"), (10.0, "under 10"), (20.0, "under 20"), (40.0, "under 40"))


@dataclass(frozen=True)
class Context:
    """``indices`` int32 [V+1, columns], 0 where unknown; ``values[index]`` is (field, value) of an index."""

    indices: NDArray[np.int32]
    values: list[tuple[str, str] | None]

    def describe(self) -> dict[str, object]:
        """The content of ``context.json``; index 0 has no value."""
        values = [{"field": value[0], "value": value[1]} if value else None for value in self.values]
        return {"columns": COLUMNS, "fields": FIELDS, "values": values}


def build_context(games: Sequence[Game | None]) -> Context:
    """Number the values of every field, in order of field and value; ``games`` are the items from 1."""
    rows = [list(context_values(game)) if game else [] for game in games]
    uses = Counter(value for row in rows for _, value in row)
    common = [value for value, count in uses.items() if count >= LEAST_GAMES and value[1] != OTHER]
    ordered = sorted([*common, *((field, OTHER) for field in FIELDS)], key=_place)
    index = {value: number for number, value in enumerate(ordered, start=1)}
    indices = np.zeros((len(games) + 1, len(COLUMNS)), np.int32)
    for item, row in enumerate(rows, start=1):
        for column, (field, value) in row:
            indices[item, column] = index.get((field, value), index[field, OTHER])
    return Context(indices, [None, *ordered])


def price_band(price: float) -> str:
    """The band of a price in its currency: "0", "under 5", ... "40 and more"."""
    if price <= 0:
        return _BANDS[0][1]
    return next((name for bound, name in _BANDS[1:] if price < bound), "40 and more")


def _place(value: tuple[str, str]) -> tuple[int, bool, str]:
    field, text = value
    return FIELDS.index(field), text != OTHER, text


def context_values(game: Game) -> Iterator[tuple[int, tuple[str, str]]]:
    """The columns of a game that are known, each with its field and value."""
    fields = {
        "developer": game.developer,
        "publisher": game.publisher,
        **{f"genre_{place}": genre for place, genre in enumerate(game.genres[:GENRES], start=1)},
        "year": None if game.year is None else str(game.year),
        "price": None if game.price is None else price_band(game.price),
        "free": None if game.free is None else ("yes" if game.free else "no"),
    }
    for name, value in fields.items():
        if value:
            yield COLUMNS.index(name), (name.split("_", maxsplit=1)[0], value)
