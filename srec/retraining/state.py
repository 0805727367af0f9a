"""The folder that retraining lives in: versions, which one is good, and which one is in the making.

    STATE/
    ├── current    -> versions/ID: the last good one; switched in one step
    ├── candidate  -> versions/ID: the one in the making, until it is good or refused
    ├── versions/ID/  data/, run/, artifact/, srec.mar, plan.json, record.json
    └── refused/ID.json

A version is good once ``current`` points at it. A process that dies anywhere leaves ``current`` as it was.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from srec.errors import HostError, InputError
from srec.io import read_json, write_json
from srec.lock import held

RECORD, PLAN, ARCHIVE = "record.json", "plan.json", "srec.mar"


class State:
    """One such folder; made on first use."""

    def __init__(self, folder: Path) -> None:
        """Open; ``InputError`` where the folder holds something else."""
        if folder.exists() and any(folder.iterdir()) and not (folder / "versions").is_dir():
            raise InputError(f"{folder} exists and is no state of `srec retrain`: name another folder")
        (folder / "versions").mkdir(parents=True, exist_ok=True)
        self.folder = folder

    @contextmanager
    def locked(self) -> Iterator[None]:
        """One retraining at a time; ``HostError`` while another is under way. Ends with its process."""
        busy = HostError(f"another retraining in {self.folder} is under way: wait for its end")
        with held(self.folder / "lock", busy):
            yield

    @property
    def current(self) -> Path | None:
        """The last good version; None before the first."""
        return self._target("current")

    @property
    def candidate(self) -> Path | None:
        """The version in the making, if one is."""
        return self._target("candidate")

    def predecessor(self, version: Path) -> Path | None:
        """The good version before this one, if it is kept."""
        name = read_json(version / RECORD)["predecessor"]
        found = self.folder / "versions" / str(name)
        return found if name and found.is_dir() else None

    def begin(self, plan: dict[str, Any], moment: datetime) -> tuple[Path, bool]:
        """The candidate for this plan, and whether it was begun before; one of another plan is removed."""
        found = self.candidate
        if found is not None and found != self.current and _plan_of(found) == plan:
            return found, True
        self.discard()
        version = self.folder / "versions" / moment.strftime("%Y%m%dT%H%M%S%f")
        version.mkdir()
        self._point("candidate", version)
        write_json(version / PLAN, plan)
        return version, False

    def accept(self, version: Path, keep: int) -> None:
        """Let a version be the good one, and remove all but the last ``keep`` good ones before it."""
        self._point("current", version)
        (self.folder / "candidate").unlink()
        kept, before = {version}, self.predecessor(version)
        while before is not None and len(kept) <= keep:
            kept.add(before)
            before = self.predecessor(before)
        self._remove_but(kept)

    def refuse(self, version: Path, record: dict[str, Any]) -> Path:
        """Keep the record of a refused version and remove the rest; the path of the record."""
        path = self.folder / "refused" / f"{version.name}.json"
        write_json(path, record)
        self.discard()
        return path

    def discard(self) -> None:
        """Remove the candidate and what was left of others; the good versions stay."""
        (self.folder / "candidate").unlink(missing_ok=True)
        kept: set[Path] = set()
        version = self.current
        while version is not None:
            kept.add(version)
            version = self.predecessor(version)
        self._remove_but(kept)

    def go_back(self) -> Path:
        """Let the predecessor be the good version, ``InputError`` without one.

        The version that is left stays until the next retraining.
        """
        version = self.current
        before = version and self.predecessor(version)
        if before is None:
            raise InputError(f"{self.folder} keeps no version before the current one: there is no way back")
        self._point("current", before)
        return before

    def _target(self, name: str) -> Path | None:
        link = self.folder / name
        if not link.is_symlink():
            return None
        found = self.folder / link.readlink()
        return found if found.is_dir() else None

    def _point(self, name: str, version: Path) -> None:
        """Switch a link in one step."""
        temporary = self.folder / f".{name}.{os.getpid()}"
        temporary.unlink(missing_ok=True)
        temporary.symlink_to(version.relative_to(self.folder))
        temporary.replace(self.folder / name)

    def _remove_but(self, kept: set[Path]) -> None:
        for version in (self.folder / "versions").iterdir():
            if version not in kept:
                shutil.rmtree(version)


def _plan_of(version: Path) -> Any:
    return read_json(version / PLAN) if (version / PLAN).is_file() else None
