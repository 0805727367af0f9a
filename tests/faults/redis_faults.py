"""What can happen to Redis. No visitor may notice: the archive's own copy of the neighbours answers."""

import numpy as np
import psutil

from srec.graph.neighbours import GlobalGraph
from srec.serving.artifact import Artifact
from srec.stores.load import load_graph
from tests.faults.measure import Course, Fault

DELAY = 0.2  # seconds, ten times the deadline of a fetch


def killed(course: Course) -> None:
    _kill(course)
    course.rig.wait_fetches("fallback")
    course.go_on()
    _start(course)
    load_graph(course.rig.redis.url, Artifact(course.rig.artifact).graph)
    _recover(course)


def paused(course: Course) -> None:
    server = psutil.Process(course.rig.redis.pid)
    server.suspend()
    try:
        course.rig.wait_fetches("fallback")
        course.go_on()
    finally:
        server.resume()
        course.over()
    _recover(course)


def restarted_empty(course: Course) -> None:
    """Nobody loads it again: the service itself does."""
    _kill(course)
    _start(course)
    course.rig.wait_fetches("fallback")
    _recover(course)


def another_graph(course: Course) -> None:
    """A server in its place that holds other neighbours of the same games, as another model's would."""
    _kill(course)
    _start(course)
    graph = Artifact(course.rig.artifact).graph
    load_graph(course.rig.redis.url, GlobalGraph(np.roll(graph.neighbours, 1, axis=0), graph.weights))
    course.rig.wait_fetches("fallback")
    _recover(course)


def slow_network(course: Course) -> None:
    course.rig.proxy.delay = DELAY
    course.rig.wait_fetches("fallback")
    course.go_on()
    course.rig.proxy.delay = 0.0
    course.over()
    _recover(course)


FAULTS = (
    Fault("Redis killed, started and loaded again", killed),
    Fault("Redis paused (SIGSTOP)", paused),
    Fault("Redis restarted empty", restarted_empty),
    Fault("Redis replaced by one with another graph", another_graph),
    Fault("network to Redis delayed by 200 ms", slow_network),
)


def _kill(course: Course) -> None:
    psutil.Process(course.rig.redis.pid).kill()
    course.rig.redis.stop()  # nothing is left to stop: its end is collected


def _start(course: Course) -> None:
    course.rig.redis.start()
    course.rig.redis.wait_ready()
    course.over()


def _recover(course: Course) -> None:
    before = course.rig.fetches("primary")
    course.recover(lambda: course.rig.fetches("primary") > before, "a fetch from Redis")
