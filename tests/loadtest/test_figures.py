"""From measured times to figures and verdicts."""

from pathlib import Path

import numpy as np
import pytest

from srec.loadtest.report import step_reports, warnings_of
from srec.loadtest.samples import Recorder, Samples, read_samples
from tests.loadtest.small import settings_of


def _measured(tmp_path: Path, rows: list[tuple[float, float, float, str | None]]) -> list[Samples]:
    recorder = Recorder()
    for due, sent, response, wrong in rows:
        recorder.add(due, sent, response, wrong, cpu=sent / 2)
    recorder.write(tmp_path / "1.npz")
    Recorder().write(tmp_path / "2.npz")
    return read_samples(tmp_path)


def test_figures_come_from_measured_times(tmp_path: Path) -> None:
    rows: list[tuple[float, float, float, str | None]] = [(i / 100, i / 100, 9.0, None) for i in range(100)]
    rows += [(1 + i / 100, 1 + i / 100, (i + 1) / 1000, None) for i in range(100)]
    rows += [(1.5, 1.5, 0.0001, "status 503")] * 25
    settings = settings_of(
        rates=(100,), warmup_seconds=1, seconds=1, thresholds={"max_p90_ms": 89.9, "min_rate": 100}
    )
    (step,) = step_reports(_measured(tmp_path, rows), settings)
    assert (step.requests, step.failures, step.failure_share) == (125, 25, 0.2)
    assert (step.rate, step.faults) == (100, {"status 503": 25})
    assert step.latency is not None, "fast failures and the warm-up must not show in the times"
    assert step.latency.model_dump() == pytest.approx(
        {"p50_ms": 50, "p90_ms": 90, "p99_ms": 99, "max_ms": 100}
    )
    assert {check.threshold: check.passed for check in step.checks} == {
        "max_p90_ms": False,
        "min_rate": True,
        "max_failure_share": False,
    }


def test_latency_counts_the_wait_that_a_closed_loop_hides(tmp_path: Path) -> None:
    settings = settings_of(rates=(10,), warmup_seconds=0, seconds=1)
    rows: list[tuple[float, float, float, str | None]] = [
        (i / 10, 0.5 + i / 10, 0.01, None) for i in range(8)
    ]
    (step,) = step_reports(_measured(tmp_path, rows), settings)
    assert step.latency is not None
    assert step.response is not None
    assert (step.latency.p90_ms, step.response.p90_ms) == pytest.approx((510, 10))
    assert warnings_of([step]) == ("10 requests/s: only 80.0% of the offered requests could be sent in time",)


def test_a_step_without_a_request_fails() -> None:
    (step,) = step_reports([], settings_of(seconds=1, thresholds={"max_p90_ms": 50}))
    assert (step.latency, step.requests, step.passed) == (None, 0, False)
    assert [check.value for check in step.checks] == [None, None]


def test_samples_hold_no_pickle(tmp_path: Path) -> None:
    np.savez(tmp_path / "1.npz", rows=np.array([{}], dtype=object), faults=np.array([""]))
    with pytest.raises(ValueError, match="allow_pickle"):
        read_samples(tmp_path)
