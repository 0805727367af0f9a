"""A new version beside the old one, checked, then in its place; a failure changes nothing."""

import contextlib
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from srec.errors import DataError, HostError, InputError, SrecError
from srec.export.archive import read_archive, read_manifest
from srec.lock import held
from srec.serve_config.archives import Archives, History
from srec.serve_config.checks import Comparison, check_golden, compare
from srec.serve_config.management import Management
from srec.serve_config.running import RunningService
from srec.serve_config.service import NO_REDIS
from srec.serve_config.staging import move, stage, take
from srec.serve_config.worker_log import settled_error, worker_error
from srec.serving.artifact import Artifact

KEPT = 5  # archives before the served one
START_SECONDS = 180.0
_STAGED = "deploy.mar"
_POLL_SECONDS = 0.2

Say = Callable[[str], None]
Load = Callable[[Artifact, str], None]
Check = Callable[[Artifact, str, str], None]


@dataclass(frozen=True)
class Shadow:
    """The sample that both versions answer before the switch.

    Attributes:
        sessions_of: sessions of appids, given the new artifact.
        least_overlap: refuse the new version below this share of equal games.
    """

    sessions_of: Callable[[Artifact], list[list[int]]]
    least_overlap: float = 0.0


def deploy(mar: Path, management_url: str, load: Load, shadow: Shadow, say: Say, *, keep: int = KEPT) -> str:
    """Serve ``mar`` in place of what the service at ``management_url`` serves; returns its version.

    The new version is registered beside the old one, gets as many workers, must answer its golden sessions
    over HTTP and stand beside the old one on ``shadow``, and becomes the default. What the old one has in its
    queue is answered before its workers end. ``srec.mar``, what a cold start loads, is replaced last.

    Args:
        mar: an archive of `srec archive`.
        management_url: of a running `srec serve` on this machine.
        load: puts the artifact's neighbours into the Redis of this URL.
        shadow: the sample.
        say: is told what happens, a line a step.
        keep: archives to keep for a rollback.

    Raises:
        InputError, DataError, HostError: nothing has changed, the old version serves.
    """
    version = _version(mar)
    with _exclusive(management_url) as change:
        served = change.served
        if version == served:
            raise InputError(f"version {version} is what the service already serves: deploy another archive")
        before = change.before_now()
        new = change.archives.keep(mar, version)
        try:
            change.archives.keep(change.original, change.started)
            history = History(served=version, before=[*before, served])
            change.switch(history, load, lambda *three: _check_shadow(shadow, say, *three), say, keep)
        except BaseException:
            if new:
                change.archives.forget(version)
            raise
        change.finish(version, say)
    return version


def rollback(management_url: str, load: Load, say: Say) -> str:
    """Serve again what was served before the last deployment; returns its version. Raises as ``deploy``."""
    with _exclusive(management_url) as change:
        before = change.before_now()
        if not before:
            raise InputError("there is no earlier version to go back to: `srec deploy` has replaced none")
        if not change.archives.path(before[-1]).exists():
            raise HostError(f"{change.archives.path(before[-1])} is gone: deploy an archive instead")
        history = History(served=before[-1], before=before[:-1])
        change.switch(history, load, lambda *_: None, say, max(KEPT, len(before)))
        change.finish(before[-1], say)
        return before[-1]


