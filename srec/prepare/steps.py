"""Running filters one after another, each measured.

Reviews are filtered in parts that share no user, so that memory does not grow with the log; an engine that
divides its work itself gets one part.
"""

from collections.abc import Callable
from datetime import datetime

import numpy as np
import pyarrow as pa
from ibis.expr.types import Table  # type: ignore[import-untyped]

from srec.errors import InputError
from srec.prepare.engines import ReviewEngine
from srec.prepare.filters import Filter, popular, popular_filters, repeated_filters, single_filters, union
from srec.prepare.report import Size, Step
from srec.prepare.settings import ReviewSettings


class Pipeline:
    """A table of reviews, stored anew after filters, and what each filter removed.

    Attributes:
        size: what is left.
        steps: what was done.
    """

    def __init__(self, engine: ReviewEngine, reviews: Table, progress: Callable[[str], None]) -> None:
        self._engine = engine
        self._progress = progress
        self._parts = [reviews]
        self._stored: list[str] = []
        self._games: Table | None = None
        self.steps: list[Step] = []
        self.size = self._measure(_count(engine, reviews))

    @property
    def reviews(self) -> Table:
        """What is left, as one table."""
        return union(self._parts)

    @property
    def games(self) -> Table:
        """How many reviews each game has now: a stored table (appid, n)."""
        if self._games is None:
            self._games = self._engine.put(f"games_{len(self.steps)}", self._count_games())
        return self._games

    def once(self, step: Filter) -> Step:
        """Apply one filter; an ``InputError`` names it if nothing is left."""
        before = self.size
        if step.removes == "rows":
            self._parts = [step.apply(part, lambda: self.games) for part in self._parts]
        else:
            self._parts = self._store([step.apply(part, lambda: self.games) for part in self._divided()])
        self._count_after(step)
        if self.size.rows == 0:
            raise InputError(_nothing_left(step, before))
        done = Step(
            name=step.name,
            parameters=step.parameters,
            before=before,
            after=self.size,
            removed=before - self.size,
        )
        self.steps.append(done)
        self._progress(f"{step.name}: {before.rows:,} -> {self.size.rows:,} reviews")
        return done

    def until_stable(self, steps: list[Filter]) -> None:
        """Apply filters in turn until each of them in a row removed nothing."""
        unchanged = 0
        while unchanged < len(steps):
            for step in steps:
                unchanged = 0 if self.once(step).removed.rows else unchanged + 1

    def _divided(self) -> list[Table]:
        """The reviews in parts that an aggregate can hold: divided once, put together when few are left."""
        most = self._engine.rows_at_a_time
        if most is None or self.size.rows <= most:
            return [self.reviews]
        if len(self._parts) > 1:
            return self._parts
        parts = -(-self.size.rows // most)
        return [self.reviews.filter(self.reviews.user.abs() % parts == part) for part in range(parts)]

    def _store(self, parts: list[Table]) -> list[Table]:
        stored = []
        for number, part in enumerate(parts):
            stored.append(self._engine.keep(f"step_{len(self.steps)}_{number}", part))
        for name in self._stored:
            self._engine.drop(name)
        self._stored = [part.get_name() for part in stored]
        return stored

    def _count_after(self, step: Filter) -> None:
        """Count no more than the step can have changed."""
        rows = sum(_count(self._engine, part) for part in self._parts)
        if rows == self.size.rows:
            return
        self._games = None
        if step.removes == "repeats":
            self.size = self.size.model_copy(update={"rows": rows})
        else:
            self.size = self._measure(rows)

    def _measure(self, rows: int) -> Size:
        users = sum(
            self._engine.fetch(part.agg(n=part.user.nunique()))["n"][0].as_py() for part in self._parts
        )
        self._games = None
        return Size(rows=rows, users=users, games=len(self._engine.fetch(self.games)))

    def _count_games(self) -> pa.Table:
        found = [
            self._engine.fetch(part.group_by("appid").agg(n=lambda rows: rows.count()))
            for part in self._parts
        ]
        appids, places = np.unique(
            np.concatenate([table["appid"].to_numpy() for table in found]), return_inverse=True
        )
        weights = np.concatenate([table["n"].to_numpy() for table in found])
        counts = np.bincount(places, weights=weights, minlength=len(appids)).astype(np.int64)
        return pa.table({"appid": pa.array(appids, pa.int32()), "n": counts})


def filter_reviews(
    engine: ReviewEngine,
    reviews: Table,
    settings: ReviewSettings,
    moment: datetime,
    progress: Callable[[str], None],
) -> Pipeline:
    """Apply all filters.

    What is popular is decided by all positive reviews. Users with too few reviews go before the users of
    popular games only: they would go in any case, and are most of a store's.
    """
    pipeline = Pipeline(engine, reviews, progress)
    for step in single_filters(moment, pipeline.size.rows):
        pipeline.once(step)
    if steps := popular_filters(
        settings, engine.keep("favourites", popular(pipeline.games, settings.popular_games))
    ):
        for step in [repeated_filters(settings)[0], *steps]:
            pipeline.once(step)
    pipeline.until_stable(repeated_filters(settings))
    return pipeline


def _count(engine: ReviewEngine, table: Table) -> int:
    return int(engine.fetch(table.agg(n=table.count()))["n"][0].as_py())


def _nothing_left(step: Filter, before: Size) -> str:
    given = ", ".join(f"{name} = {value}" for name, value in step.parameters.items())
    return (
        f'no review is left after the filter "{step.name}"{f" ({given})" if given else ""}; before it there '
        f"were {before.rows:,} of {before.users:,} users and {before.games:,} games"
        f"{f': {step.remedy}' if step.remedy else ''}"
    )
