"""Every fault once, with some hundred requests. `make faults` is the long one."""

from collections.abc import Iterator

import pytest

from tests.conftest import Line
from tests.faults import redis_faults, worker_faults
from tests.faults.load import CONNECTIONS
from tests.faults.measure import Fault, measure
from tests.faults.questions import Question, draw_questions
from tests.faults.rig import Rig

STRETCH = 60


@pytest.fixture(scope="module")
def questions(line: Line) -> list[Question]:
    return draw_questions(line.artifact, 200)


@pytest.fixture(scope="module")
def rig(line: Line, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with Rig(line.artifact, line.mar, tmp_path_factory.mktemp("rig")) as running:
        yield running


def named(fault: Fault) -> str:
    return fault.name


class TestShared:
    """On one service, which every fault must leave healthy."""

    @pytest.mark.parametrize("fault", redis_faults.FAULTS, ids=named)
    def test_no_visitor_notices_what_happens_to_redis(
        self, fault: Fault, rig: Rig, questions: list[Question]
    ) -> None:
        row = measure(fault, rig, questions, STRETCH)
        assert row.right == row.requests > 2 * STRETCH, row

    @pytest.mark.parametrize("fault", worker_faults.FAULTS, ids=named)
    def test_a_lost_worker_loses_its_batch_alone(
        self, fault: Fault, rig: Rig, questions: list[Question]
    ) -> None:
        row = measure(fault, rig, questions, STRETCH)
        assert (row.wrong, row.broken) == (0, 0), row
        assert row.failed <= CONNECTIONS, row
