"""One load test from settings to report; Locust runs in processes of its own.

Locust patches the standard library for gevent as soon as it is imported, so it is never imported here.
"""

import contextlib
import hashlib
import importlib.metadata
import importlib.util
import json
import math
import os
import platform
import signal
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import srec
from srec.api_key import key_header
from srec.errors import HostError
from srec.io import new_file, write_json
from srec.loadtest.inputs import Session, make_sessions
from srec.loadtest.page import html, plot
from srec.loadtest.report import LoadReport, machine, step_reports, timeline, warnings_of
from srec.loadtest.samples import Samples, read_samples
from srec.loadtest.schedule import steps_to_text
from srec.loadtest.settings import LoadSettings

Progress = Callable[[str], None]

SCENARIO = Path(__file__).resolve().with_name("locustfile.py")
START_SECONDS = 60.0  # a loaded machine may take long to start Python, gevent and the users


def run_loadtest(
    settings: LoadSettings, progress: Progress = lambda _: None, appids: Sequence[int] = ()
) -> LoadReport:
    """Put a running server under load and hold the figures against the thresholds.

    Args:
        settings: what to send, how fast, how long; where reports are written.
        progress: called with a line of text when something begins.
        appids: the catalogue that sessions are drawn from; not needed for a file of sessions.

    Raises:
        InputError: no sessions can be made.
        HostError: the server does not answer, the first answer is no 200, or Locust does not run.
    """
    sessions = make_sessions(settings.inputs, appids)
    progress(f"asking {settings.url}{settings.path} once")
    _probe(settings, sessions[0])
    started = datetime.now(UTC).isoformat(timespec="seconds")
    with tempfile.TemporaryDirectory(prefix="srec-loadtest-") as name:
        folder = Path(name)
        digest = _write_sessions(folder / "sessions.txt", sessions)
        samples = _run_locust(settings, folder, progress)
    steps = step_reports(samples, settings)
    report = LoadReport(
        settings=settings,
        sessions=len(sessions),
        sessions_sha256=digest,
        versions=_versions(),
        machine=machine(),
        started=started,
        steps=steps,
        timeline=timeline(samples, settings),
        warnings=warnings_of(steps),
        passed=all(step.passed for step in steps),
    )
    _write(report)
    return report


def _write(report: LoadReport) -> None:
    settings = report.settings
    if settings.json_file:
        write_json(settings.json_file, report.model_dump(mode="json"))
    for path, text in ((settings.html_file, html), (settings.plot_file, plot)):
        if path:
            with new_file(path) as temporary:
                temporary.write_text(text(report))


def _probe(settings: LoadSettings, clicks: Session) -> None:
    """Send one request, so that a wrong address fails with one message instead of a million failures."""
    url = settings.url + settings.path
    headers = key_header() | {"Content-Type": "application/json"}
    body = json.dumps({"appids": clicks, "k": settings.k}).encode()
    request = urllib.request.Request(url, body, headers)  # noqa: S310 - settings take http(s) only
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # the load goes directly, too
    try:
        with opener.open(request, timeout=settings.timeout_seconds) as response:
            status, answer = response.status, response.read()
    except urllib.error.HTTPError as error:
        with error:
            status, answer = error.code, error.read()
    except (OSError, urllib.error.URLError) as error:
        reason = getattr(error, "reason", None) or error
        raise HostError(
            f"{url} does not answer ({reason}): is the server running, is the port right?"
        ) from None
    if status != 200:
        text = " ".join(answer.decode(errors="replace").split())[:300] or "(empty)"
        raise HostError(f"{url} answered the first request with status {status} instead of 200: {text}")


def _write_sessions(path: Path, sessions: Sequence[Session]) -> str:
    text = "".join(" ".join(map(str, clicks)) + "\n" for clicks in sessions).encode()
    path.write_bytes(text)
    return hashlib.sha256(text).hexdigest()


def _run_locust(settings: LoadSettings, folder: Path, progress: Progress) -> list[Samples]:
    if importlib.util.find_spec("locust") is None:
        raise HostError('Locust is not installed: pip install "srec[loadtest]"')
    results = folder / "samples"
    results.mkdir()
    log = folder / "log.txt"
    with log.open("wb") as stream, _locust(settings, folder, stream.fileno()) as process:
        code = _follow(process, settings, progress)
    samples = read_samples(results)
    if code != 0 or not samples:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
        state = "was stopped, it took too long" if code is None else f"ended with {code}"
        raise HostError(
            f"Locust {state} and {'some' if samples else 'no'} measurements; its last lines:\n{tail}"
        )
    return samples


@contextlib.contextmanager
def _locust(settings: LoadSettings, folder: Path, log: int) -> Iterator[subprocess.Popen[bytes]]:
    """Locust in a process group of its own, of which nothing is left afterwards."""
    process = subprocess.Popen(  # noqa: S603 - our own scenario, settings are validated
        _command(settings),
        cwd=folder,  # away from any locust.conf
        env=_environment(settings, folder),
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        for sign in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, sign)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=5)


def _command(settings: LoadSettings) -> list[str]:
    total = math.ceil(sum(step.seconds for step in settings.steps))
    users = str(settings.users)
    options = ["--headless", "--only-summary", "--exit-code-on-error", "0", "--host", settings.url]
    options += ["--users", users, "--spawn-rate", users]
    # The scenario ends by itself after the steps; whatever is under way then may finish.
    options += ["--run-time", f"{total + math.ceil(START_SECONDS)}s"]
    options += ["--stop-timeout", f"{math.ceil(settings.timeout_seconds)}s"]
    if settings.processes > 1:
        options += ["--processes", str(settings.processes)]
    return [sys.executable, "-m", "locust", "-f", str(SCENARIO), *options]


def _environment(settings: LoadSettings, folder: Path) -> dict[str, str]:
    # LOCUST_* variables are options to Locust, and would change what the report says was run.
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("LOCUST_", "SREC_LOADTEST_"))}
    return kept | {
        "SREC_LOADTEST_SESSIONS": str(folder / "sessions.txt"),
        "SREC_LOADTEST_STEPS": steps_to_text(settings.steps),
        "SREC_LOADTEST_PATH": settings.path,
        "SREC_LOADTEST_K": str(settings.k),
        "SREC_LOADTEST_TIMEOUT": str(settings.timeout_seconds),
        "SREC_LOADTEST_SAMPLES": str(folder / "samples"),
    }


def _follow(process: subprocess.Popen[bytes], settings: LoadSettings, progress: Progress) -> int | None:
    """Tell of each step as it begins; the exit code, or None for a Locust that does not end."""
    for number, step in enumerate(settings.steps, start=1):
        progress(f"step {number} of {len(settings.steps)}: {step.name}, {step.seconds:g} s")
        with contextlib.suppress(subprocess.TimeoutExpired):
            return process.wait(timeout=step.seconds)
    with contextlib.suppress(subprocess.TimeoutExpired):
        return process.wait(timeout=settings.timeout_seconds + START_SECONDS)
    return None


def _versions() -> dict[str, str]:
    return {
        "srec": srec.__version__,
        "locust": importlib.metadata.version("locust"),
        "python": platform.python_version(),
    }
