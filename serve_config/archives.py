"""The model store as a person sees it: every deployed archive, and which one a cold start loads.

`srec.mar` is what a cold start loads, `srec-VERSION.mar` the archives that were deployed, `versions.json`
their order.
"""

import shutil
from contextlib import suppress
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from srec.errors import DataError, HostError, InputError
from srec.io import read_json, sha256, write_json
from srec.serve_config.staging import signature_of, take

_HISTORY = "versions.json"


class History(BaseModel):
    """Which version is served, and which were before it, the newest last."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    served: str
    before: list[str] = []


class Archives:
    """The folder around ``mar``, the path of the archive for cold starts."""

    def __init__(self, mar: Path) -> None:
        self.mar = mar
        self._history = mar.parent / _HISTORY

    def path(self, version: str) -> Path:
        """Where the archive of ``version`` is kept."""
        return self.mar.with_name(f"{self.mar.stem}-{version}{self.mar.suffix}")

    def keep(self, archive: Path, version: str) -> bool:
        """Keep ``archive`` and its signature, if it has one; True if it was not there.

        ``InputError`` when another archive is kept under this version, ``HostError`` when the folder cannot
        be written to.
        """
        target = self.path(version)
        if target.exists() and sha256(target) != sha256(archive):
            raise InputError(
                f"{target} is kept, a different archive of the same version {version}: "
                "give the new one another with `srec archive --version`"
            )
        new = not target.exists()
        # One that is kept may have been signed, or signed anew, since.
        if new or signature_of(archive).exists():
            self._copy(archive, target)
        return new

    def forget(self, version: str) -> None:
        """Remove a kept archive."""
        for path in (self.path(version), signature_of(self.path(version))):
            path.unlink(missing_ok=True)

    def history(self) -> History | None:
        """What was deployed; None before the first deployment."""
        if not self._history.exists():
            return None
        try:
            return History.model_validate(read_json(self._history))
        except ValidationError:
            raise DataError(
                f"{self._history} is damaged: remove it; archives stay, rollback is lost"
            ) from None

    def serve(self, history: History, keep: int, instead_of: str) -> None:
        """Let cold starts load ``history.served``, and keep the last ``keep`` archives before it.

        ``HostError`` when the folder cannot be written to: then they load ``instead_of``, as before.
        """
        self._copy(self.path(history.served), self.mar)
        dropped, kept = history.before[:-keep], history.before[-keep:]
        try:
            write_json(self._history, {"served": history.served, "before": kept})
        except OSError as error:
            self._copy(self.path(instead_of), self.mar)
            raise _unwritten(self._history, error) from None
        for version in set(dropped) - {*kept, history.served}:
            with suppress(OSError):  # what cannot be removed is in nobody's way
                self.forget(version)

    def _copy(self, source: Path, target: Path) -> None:
        try:
            take(source, target)
            if signature_of(source).exists():
                shutil.copyfile(signature_of(source), signature_of(target))
            else:
                signature_of(target).unlink(missing_ok=True)
        except OSError as error:
            raise _unwritten(target, error) from None


def _unwritten(path: Path, error: OSError) -> HostError:
    return HostError(
        f"{path} cannot be written ({error.strerror}): "
        "deploying needs a model store that this user can write to"
    )
