"""Metadata of games, in the spellings of SteamSpy, of the store's API, and of plain tables."""

import contextlib
import json
import math
import re
import statistics
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from typing import Any

# What each field is called, in the order of preference.
NAMES = {
    "appid": ("appid", "steam_appid", "app_id", "id"),
    "name": ("name", "app_name", "title"),
    "developer": ("developer", "developers"),
    "publisher": ("publisher", "publishers"),
    "release": ("release_date", "released", "release_year", "year"),
    "price": ("price", "price_overview"),
    "genres": ("genres", "genre"),
    "tags": ("tags",),
}
_DATES = {"%Y-%m-%d": 10, "%Y%m%d": 8, "%d %b, %Y": None, "%b %d, %Y": None}  # and where a time of day begins
_YEAR = re.compile(r"(?<!\d)(19[7-9]\d|20\d\d)(?!\d)")
_NUMBER = re.compile(r"\d+(?:[.,]\d+)?")


@dataclass(frozen=True)
class Game:
    """One game; None or empty where unknown. ``tags`` are weights, greatest first."""

    appid: int
    name: str | None
    developer: str | None
    publisher: str | None
    year: int | None
    price: float | None
    """In the currency of the file; 0 for a free game."""
    free: bool | None
    genres: tuple[str, ...]
    tags: Mapping[str, float]
    released: date | None = None
    """The first of January where only the year is known; None before the release."""


def parse_game(record: Mapping[str, Any]) -> Game:
    """Read one record; ``ValueError`` where it has no usable appid. A price is taken as it stands."""
    appid = _appid(_field(record, "appid"))
    price, free = _price(_field(record, "price")), _truth(record.get("is_free"))
    if free and price is None:
        price = 0.0
    if free is None and price is not None:
        free = price == 0
    release = _field(record, "release")
    return Game(
        appid=appid,
        name=_text(_field(record, "name")),
        developer=_text(_field(record, "developer")),
        publisher=_text(_field(record, "publisher")),
        year=_year(release),
        price=price,
        free=free,
        genres=tuple(_names(_field(record, "genres"))),
        tags=_tags(_field(record, "tags")),
        released=_released(release),
    )


def in_cents(records: Iterable[Mapping[str, Any]]) -> bool:
    """Whether the prices of a file are cents, as SteamSpy's are.

    They are if there is an ``initialprice`` beside them, or if none has a fraction and half of those that are
    not free are 99 or more, which as whole dollars no catalogue of games asks.
    """
    prices = []
    for record in records:
        if "initialprice" in record:
            return True
        value = record.get("price")
        number = None if isinstance(value, Mapping) else _price(value)
        if number is not None and (isinstance(value, float) or "." in str(value)) and number % 1:
            return False
        if number:
            prices.append(number)
    return bool(prices) and statistics.median(prices) >= 99


def cents_to_units(game: Game) -> Game:
    """The same game with its price in whole units of the currency."""
    return game if game.price is None else replace(game, price=game.price / 100)


def _field(record: Mapping[str, Any], field: str) -> object:
    return next((record[name] for name in NAMES[field] if record.get(name) not in (None, "")), None)


def _appid(value: object) -> int:
    text = str(value).removesuffix(".0")
    if not text.isdecimal() or not 0 < int(text) < 2**31:
        raise ValueError(f"appid {value!r} is not an integer from 1 to 2147483647")
    return int(text)


def _text(value: object) -> str | None:
    if isinstance(value, list | tuple):
        return ", ".join(str(part).strip() for part in value) or None
    return str(value).strip() or None if value is not None else None


def _truth(value: object) -> bool | None:
    return {"true": True, "1": True, "false": False, "0": False}.get(str(value).strip().lower())


def _price(value: object) -> float | None:
    if isinstance(value, Mapping):
        cents = value.get("final", value.get("initial"))
        return None if cents is None else float(cents) / 100
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value) if math.isfinite(value) and value >= 0 else None
    text = str(value or "")
    if found := _NUMBER.search(text):
        return float(found[0].replace(",", "."))
    return 0.0 if "free" in text.lower() else None


def _year(value: object) -> int | None:
    if isinstance(value, Mapping):
        value = value.get("date")
    if isinstance(value, date):
        return value.year
    text = str(value or "").strip()
    if re.fullmatch(r"\d{8,10}(\.0)?", text) and not _YEAR.match(text[:4]):
        return datetime.fromtimestamp(float(text), UTC).year
    found = _YEAR.search(text) or _YEAR.match(text[:4])
    return int(found[1]) if found else None


def _released(value: object) -> date | None:
    """The day of a release; ``coming_soon`` of the store's API means that there was none yet."""
    if isinstance(value, Mapping):
        return None if value.get("coming_soon") else _released(value.get("date"))
    if isinstance(value, date):
        return value.date() if isinstance(value, datetime) else value
    text, year = str(value or "").strip(), _year(value)
    for form, end in _DATES.items():
        with contextlib.suppress(ValueError):
            day = datetime.strptime(text[:end], form).replace(tzinfo=UTC).date()
            if day.year == year:  # some unix seconds begin like a date
                return day
    return None if year is None else date(year, 1, 1)


def _names(value: object) -> list[str]:
    """Names from a list of texts or of objects, or from a text with commas or semicolons; no repeats."""
    value = _decoded(value)
    if isinstance(value, str):
        value = re.split(r"[,;]", value)
    if not isinstance(value, list | tuple):
        return []
    parts = [
        part.get("description", part.get("name")) if isinstance(part, Mapping) else part for part in value
    ]
    return list(dict.fromkeys(str(part).strip() for part in parts if part is not None and str(part).strip()))


def _tags(value: object) -> dict[str, float]:
    """Weights from votes, or 1, 1/2, 1/3, ... from a list in order of popularity; equal ones by name."""
    value = _decoded(value)
    if (
        isinstance(value, list)
        and value
        and all(isinstance(part, tuple) and len(part) == 2 for part in value)
    ):
        value = dict(value)  # a MAP column of Parquet
    if isinstance(value, Mapping):
        votes = {str(tag).strip(): _price(count) or 0.0 for tag, count in value.items()}
        ordered = sorted(votes.items(), key=lambda entry: (-entry[1], entry[0]))
        return {tag: count for tag, count in ordered if tag and count > 0}
    return {tag: 1 / place for place, tag in enumerate(_names(value), start=1)}


def _decoded(value: object) -> object:
    """Lists and objects inside a CSV field are JSON."""
    if isinstance(value, str) and value.strip()[:1] in ("[", "{"):
        try:
            return json.loads(value)
        except ValueError:
            return value
    return value
