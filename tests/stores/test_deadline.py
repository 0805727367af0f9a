import os
import threading

import pytest

from srec.stores.deadline import Deadline
from tests.stores.conftest import PATIENCE


def test_returns_and_raises_what_the_call_does() -> None:
    deadline = Deadline(PATIENCE)
    assert deadline.run(lambda: 3) == 3
    with pytest.raises(ZeroDivisionError):
        deadline.run(lambda: 1 // 0)
    deadline.close()


def test_gives_up_on_a_call_that_hangs_and_on_those_behind_it_until_it_ends() -> None:
    release, ended, ran = threading.Event(), threading.Event(), threading.Event()

    def hang() -> None:
        release.wait(PATIENCE)
        ended.set()

    deadline = Deadline(0.02)
    with pytest.raises(TimeoutError):
        deadline.run(hang)
    with pytest.raises(TimeoutError):
        deadline.run(ran.set)
    release.set()
    assert ended.wait(PATIENCE)
    deadline.seconds = PATIENCE
    assert deadline.run(lambda: 5) == 5
    assert not ran.is_set(), "a call given up before it began must not run later"
    deadline.close()


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_works_in_a_forked_process() -> None:
    deadline = Deadline(PATIENCE)
    deadline.run(lambda: None)
    child = os.fork()
    if child == 0:
        os._exit(deadline.run(lambda: 7))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    deadline.close()
