"""New reviews -> prepare, train from the last good run, judge, export, archive, switch.

Every step leaves a whole folder or nothing: what was broken off goes on behind its last finished step when it
is started again with the same files and settings, and starts clean otherwise.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

import srec
from srec.data.dataset import Dataset
from srec.export.archive import build_archive
from srec.export.pipeline import export_run
from srec.io import write_json
from srec.models import model_class
from srec.prepare import ReviewSettings, prepare_reviews
from srec.prepare.engine import Engine
from srec.prepare.files import stamps
from srec.prepare.games_files import read_games
from srec.retraining.judge import Verdict, judge
from srec.retraining.state import ARCHIVE, RECORD, State
from srec.serving.artifact import Artifact
from srec.training.new_games import add_games, released_lately
from srec.training.run import Run
from srec.training.settings import RunSettings
from srec.training.train import Report, train

Say = Callable[[str], None]


class RetrainSettings(BaseModel):
    """All that decides a retraining but the files; kept in its plan and record."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    prepare: ReviewSettings
    run: RunSettings
    tolerance: float = Field(0.05, ge=0, le=1)
    """Share of the current model's figure (``select_by``) that a new one may lose on the new validation."""
    warm: bool = True
    """Start from the current run."""
    new_games: bool = False
    """Add games that came after the training, see ``srec.training.new_games``."""
    keep: int = Field(3, ge=1)
    """Good versions to keep before the current one."""


@dataclass(frozen=True)
class Retraining:
    """How it ended: ``accepted``, ``refused`` or ``unchanged``, why, and the archive that is good now."""

    decision: str
    reason: str
    archive: Path | None


def retrain(
    state: State, reviews: Sequence[str], games: str, settings: RetrainSettings, *, report: Report, say: Say
) -> Retraining:
    """Make a new version from these reviews; the last good one is untouched until the new one is complete.

    Raises:
        HostError: another retraining is under way.
        InputError, DataError: a step failed; what is finished of the candidate is used by the next run.
    """
    with state.locked():
        moment = datetime.now(UTC)
        version, resumed = state.begin(_plan(reviews, games, settings, state.current, moment), moment)
        if resumed:
            say(f"going on with {version}")
        return _Candidate(state, version, settings, say).make(reviews, games, report)


class _Candidate:
    """One version in the making."""

    def __init__(self, state: State, version: Path, settings: RetrainSettings, say: Say) -> None:
        self.state, self.version, self.settings, self.say = state, version, settings, say
        self.current = state.current
        self.began = datetime.now(UTC)

    def make(self, reviews: Sequence[str], games: str, report: Report) -> Retraining:
        data = self._data(reviews, games)
        old = None if self.current is None else Run(self.current / "run")
        if old is not None and old.record["data"]["digest"] == data.digest:
            self.state.discard()
            return self._ended("unchanged", "the reviews and games are those of the current version")
        new = self._run(data, old, report)
        verdict = judge(new, old, data, self.settings.run.training.select_by, self.settings.tolerance)
        if verdict.refused is not None:
            path = self.state.refuse(self.version, self._record(data, new, verdict))
            return self._ended("refused", f"{verdict.refused}; the record is {path}")
        self._archive(self._with_new_games(new, games, data))
        write_json(self.version / RECORD, self._record(data, new, verdict))
        self.state.accept(self.version, self.settings.keep)
        return self._ended("accepted", self._figures(verdict))

    def _data(self, reviews: Sequence[str], games: str) -> Dataset:
        folder = self.version / "data"
        if not folder.exists():
            prepare_reviews(reviews, games, folder, self.settings.prepare, self.say)
        data = Dataset(folder)
        data.verify()
        return data

    def _run(self, data: Dataset, old: Run | None, report: Report) -> Run:
        folder = self.version / "run"
        if not folder.exists():
            begun = (self.version / ".run.training").exists()
            learns = model_class(self.settings.run.model).trained_by_gradient
            earlier = old if self.settings.warm and learns else None
            train(data, self.settings.run, folder, resume=begun, report=report, earlier=earlier)
        return Run(folder)

    def _with_new_games(self, run: Run, games: str, data: Dataset) -> Run:
        if not self.settings.new_games:
            return run
        with Engine(self.version) as engine:
            known, _ = read_games(engine, games)
        newest = datetime.fromtimestamp(data.manifest["split"]["test_until"], UTC)
        new = released_lately(known, run, newest.date())
        if not new:
            self.say("there is no new game")
            return run
        add_games(run, new, self.version / "wide")
        self.say(f"added {len(new):,} new games")
        return Run(self.version / "wide")

    def _archive(self, run: Run) -> None:
        artifact = self.version / "artifact"
        self.say("exporting")
        export_run(run, artifact, "fast")
        build_archive(artifact, self.version, check=lambda folder: Artifact(folder).self_test())

    def _record(self, data: Dataset, new: Run, verdict: Verdict) -> dict[str, Any]:
        return {
            "srec": srec.__version__,
            "decision": "accepted" if verdict.refused is None else "refused",
            "reason": verdict.refused,
            "began": self.began.isoformat(timespec="seconds"),
            "ended": datetime.now(UTC).isoformat(timespec="seconds"),
            "predecessor": None if self.current is None else self.current.name,
            "data": {
                "digest": data.digest,
                "counts": data.manifest["counts"],
                "split": data.manifest["split"],
            },
            "run": new.digest,
            "metric": self.settings.run.training.select_by,
            "new": verdict.new,
            "old": verdict.old,
            "difference": verdict.difference,
            "settings": self.settings.model_dump(mode="json"),
        }

    def _figures(self, verdict: Verdict) -> str:
        metric = self.settings.run.training.select_by
        if verdict.old is None:
            return f"the first version, {metric} {verdict.new[metric]:.4f}"
        return f"{metric} {verdict.new[metric]:.4f}, the last version's {verdict.old[metric]:.4f}"

    def _ended(self, decision: str, reason: str) -> Retraining:
        current = self.state.current
        return Retraining(decision, reason, None if current is None else current / ARCHIVE)


def _plan(
    reviews: Sequence[str], games: str, settings: RetrainSettings, current: Path | None, moment: datetime
) -> dict[str, Any]:
    """What a candidate is made from; equal plans make the same candidate.

    Nothing tells whether what a URL names has changed: the moment stands for it, so that no plan is equal.
    """
    files = [*stamps(reviews, "reviews"), *stamps([games], "games")]
    return {
        "files": [[name, stamp or moment.isoformat()] for name, stamp in files],
        "settings": settings.model_dump(mode="json"),
        "current": None if current is None else current.name,
    }
