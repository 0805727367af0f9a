"""Locust scenario: visitors that ask for recommendations, every request with clicks of its own.

``srec loadtest`` runs it; it also runs alone, headless or with Locust's web page:

    SREC_LOADTEST_APPIDS=appids.txt locust -f loadtest/locustfile.py --host http://127.0.0.1:8080

Environment:
    SREC_LOADTEST_SESSIONS  file of sessions to send, one a line, appids between blanks (gzip allowed)
    SREC_LOADTEST_APPIDS    without it: file of appids to draw from, between blanks or a line each
    SREC_LOADTEST_INPUTS    how to draw: "random" (the default) or "power-law"
    SREC_LOADTEST_SEED      seed of the draw, default 0
    SREC_LOADTEST_STEPS     load over time, like "5@200 30@1000": seconds at requests/s, or "30@max";
                            default: every user sends as soon as it has its answer, without end
    SREC_LOADTEST_PATH      default /predictions/srec
    SREC_LOADTEST_K         items asked for, default 20
    SREC_LOADTEST_TIMEOUT   seconds until a request counts as failed, default 10
    SREC_LOADTEST_SAMPLES   folder for the raw measurements; default: none are kept
    SREC_API_KEY            sent as X-API-Key

An answer fails unless its status is 200 and it holds k ranked items, none of which was clicked.
"""

import json
import os
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import gevent
from locust import FastHttpUser, events, task
from locust.env import Environment
from locust.runners import WorkerRunner

from srec.api_key import key_header
from srec.errors import InputError
from srec.loadtest.answers import fault
from srec.loadtest.inputs import Session, file_sessions, make_sessions
from srec.loadtest.samples import Recorder
from srec.loadtest.schedule import Arrivals, Step, steps_from_text
from srec.loadtest.settings import load_settings

UNTIL_STOPPED = 10 * 365 * 86_400.0
END_SECONDS = 2.0  # after the last step nothing is due; other processes' clocks may have started later
SAMPLES = os.environ.get("SREC_LOADTEST_SAMPLES")


def _sessions() -> list[Session]:
    inputs: dict[str, Any] = {"kind": os.environ.get("SREC_LOADTEST_INPUTS", "random")}
    inputs["seed"] = os.environ.get("SREC_LOADTEST_SEED", "0")
    sessions, catalogue = os.environ.get("SREC_LOADTEST_SESSIONS"), os.environ.get("SREC_LOADTEST_APPIDS")
    if sessions:
        inputs.update(kind="file", sessions=sessions)
    elif not catalogue:
        raise InputError("nothing to send: set SREC_LOADTEST_SESSIONS or SREC_LOADTEST_APPIDS to a file")
    appids = [appid for line in file_sessions(Path(catalogue)) for appid in line] if catalogue else []
    return make_sessions(load_settings({"url": "http://localhost", "inputs": inputs}).inputs, appids)


class Load:
    """What the users of this process share: what to send, when, and what came of it."""

    def __init__(self) -> None:
        self.sessions = _sessions()
        self.steps = steps_from_text(os.environ.get("SREC_LOADTEST_STEPS", "")) or (
            Step(UNTIL_STOPPED, None),
        )
        self.recorder = Recorder()
        self.begin(worker=0, workers=1)

    def begin(self, worker: int, workers: int) -> None:
        """Start the clock; this process is number ``worker`` of ``workers``."""
        self.arrivals = Arrivals(self.steps, worker, workers)
        self.turn: Iterator[int] = count(worker, workers)
        self._start = time.perf_counter()

    def now(self) -> float:
        """Seconds since the start."""
        return time.perf_counter() - self._start

    def next_session(self) -> Session:
        """The sessions in turn, dealt out to the processes, from the first again after the last."""
        return self.sessions[next(self.turn) % len(self.sessions)]


LOAD = Load()


@events.test_start.add_listener  # type: ignore[untyped-decorator]
def _begin(environment: Environment, **_: Any) -> None:
    options = environment.parsed_options
    workers = (options and options.processes) or 1
    LOAD.begin(getattr(environment.runner, "worker_index", 0), workers)
    # Not Locust's --run-time: on a busy machine that runs long before the users do.
    seconds = sum(step.seconds for step in LOAD.steps)
    if seconds < UNTIL_STOPPED and environment.runner and not isinstance(environment.runner, WorkerRunner):
        gevent.spawn_later(seconds + END_SECONDS, environment.runner.quit)


@events.quitting.add_listener  # type: ignore[untyped-decorator]
def _keep(**_: Any) -> None:
    if SAMPLES:
        LOAD.recorder.write(Path(SAMPLES) / f"{os.getpid()}.npz")


class Visitor(FastHttpUser):
    """One connection; it takes the next due request of the whole load and waits for that moment."""

    path = os.environ.get("SREC_LOADTEST_PATH", "/predictions/srec")
    k = int(os.environ.get("SREC_LOADTEST_K", "20"))
    network_timeout = connection_timeout = float(os.environ.get("SREC_LOADTEST_TIMEOUT", "10"))
    default_headers = key_header() | {"Content-Type": "application/json"}
    due = 0.0

    def on_start(self) -> None:
        """The first request waits for its moment too."""
        self.wait()  # type: ignore[no-untyped-call]

    def wait_time(self) -> float:
        """Seconds until the request that this user takes is due."""
        due = LOAD.arrivals.take(LOAD.now())
        self.due = UNTIL_STOPPED if due is None else due
        return max(0.0, self.due - LOAD.now())

    @task
    def recommend(self) -> None:
        """Send one session, check the answer, note what was measured."""
        clicks = LOAD.next_session()
        body = json.dumps({"appids": clicks, "k": self.k})
        sent = LOAD.now()
        with self.client.post(self.path, data=body, catch_response=True) as response:
            wrong = self._fault(response, clicks)
            if wrong is None:
                response.success()
            else:
                response.failure(wrong)
        seconds = response.request_meta["response_time"] / 1000
        LOAD.recorder.add(self.due, max(self.due, sent), seconds, wrong, time.process_time())

    def _fault(self, response: Any, clicks: Session) -> str | None:
        if response.status_code == 0:
            return f"no answer: {type(response.error).__name__}"
        if response.status_code != 200:
            return f"status {response.status_code}"
        return fault(response.content, clicks, self.k)
