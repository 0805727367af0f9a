"""Running filters one after another, each measured."""

from collections.abc import Callable

from ibis.expr.types import Table  # type: ignore[import-untyped]

from srec.errors import InputError
from srec.prepare.engine import Engine
from srec.prepare.filters import Filter
from srec.prepare.report import Size, Step


class Pipeline:
    """A table of reviews, stored anew after every filter, and what each filter removed."""

    def __init__(self, engine: Engine, reviews: Table, progress: Callable[[str], None]) -> None:
        self._engine = engine
        self._progress = progress
        self.reviews = reviews
        self.size = size_of(engine, reviews)
        self.steps: list[Step] = []

    def once(self, step: Filter) -> Step:
        """Apply one filter; an ``InputError`` names it if nothing is left."""
        before, name = self.size, f"step_{len(self.steps)}"
        reviews = self._engine.keep(name, step.apply(self.reviews))
        self._engine.drop(self.reviews.get_name())
        self.reviews, self.size = reviews, size_of(self._engine, reviews)
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


def size_of(engine: Engine, reviews: Table) -> Size:
    """Count rows, users and games."""
    counts = reviews.agg(rows=reviews.count(), users=reviews.user.nunique(), games=reviews.appid.nunique())
    return Size(**engine.fetch(counts).to_pylist()[0])


def _nothing_left(step: Filter, before: Size) -> str:
    given = ", ".join(f"{name} = {value}" for name, value in step.parameters.items())
    return (
        f'no review is left after the filter "{step.name}"{f" ({given})" if given else ""}; before it there '
        f"were {before.rows:,} of {before.users:,} users and {before.games:,} games"
        f"{f': {step.remedy}' if step.remedy else ''}"
    )
