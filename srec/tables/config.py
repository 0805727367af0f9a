"""The YAML of a table: data sets, rows, metrics; checked whole before anything is trained."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from srec.errors import InputError, nearest
from srec.evaluation.beyond import BEYOND
from srec.evaluation.metrics import METRICS
from srec.prepare.settings import ReviewSettings, SessionSettings
from srec.training.settings import resolve

Scalar = str | int | float | bool | None
Changes = dict[str, Scalar]
KNOWN_METRICS: Final = (*METRICS, *BEYOND)


class _Strict(BaseModel):
    """Unknown keys are refused, naming the nearest known one."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=False)

    @model_validator(mode="before")
    @classmethod
    def _only_known(cls, given: Any) -> Any:
        known = [field.alias or name for name, field in cls.model_fields.items()]
        for name in given if isinstance(given, dict) else ():
            if name not in known:
                raise ValueError(
                    f'there is no "{name}"{nearest(str(name), known)}: known are {", ".join(known)}'
                )
        return given


class DataSet(_Strict):
    """How one data set is prepared: session files, or reviews with games; paths below the data root."""

    title: str = ""
    train_sessions: str | None = None
    test_sessions: str | None = None
    reviews: list[str] = []
    games: str | None = None
    changes: dict[str, Any] = Field({}, alias="set")
    """Options of ``srec prepare``, by the names of its settings."""

    @model_validator(mode="after")
    def _one_kind(self) -> "DataSet":
        sessions, reviews = (self.train_sessions, self.test_sessions), (self.reviews, self.games)
        if not (all(sessions) and not any(reviews)) and not (all(reviews) and not any(sessions)):
            raise ValueError("name either train_sessions with test_sessions, or reviews with games")
        (ReviewSettings if self.reviews else SessionSettings)(**self.changes)
        return self


class Blend(_Strict):
    """Two rows whose runs of the same seed and data set are blended; a blend among them stands above."""

    run: str
    partner: str = Field(alias="with")
    changes: Changes = Field({}, alias="set")
    """Options of ``srec blend``."""


class Row(_Strict):
    """One row: a model with its settings, a blend of two rows, or only figures that others published."""

    label: str = Field(min_length=1)
    model: str | None = None
    preset: str = "paper"
    changes: Changes = Field({}, alias="set")
    changes_for: dict[str, Changes] = Field({}, alias="set_for")
    """Settings of one data set, over ``set``."""
    blend: Blend | None = None
    data: list[str] | None = None
    """The data sets of this row; unset: all."""
    seeds: int | list[int] | None = None
    """How many, from 0, or which; unset: the table's."""
    stability: bool = False
    published: dict[str, dict[str, float]] = {}
    """By data set: metric -> percent."""
    note: str = ""

    @model_validator(mode="after")
    def _one_source(self) -> "Row":
        if self.model is not None and self.blend is not None:
            raise ValueError("a row has either a model or a blend")
        if self.model is None and self.blend is None and not self.published:
            raise ValueError("a row needs a model, a blend or published figures")
        for figures in self.published.values():
            _check_metrics(list(figures))
        return self

    @property
    def slug(self) -> str:
        """The label as a file name."""
        return re.sub(r"[^a-z0-9]+", "-", self.label.lower()).strip("-")

    @property
    def measured(self) -> bool:
        """Whether there is something to train."""
        return self.model is not None or self.blend is not None

    def settings(self, dataset: str) -> dict[str, str]:
        """What ``srec train --set`` is told for one data set, by name."""
        return {
            name: text(value) for name, value in {**self.changes, **self.changes_for.get(dataset, {})}.items()
        }


class TableConfig(_Strict):
    """A whole table."""

    title: str
    about: str = ""
    data: dict[str, DataSet] = Field(min_length=1)
    rows: list[Row] = Field(min_length=1)
    seeds: int | list[int] = 1
    metrics: list[str] = ["recall@20", "mrr@20"]
    beyond: list[str] = ["coverage@20", "distance@20", "percentile@20", "top_share@20"]
    split: Literal["validation", "test"] = "test"
    exclude_clicked: bool | None = None
    """Whether clicked items stay out of the answers; unset: out for reviews, in for session files."""
    served: bool = False
    """Whether each row's first run is also exported and asked as the service is, for its milliseconds."""
    stability_sessions: int = Field(1000, ge=1)
    base: str | None = None
    """The row that all others are compared with, example by example."""

    @model_validator(mode="after")
    def _fits_together(self) -> "TableConfig":
        _check_metrics([*self.metrics, *self.beyond])
        slugs = [row.slug for row in self.rows]
        for row, slug in zip(self.rows, slugs, strict=True):
            if slugs.count(slug) > 1:
                raise ValueError(f'the label "{row.label}" occurs twice, or differs in signs only')
            for dataset in (*(row.data or ()), *row.changes_for, *row.published):
                _check_name("data set", dataset, list(self.data))
        models = [row.label for row in self.rows if row.model]
        if self.base is not None:
            _check_name("row with a model", self.base, models)
        blends: list[str] = []
        for row in self.rows:
            if row.blend is not None:
                for name in (row.blend.run, row.blend.partner):
                    _check_name("row with a model, or blend above,", name, [*models, *blends])
                blends.append(row.label)
        return self

    def datasets_of(self, row: Row) -> list[str]:
        """The names of a row's data sets, in the table's order."""
        return [name for name in self.data if row.data is None or name in row.data]

    def seeds_of(self, row: Row) -> list[int]:
        """The seeds of a row, in order."""
        seeds = self.seeds if row.seeds is None else row.seeds
        return list(range(seeds)) if isinstance(seeds, int) else seeds

    def row(self, label: str) -> Row:
        """The row of this label; ``InputError`` naming the nearest where there is none."""
        for row in self.rows:
            if row.label == label:
                return row
        labels = [row.label for row in self.rows]
        raise InputError(f'there is no row "{label}"{nearest(label, labels)}: {", ".join(labels)}')

    def check_datasets(self, names: Iterable[str]) -> None:
        """``InputError`` where one of the names is no data set of the table."""
        for name in names:
            if name not in self.data:
                raise InputError(
                    f'there is no data set "{name}"{nearest(name, self.data)}: {", ".join(self.data)}'
                )


def read_config(path: Path) -> TableConfig:
    """Read and check; ``InputError`` says where, which value and what is known."""
    try:
        content = yaml.safe_load(path.read_text())
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from None
    except yaml.YAMLError as error:
        raise InputError(f"{path} is no YAML: {error}") from None
    try:
        config = TableConfig.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        message = first["msg"].removeprefix("Value error, ")
        raise InputError(f"{path}{': ' + where if where else ''}: {message}") from None
    _check_settings(path, config)
    return config


def text(value: Scalar) -> str:
    """A YAML value as it is written on the command line."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _check_settings(path: Path, config: TableConfig) -> None:
    """Every row's model, preset and settings exist: not found out after hours."""
    for row in config.rows:
        for dataset in config.datasets_of(row) if row.model else ():
            try:
                resolve(row.model or "", row.preset, row.settings(dataset))
            except InputError as error:
                raise InputError(f'{path}: row "{row.label}" for {dataset}: {error}') from None


def _check_metrics(names: list[str]) -> None:
    for name in names:
        _check_name("metric", name, list(KNOWN_METRICS))


def _check_name(what: str, name: str, known: list[str]) -> None:
    if name not in known:
        raise ValueError(f'there is no {what} "{name}"{nearest(name, known)}: known are {", ".join(known)}')
