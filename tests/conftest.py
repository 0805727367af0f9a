"""The demo line, run once for all tests that need a trained model, by the commands that a user would run."""

import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from srec.serve_config.folders import temporary_folder

ROOT = Path(__file__).resolve().parent.parent

# Tests look for a service in the folder they gave it: one whose path services can use, without a dot.
tempfile.tempdir = os.environ["TMPDIR"] = str(temporary_folder())


def srec(*arguments: object, environment: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run the command as a user would; the caller looks at exit code and output."""
    return subprocess.run(
        [sys.executable, "-m", "srec", *map(str, arguments)],
        env={**os.environ, "SREC_REDIS_URL": "", **(environment or {})},
        capture_output=True,
        text=True,
        check=False,
    )


def srec_ok(*arguments: object) -> str:
    """The same for what must succeed; returns its standard output."""
    done = srec(*arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@dataclass(frozen=True)
class Line:
    """Folders of the demo, from reviews to archive."""

    reviews: Path
    data: Path
    run: Path
    artifact: Path
    mar: Path


@pytest.fixture(scope="session")
def line(tmp_path_factory: pytest.TempPathFactory) -> Line:
    """demo-data, prepare, train, export, archive; about a minute on two cores.

    SREC_TEST_RUN names a folder that holds the trained run, as `make demo` makes it, or is to keep it: export
    and archive are then all that is done here.
    """
    folder = tmp_path_factory.mktemp("line")
    kept = Path(os.environ.get("SREC_TEST_RUN") or folder)
    made = Line(
        kept / "reviews",
        kept / "data",
        kept / "run",
        folder / "artifact",
        folder / "store" / "srec.mar",
    )
    reviews, games = made.reviews / "reviews.csv", made.reviews / "games.jsonl"
    if not (made.run / "run.json").exists():
        srec_ok("demo-data", "--out", made.reviews)
        srec_ok("prepare", "--reviews", reviews, "--games", games, "--tag-width", 48, "--out", made.data)
        srec_ok("train", "--data", made.data, "--preset", "tiny", "--out", made.run)
    srec_ok("export", "--run", made.run, "--out", made.artifact)
    srec_ok("archive", "--artifact", made.artifact, "--out", made.mar.parent)
    return made


@pytest.fixture(scope="session")
def markov(line: Line, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A second model over the demo's DATA, which is trained in no time."""
    out = tmp_path_factory.mktemp("markov") / "run"
    srec_ok("train", "--data", line.data, "--model", "markov", "--out", out)
    return out
