"""Every fault of the table once, with some hundred requests; `make faults` makes the long form."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import Line
from tests.faults import archive_faults, client_faults, host_faults, redis_faults, worker_faults
from tests.faults.load import CONNECTIONS
from tests.faults.measure import Fault, Row, measure
from tests.faults.questions import Question, draw_questions
from tests.faults.rig import Rig

STRETCH = 60
HOSTILE, MANY = 400, 2000
GROWTH_MB = 100  # above what Java's heap of 256 MB may still take; 50 kB a request would be seen


@pytest.fixture(scope="module")
def questions(line: Line) -> list[Question]:
    return draw_questions(line.artifact, 200)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("rig")


@pytest.fixture(scope="module")
def no_disk(folder: Path) -> Iterator[str]:
    """Why ``folder`` is on no small disk of its own; empty where it is."""
    with host_faults.small_disk(folder) as reason:
        yield reason


@pytest.fixture(scope="module")
def rig(line: Line, folder: Path, no_disk: str) -> Iterator[Rig]:
    mar = folder / "srec.mar"  # a deployment replaces it
    shutil.copyfile(line.mar, mar)
    with Rig(line.artifact, mar, folder, SREC_DRAIN_SECONDS="5", SREC_LOG_LEVEL="info") as running:
        yield running


def named(fault: Fault) -> str:
    return fault.name


def answered_rightly(row: Row) -> bool:
    """Whether visitors noticed nothing: all answers are right."""
    return row.right == row.requests > 2 * STRETCH


def test_an_answer_to_another_request_is_a_wrong_one(questions: list[Question]) -> None:
    right = [question.answer | {"request_id": str(number)} for number, question in enumerate(questions)]
    for number, question in enumerate(questions):
        faults = [question.fault(answer, str(number)) for answer in right]
        assert faults[number] is None
        assert all(fault for place, fault in enumerate(faults) if place != number)
        with_my_id = right[number - 1] | {"request_id": str(number)}
        assert str(question.fault(with_my_id, str(number))).startswith(("source", "unknown_appids"))
    ten = next(question for question in questions if len(question.answer["items"]) == 10)
    turned = ten.answer | {"items": ten.answer["items"][::-1], "request_id": "a"}
    assert str(ten.fault(turned, "a")).startswith("rank")
    other_game = [one | {"appid": 1} for one in ten.answer["items"]]
    assert str(ten.fault(ten.answer | {"items": other_game, "request_id": "a"}, "a")).startswith("appid")


class TestFaults:
    """In this order on one service, which every fault must leave healthy; the last ends it."""

    @pytest.mark.parametrize("fault", redis_faults.FAULTS, ids=named)
    def test_no_visitor_notices_what_happens_to_redis(
        self, fault: Fault, rig: Rig, questions: list[Question]
    ) -> None:
        row = measure(fault, rig, questions, STRETCH)
        assert answered_rightly(row), row

    @pytest.mark.parametrize("fault", worker_faults.FAULTS, ids=named)
    def test_a_lost_worker_loses_its_batch_alone(
        self, fault: Fault, rig: Rig, questions: list[Question]
    ) -> None:
        row = measure(fault, rig, questions, STRETCH)
        assert (row.wrong, row.broken) == (0, 0), row
        assert row.failed <= CONNECTIONS, row

    @pytest.mark.parametrize("fault", client_faults.faults(HOSTILE, MANY), ids=named)
    def test_no_visitor_notices_the_others(self, fault: Fault, rig: Rig, questions: list[Question]) -> None:
        row = measure(fault, rig, questions, STRETCH)
        assert answered_rightly(row), row
        assert row.memory_before is not None
        assert row.memory_after is not None
        assert row.memory_after - row.memory_before < GROWTH_MB, row

    def test_a_full_disk_hinders_nobody(self, rig: Rig, questions: list[Question], no_disk: str) -> None:
        if no_disk:
            pytest.skip(no_disk)
        row = measure(host_faults.DISK, rig, questions, STRETCH)
        assert answered_rightly(row), row

    # A broken handler, a whole deployment and its rollback under load: tests/line/test_deploy.py.
    @pytest.mark.parametrize("fault", [archive_faults.DIGEST, archive_faults.BROKEN_OFF], ids=named)
    def test_the_old_version_serves_when_a_deployment_fails(
        self, fault: Fault, rig: Rig, questions: list[Question]
    ) -> None:
        row = measure(fault, rig, questions, STRETCH)
        assert answered_rightly(row), row

    def test_what_is_in_flight_is_answered_before_the_end(self, rig: Rig, questions: list[Question]) -> None:
        row = measure(host_faults.SIGTERM, rig, questions, STRETCH)
        assert row.right == row.requests > STRETCH, row


def test_an_archive_with_a_wrong_digest_is_not_served(line: Line, tmp_path: Path) -> None:
    mar = archive_faults.with_wrong_digest(line.artifact, tmp_path / "digest")
    assert "catalogue.json" in archive_faults.refused_at_start(mar, tmp_path / "t")


def test_an_archive_with_a_broken_handler_is_not_served(line: Line, tmp_path: Path) -> None:
    mar = archive_faults.with_broken_handler(line.artifact, tmp_path / "handler")
    assert "this model cannot be loaded" in archive_faults.refused_at_start(mar, tmp_path / "t")
