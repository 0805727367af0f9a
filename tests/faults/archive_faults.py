"""Archives that must not be served, and changes of the version that fail or are broken off."""

import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

from srec.export.archive import build_archive
from tests.conftest import srec
from tests.faults.measure import Course, Fault
from tests.line.test_cli import free_port
from tests.waiting import LIMIT, wait_until

_BROKEN = """
class Broken:
    def initialize(self, context):
        raise ValueError("this model cannot be loaded")

    def handle(self, rows, context):
        return rows
"""
_CHANGED = "catalogue.json"


def with_broken_handler(artifact: Path, folder: Path) -> Path:
    """An archive whose worker ends as it starts."""
    folder.mkdir(exist_ok=True)
    handler = folder / "srec_handler.py"
    handler.write_text(_BROKEN)
    return build_archive(artifact, folder, "broken", handler=handler)


def with_wrong_digest(artifact: Path, folder: Path) -> Path:
    """A well-made archive of which one file is not the one that was exported."""
    changed = folder / "changed.mar"
    with (
        zipfile.ZipFile(build_archive(artifact, folder, "wrong")) as source,
        zipfile.ZipFile(changed, "w") as sink,
    ):
        for entry in source.infolist():
            content = source.read(entry)
            if entry.filename == _CHANGED:
                content = content.replace(b"Portal", b"portal", 1)
                assert content != source.read(entry)
            sink.writestr(entry, content)
    return changed


def refused_at_start(mar: Path, temporary: Path) -> str:
    """Start `srec serve` with it: it must end by itself with an error; returns what it said last."""
    temporary.mkdir()
    done = subprocess.run(
        [sys.executable, "-m", "srec", "serve", "--mar", mar, "--port", str(free_port()), "--workers", "2"],
        env={**_environment(), "TMPDIR": str(temporary)},
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )
    assert done.returncode == 1, done
    assert "curl" not in done.stdout, done.stdout  # nothing was served
    assert list(temporary.iterdir()) == []
    return _last_line(done.stderr)


def _deployed(course: Course, mar: Path) -> str:
    """Deploy what must be refused; returns the reason."""
    before = course.rig.versions()
    done = srec("deploy", mar, "--management", course.rig.record["management_url"])
    assert done.returncode == 1, done
    assert course.rig.versions() == before
    return _last_line(done.stderr)


def broken_handler(course: Course) -> None:
    mar = with_broken_handler(course.rig.artifact, course.rig.folder / "broken")
    course.note = _deployed(course, mar)


def wrong_digest(course: Course) -> None:
    mar = with_wrong_digest(course.rig.artifact, course.rig.folder / "wrong")
    course.note = _deployed(course, mar)


def broken_off(course: Course) -> None:
    """`srec deploy` is killed when the new version has workers: the old one serves, a second try succeeds."""
    new = build_archive(course.rig.artifact, course.rig.folder / "new", "new")
    url = course.rig.record["management_url"]
    deploy = subprocess.Popen([sys.executable, "-m", "srec", "deploy", new, "--management", url])
    (old,) = course.rig.versions()
    try:
        wait_until(lambda: bool(course.rig.versions().get("new")), "a worker of the new version")
    finally:
        deploy.kill()
        deploy.wait()
        course.over()
    course.load.versions.clear()
    course.go_on()
    assert set(course.load.versions) == {old}
    again = srec("deploy", new, "--management", url)
    assert again.returncode == 0, again.stderr
    course.recover(lambda: list(course.rig.versions()) == ["new"], "the new version alone")


def there_and_back(course: Course) -> None:
    """`srec deploy`, then `srec rollback`."""
    url = course.rig.record["management_url"]
    newer = build_archive(course.rig.artifact, course.rig.folder / "newer", "newer")
    (old,) = course.rig.versions()
    for arguments, version in ((("deploy", newer), "newer"), (("rollback",), old)):
        done = srec(*arguments, "--management", url)
        assert done.returncode == 0, done.stderr
        course.load.versions.clear()
        course.go_on()
        assert set(course.load.versions) == {version}


DIGEST = Fault("`srec deploy` of an archive with a wrong digest", wrong_digest)
HANDLER = Fault("`srec deploy` of an archive with a broken handler", broken_handler)
BROKEN_OFF = Fault("`srec deploy` killed half way, then repeated", broken_off)
THERE_AND_BACK = Fault("`srec deploy` and `srec rollback`", there_and_back)


def _environment() -> dict[str, str]:
    return {**os.environ, "SREC_REDIS_URL": "", "SREC_FREE_PORTS": "1"}


def _last_line(text: str) -> str:
    """What was said last, without the folders of this run."""
    return re.sub(r"/\S*/", "", text.strip().splitlines()[-1])
