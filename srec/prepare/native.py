"""Reviews in Parquet files whose columns have types of their own: read by whichever engine filters them.

What text needs parsing for (``text_reviews.py``) is here a comparison; the same rows are unusable.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import ibis  # type: ignore[import-untyped]
import ibis.expr.datatypes as dt  # type: ignore[import-untyped]
from ibis.expr.types import BooleanValue, IntegerValue, StringValue, Table  # type: ignore[import-untyped]

from srec.prepare.filters import EARLIEST, LATEST
from srec.prepare.settings import ReviewField

MAX_APPID = 2**31 - 1
UNITS = {"milliseconds": 10**3, "microseconds": 10**6, "nanoseconds": 10**9}
"""Finer units of time: from 2003 to 2099 no two units share a number."""
NUMBER = "^(0|[1-9][0-9]{0,17})$"
"""A user's name that is an integer in its one spelling."""


@dataclass(frozen=True)
class Native:
    """Parquet files that an engine knows as the table ``name``: schema, and how the fields are called."""

    name: str
    schema: ibis.Schema
    spelled: dict[ReviewField, str]

    @property
    def table(self) -> Table:
        """All rows: our fields, and ``row``."""
        return ibis.table(self.schema, name=self.name)

    @property
    def numbered(self) -> bool:
        """Whether users are integers already."""
        return bool(self.schema["steamid"].is_integer())


def readable(schema: ibis.Schema, fields: dict[ReviewField, str]) -> bool:
    """Whether columns of a file of this schema can be used without parsing text."""
    kinds = {field: schema[name] for field, name in fields.items()}
    vote = kinds.get("voted_up", dt.boolean)
    return bool(
        (kinds["steamid"].is_string() or (kinds["steamid"].is_integer() and kinds["steamid"] != dt.uint64))
        and kinds["appid"].is_integer()
        and (kinds["timestamp_created"].is_integer() or kinds["timestamp_created"].is_timestamp())
        and (vote.is_boolean() or vote.is_integer())
    )


def usable(native: Native) -> Table:
    """The rows that can be used: ``steamid`` (either kind), ``appid``, ``time``, ``positive``, ``row``."""
    table = native.table
    good = table.filter(_good(table))
    return good.select(
        steamid=good.steamid.cast("int64") if native.numbered else good.steamid.strip(),
        appid=good.appid.cast("int32"),
        time=_seconds(good),
        positive=_vote(good),
        row=good.row,
    )


def refused(native: Native) -> Table:
    """The other rows: ``row``, the column that is ``empty``, or ``why`` it is unusable, and its ``text``."""
    table = native.table
    bad = table.filter(~_good(table).fill_null(False))
    empty, why = ibis.null("string"), ibis.null("string")
    for field, reason in reversed(list(_reasons(bad, native.spelled))):
        why = ibis.ifelse(reason[0], f"{native.spelled[field]} {reason[1]}", why)
    for field in reversed(native.spelled):
        empty = ibis.ifelse(_is_empty(bad[field]), native.spelled[field], empty)
    texts = [bad[field].cast("string").fill_null("") for field in native.spelled]
    return bad.select(
        row=bad.row, empty=empty, why=ibis.ifelse(empty.notnull(), ibis.null("string"), why),
        text=ibis.literal(", ").join(texts),
    )  # fmt: skip


def in_units(native: Native) -> Table:
    """One row: how many times are in each of the finer ``UNITS``."""
    table = native.table
    if not native.schema["timestamp_created"].is_integer():
        return table.limit(1).agg(**{unit: ibis.literal(0) for unit in UNITS})
    return table.agg(**{unit: _is_in(table.timestamp_created, scale).sum() for unit, scale in UNITS.items()})


def _good(table: Table) -> BooleanValue:
    steamid = table.steamid
    named = steamid.notnull() if steamid.type().is_integer() else steamid.strip() != ""
    in_time = _seconds(table).between(EARLIEST, LATEST)
    return named & table.appid.between(1, MAX_APPID) & in_time & _vote(table).notnull()


def _seconds(table: Table) -> IntegerValue:
    time = table.timestamp_created
    if time.type().is_timestamp():
        return time.epoch_seconds().cast("int64")
    seconds = time.cast("int64")
    for scale in UNITS.values():
        # A remainder first: dividing integers by / is floating point in some engines.
        whole = time.cast("int64") - time.cast("int64") % scale
        seconds = ibis.ifelse(_is_in(time, scale), (whole / scale).cast("int64"), seconds)
    return seconds


def _is_in(time: IntegerValue, scale: int) -> BooleanValue:
    return time.between(EARLIEST * scale, LATEST * scale + scale - 1)


def _vote(table: Table) -> BooleanValue:
    if "voted_up" not in table.columns:
        return ibis.literal(True)
    vote = table.voted_up
    if vote.type().is_boolean():
        return vote
    return ibis.cases((vote == 1, True), (vote == 0, False))


def _is_empty(value: StringValue) -> BooleanValue:
    return value.isnull() | (value.cast("string").strip() == "")


def _reasons(
    table: Table, spelled: dict[ReviewField, str]
) -> Iterator[tuple[ReviewField, tuple[BooleanValue, str]]]:
    """What a field must not be, in order, each with how it is told."""
    yield "appid", (~table.appid.between(1, MAX_APPID), "is not an integer from 1 to 2147483647")
    seconds = _seconds(table)
    yield "timestamp_created", (
        ~seconds.between(EARLIEST, LATEST), "is not between the years 2003 and 2099 in unix seconds",
    )  # fmt: skip
    if "voted_up" in spelled:
        yield "voted_up", (_vote(table).isnull(), "is none of 0, 1, true, false")
