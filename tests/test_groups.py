"""Which examples are of one session: read from the order of DATA, checked against what it was made of."""

from pathlib import Path

import numpy as np
import pytest

from srec.data import groups as groups_module
from srec.data.dataset import LONGEST_INPUT, Dataset, Examples, Sequences
from srec.data.groups import groups_in, groups_of
from srec.prepare import ReviewSettings, SessionSettings, prepare_reviews, prepare_sessions
from tests.models.contract import flat
from tests.prepare.conftest import DAY, START, write_csv


def sessions_data(folder: Path, tested: list[list[int]]) -> Dataset:
    """DATA of these test sessions; training has items 1 to 9."""
    train = [list(range(1, 10)), list(range(1, 10))]
    for name, sessions in (("train", train), ("test", tested)):
        (folder / name).write_text("".join(" ".join(map(str, session)) + "\n" for session in sessions))
    prepare_sessions(folder / "train", folder / "test", folder / "DATA", SessionSettings())
    return Dataset(folder / "DATA")


@pytest.mark.parametrize("block", [groups_module.BLOCK, 3])
def test_sessions_of_session_files(block: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sessions that go on like the one before, are the same, start with its end, or have one item again."""
    monkeypatch.setattr(groups_module, "BLOCK", block)
    tested = [[1, 2], [1, 2, 3], [2, 3], [3, 4], [5, 5, 5, 5], [5, 5], [5, 6], [1, 2, 3, 1, 2, 3], [1, 2, 3]]
    random = np.random.default_rng(0)
    tested += [random.integers(1, 4, random.integers(2, 6)).tolist() for _ in range(40)]
    expected = np.repeat(np.arange(len(tested)), [len(session) - 1 for session in tested])
    assert groups_of(sessions_data(tmp_path, tested), "test").tolist() == expected.tolist()


def test_a_session_beyond_the_longest_input_is_one(tmp_path: Path) -> None:
    long = np.random.default_rng(0).integers(1, 10, LONGEST_INPUT + 5).tolist()
    data = sessions_data(tmp_path, [[1, 2], long, long[:3]])
    assert np.diff(data.examples("test").inputs.offsets).max() == LONGEST_INPUT
    assert groups_of(data, "test").tolist() == [0, *[1] * (len(long) - 1), 2, 2]


def test_visitors_are_told_apart_by_times() -> None:
    """The second input is the first and its target in items; it goes on only if its times do, too."""
    inputs, targets = flat([[1, 2], [1, 2, 3]]), np.array([3, 4], np.int32)
    for times, expected in (([10, 20, 10, 20, 30], [0, 0]), ([10, 20, 10, 21, 30], [0, 1])):
        timed = Sequences(inputs.items, inputs.offsets, np.array(times, np.int64))
        assert groups_in(Examples(timed, targets)).tolist() == expected
    other = Examples(inputs, np.array([4, 4], np.int32))  # another item than the second input ends with
    assert groups_in(other).tolist() == [0, 1]


def test_visitors_of_reviews(tmp_path: Path) -> None:
    """Every visitor reviews on days of their own, some within test; without an example they are no group."""
    random = np.random.default_rng(0)
    rows, expected = [], []
    for user in range(60):
        days = np.sort(random.choice(100, int(random.integers(2, 9)), replace=False))
        games = random.permutation(10)[: len(days)]
        rows += [
            (f"u{user}", int(game) + 1, START + int(day) * DAY + user + 1, 1)
            for day, game in zip(days, games, strict=True)
        ]
        expected += [user] * int((days[1:] > 79).sum())
    rows += [("last", game, START + (98 + game) * DAY, 1) for game in (1, 2)]  # the newest review of all
    expected.append(60)
    games_file = tmp_path / "games.jsonl"
    games_file.write_text(
        "".join(f'{{"appid": {game}, "name": "G", "tags": ["T"]}}\n' for game in range(1, 11))
    )
    settings = ReviewSettings(
        min_user_reviews=1, min_game_reviews=1, popular_share=None, tag_width=1, test_days=20
    )
    prepare_reviews([write_csv(tmp_path / "reviews.csv", rows)], games_file, tmp_path / "DATA", settings)
    found = groups_of(Dataset(tmp_path / "DATA"), "test")
    assert found.tolist() == np.unique(expected, return_inverse=True)[1].tolist()
