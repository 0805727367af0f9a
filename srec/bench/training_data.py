"""Session files of any size for a benchmark without data: items near each other follow each other."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from srec.data.dataset import Dataset
from srec.prepare import SessionSettings, prepare_sessions

MEAN_CLICKS = 5.5  # of the sessions of shops that papers measure on
LONGEST = 60
NEAR = 6  # the next click is at most so many items away,
AWAY = 0.2  # but for this share of the clicks, which go anywhere, to popular items mostly
TESTED = 0.02  # of the sessions


def synthetic_data(folder: Path, items: int, sessions: int, seed: int = 0) -> Dataset:
    """Write session files and prepare them as ``folder / "DATA"``; the same seed gives the same."""
    random = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    made = [_session(random, items) for _ in range(sessions)]
    tested = max(2, round(TESTED * sessions))
    for name, part in (("train", made), ("test", made[:tested])):
        text = "".join(" ".join(map(str, session)) + "\n" for session in part)
        (folder / f"{name}.txt").write_text(text)
    prepare_sessions(folder / "train.txt", folder / "test.txt", folder / "DATA", SessionSettings(seed=seed))
    return Dataset(folder / "DATA")


def _session(random: np.random.Generator, items: int) -> list[int]:
    """Item ids from 1: a walk over the items, which now and then jumps."""
    clicks = min(1 + int(random.geometric(1 / (MEAN_CLICKS - 1))), LONGEST)
    jumps = random.random(clicks) < AWAY
    jumps[0] = True
    moves = random.integers(-NEAR, NEAR + 1, clicks)
    anywhere: NDArray[np.int64] = (items * random.random(clicks) ** 2).astype(
        np.int64
    )  # low ones are popular
    session: list[int] = []
    for jump, move, place in zip(jumps, moves, anywhere, strict=True):
        session.append(int(place if jump else (session[-1] - 1 + move) % items) + 1)
    return session