class _Change:
    """One change of the version that a running service serves."""

    def __init__(self, service: RunningService) -> None:
        self.service = service
        self.archives = Archives(service.mar)
        self.original = service.folder / "srec.mar"
        self._management = Management(service.management_url)
        self.served = self._management.default().name
        self.started = _version(self.original)
        """What a restart of TorchServe loads: another version where a change was killed after its switch."""

    def before_now(self) -> list[str]:
        """The versions before the served one, the newest last; none when it was not deployed."""
        history = self.archives.history() or History(served=self.started)
        if history.served == self.served:
            return list(history.before)
        if self.started == self.served:
            return []
        # Killed between its switch and its note in the history.
        return [*(history.before if history.served == self.started else []), self.started]

    def switch(self, history: History, load: Load, check: Check, say: Say, keep: int) -> None:
        """Bring up ``history.served``, check it, make it the default; a failure undoes all of it."""
        version, archive = history.served, self.archives.path(history.served)
        staged = self.service.model_store / _STAGED
        self._end_leftovers(say)
        with ExitStack() as undo, read_archive(archive) as folder:
            artifact = Artifact(folder)
            if self.service.redis_url != NO_REDIS:
                load(artifact, self.service.redis_url)
            take(archive, self.service.folder / _STAGED, self.service.verify_key)
            stage(self.service.folder / _STAGED, staged, self.service.response_timeout)
            undo.callback(staged.unlink, missing_ok=True)
            undo.callback(self._unregister_quietly, version)
            self._start(version)
            say(f"version {version} is ready beside {self.served}")
            old_url, new_url = (f"{self.service.predictions_url}/{one}" for one in (self.served, version))
            say(f"answered {check_golden(new_url, artifact)} golden sessions as at its export")
            check(artifact, old_url, new_url)
            undo.callback(self._management.set_default, self.served)
            self._management.set_default(version)
            self.archives.serve(history, keep, self.started)
            undo.pop_all()

    def finish(self, version: str, say: Say) -> None:
        """After the switch: let restarts load ``version``, end the old one. What fails now undoes nothing."""
        say(f"version {version} serves; {self.served} finishes what it has")
        try:
            (self.service.model_store / _STAGED).replace(self.service.model_store / "srec.mar")
            move(self.service.folder / _STAGED, self.original)
            self._end(self.served)
        except (SrecError, OSError) as error:
            say(f"but {self.served} was not ended ({error}): the next deploy or rollback ends it")

    def _start(self, version: str) -> None:
        """Register and wait until every worker has loaded the model and replayed its golden sessions."""
        log = self.service.log_folder / "torchserve.log"
        position = log.stat().st_size if log.exists() else 0

        def error() -> str | None:
            return worker_error(_since(log, position), f"srec_{version}")

        deadline = time.monotonic() + START_SECONDS
        self._management.register(_STAGED)
        self._management.scale(version, self.service.workers)
        while self._management.versions()[version].ready < self.service.workers:
            if error() is not None:
                raise DataError(f"the new model does not load in its worker: {settled_error(error)}")
            if time.monotonic() > deadline:
                raise HostError(f"version {version} was not ready after {START_SECONDS:g} s; see {log}")
            time.sleep(_POLL_SECONDS)

    def _end(self, version: str) -> None:
        """Unregister a version that is no longer the default, once nobody can wait for it any more."""
        while (old := self._management.versions()[version]).waiting:
            time.sleep(_POLL_SECONDS)
        # What a worker took from the queue is answered or failed within this limit: TorchServe sees to it.
        time.sleep(old.response_timeout)
        self._management.unregister(version)

    def _end_leftovers(self, say: Say) -> None:
        """What stands beside the served version was left by a change that was killed: nothing undid it."""
        for version in self._management.versions().keys() - {self.served}:
            say(f"version {version} is left of a change that was broken off: it ends")
            self._end(version)

    def _unregister_quietly(self, version: str) -> None:
        with contextlib.suppress(HostError):  # the first failure is the one to report
            self._management.unregister(version)


def _check_shadow(shadow: Shadow, say: Say, artifact: Artifact, old_url: str, new_url: str) -> None:
    result: Comparison = compare(old_url, new_url, shadow.sessions_of(artifact))
    say(str(result))
    if result.overlap < shadow.least_overlap:
        raise SrecError(
            f"the new version shares {result.overlap:.0%} of the ten best games with the old one, less than "
            f"the {shadow.least_overlap:.0%} asked for: the old one goes on serving"
        )


@contextmanager
def _exclusive(management_url: str) -> Iterator[_Change]:
    """The change to make, one at a time for a service."""
    service = RunningService.find(management_url)
    busy = HostError("another deploy or rollback of this service is under way: wait for its end")
    with held(service.folder / "deploy.lock", busy):
        yield _Change(service)


def _since(log: Path, position: int) -> str:
    """What was logged after ``position``; from the start if the file was rolled over since."""
    if not log.exists():
        return ""
    with log.open("rb") as stream:
        stream.seek(position if position <= log.stat().st_size else 0)
        return stream.read().decode(errors="replace")


def _version(mar: Path) -> str:
    return str(read_manifest(mar)["model"]["modelVersion"])
