"""Sessions that a load test sends: drawn, read from files, replayed click by click."""

import gzip
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from srec.errors import InputError
from srec.loadtest.inputs import (
    click_by_click,
    file_sessions,
    make_sessions,
    power_law_sessions,
    random_sessions,
)
from tests.conftest import srec_ok
from tests.loadtest.small import CATALOGUE, settings_of


@given(seed=st.integers(0, 2**32 - 1), n=st.integers(1, 50))
def test_random_sessions_are_repeatable_and_within_bounds(seed: int, n: int) -> None:
    sessions = random_sessions(CATALOGUE, n, seed)
    assert sessions == random_sessions(CATALOGUE, n, seed)
    assert len(sessions) == n
    assert all(1 <= len(clicks) <= 5 and set(clicks) <= set(CATALOGUE) for clicks in sessions)


def test_random_sessions_are_uniform_in_length_and_items() -> None:
    sessions = random_sessions(CATALOGUE, 20_000, seed=1)
    lengths = Counter(map(len, sessions))
    assert all(abs(lengths[length] / 20_000 - 0.2) < 0.02 for length in range(1, 6))
    clicks = Counter(appid for session in sessions for appid in session)
    assert set(clicks) == set(CATALOGUE)
    assert max(clicks.values()) < 1.5 * min(clicks.values())
    assert sessions != random_sessions(CATALOGUE, 20_000, seed=2)


def test_power_law_sessions_follow_both_exponents() -> None:
    sessions = power_law_sessions(
        CATALOGUE, 50_000, 3, length_exponent=1.5, popularity_exponent=1.2, max_length=40
    )
    lengths = Counter(map(len, sessions))
    assert max(lengths) <= 40
    assert lengths[1] / lengths[4] == pytest.approx(4**1.5, rel=0.1)
    clicks = Counter(appid for session in sessions for appid in session).most_common()
    assert clicks[0][1] / clicks[7][1] == pytest.approx(8**1.2, rel=0.15)
    assert {appid for appid, _ in clicks} <= set(CATALOGUE)
    other = power_law_sessions(CATALOGUE, 50_000, 4, popularity_exponent=1.2)
    assert Counter(a for s in other for a in s).most_common(5) != clicks[:5], "the seed draws who is popular"


@pytest.mark.parametrize("compress", [False, True])
def test_file_sessions_reads_plain_and_gzip(tmp_path: Path, compress: bool) -> None:
    path = tmp_path / "sessions"
    text = b"620 400\n\n 70\t220 \n"
    path.write_bytes(gzip.compress(text) if compress else text)
    assert list(file_sessions(path)) == [[620, 400], [70, 220]]


@pytest.mark.parametrize("word", ["Portal", "0", "-1", "2147483648", "9" * 30, "1.5", "²"])
def test_file_sessions_names_the_line_and_the_word(tmp_path: Path, word: str) -> None:
    path = tmp_path / "sessions.txt"
    path.write_text(f"620\n400 {word}\n")
    with pytest.raises(InputError, match=r"sessions.txt, line 2: .* is no appid: an integer from 1 to"):
        list(file_sessions(path))


def test_unusable_session_files_are_input_errors(tmp_path: Path) -> None:
    cut = tmp_path / "cut.gz"
    cut.write_bytes(gzip.compress(b"620 400\n" * 1000)[:-12])
    empty = tmp_path / "empty.txt"
    empty.write_text("\n")
    for path, text in (
        (tmp_path / "none.txt", "No such file"),
        (cut, "cannot be read"),
        (empty, "no session"),
    ):
        with pytest.raises(InputError, match=text):
            make_sessions(settings_of(inputs={"kind": "file", "sessions": path}).inputs)


def test_replay_sends_a_request_per_click() -> None:
    assert list(click_by_click([[1, 2, 3], [4]])) == [[1], [1, 2], [1, 2, 3], [4]]
    inputs = settings_of(inputs={"count": 5, "click_by_click": True}).inputs
    assert make_sessions(inputs, CATALOGUE) == list(click_by_click(random_sessions(CATALOGUE, 5, 0)))


def test_prepared_sessions_are_replayed_as_appids(tmp_path: Path) -> None:
    (tmp_path / "train.txt").write_text("30 10 20\n40 30\n10 20 30 40\n20 10\n")
    (tmp_path / "test.txt").write_text("10 30\n")
    srec_ok(
        "prepare", "--train-sessions", tmp_path / "train.txt", "--test-sessions", tmp_path / "test.txt",
        "--out", tmp_path / "data",
    )  # fmt: skip
    values = {"kind": "data", "data": tmp_path / "data", "count": 2, "max_length": 3}
    sessions = make_sessions(settings_of(inputs=values).inputs)
    written = [[30, 10, 20], [40, 30], [20, 30, 40], [20, 10]]
    assert len(sessions) == 2
    assert all(session in written for session in sessions)
    replayed = make_sessions(settings_of(inputs={**values, "click_by_click": True}).inputs)
    assert replayed == list(click_by_click(sessions))


def test_drawing_needs_a_catalogue() -> None:
    with pytest.raises(InputError, match="no appids to draw sessions from"):
        make_sessions(settings_of().inputs)
