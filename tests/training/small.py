"""Small DATA whose right answers are known, and trainings of seconds."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np

from srec.data.dataset import Dataset
from srec.prepare import ReviewSettings, SessionSettings, prepare_reviews, prepare_sessions
from srec.training.run import Run
from srec.training.settings import RunSettings, resolve
from srec.training.train import train

ITEMS = 30
DAY = 86_400


def cycle(seed: int, count: int, noise: float = 0.1) -> list[list[int]]:
    """Sessions in which every item is followed by the next one of a circle, but for some noise.

    Every item is equally popular, so that popularity finds the right one by luck alone.
    """
    random = np.random.default_rng(seed)
    made = []
    for length in random.integers(2, 8, count):
        session = [int(random.integers(ITEMS))]
        while len(session) < length:
            follows = (session[-1] + 1) % ITEMS
            session.append(int(random.integers(ITEMS)) if random.random() < noise else follows)
        made.append([10 * (item + 1) for item in session])
    return made


def prepare_cycle(folder: Path, count: int = 240, seed: int = 0) -> Dataset:
    """Prepare session files of ``cycle`` into ``folder / "DATA"``."""
    for name, sessions in (("train", cycle(seed, count)), ("test", cycle(seed + 1, 60))):
        lines = (" ".join(map(str, session)) for session in sessions)
        (folder / f"{name}.txt").write_text("\n".join(lines) + "\n")
    prepare_sessions(folder / "train.txt", folder / "test.txt", folder / "DATA", SessionSettings())
    return Dataset(folder / "DATA")


def prepare_log(folder: Path) -> Dataset:
    """Prepare reviews of games that have tags, developers and prices, into ``folder / "DATA"``."""
    random = np.random.default_rng(0)
    with (folder / "reviews.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["steamid", "appid", "timestamp_created", "voted_up"])
        for user in range(80):
            first = int(random.integers(ITEMS))
            for step in range(5):
                moment = 1_500_000_000 + int(random.integers(12)) * DAY + step * 12 * DAY
                writer.writerow([f"u{user}", 10 * ((first + step) % ITEMS + 1), moment, 1])
    games = [
        {"appid": 10 * (i + 1), "name": f"Game {i}", "tags": [f"T{i % 5}", f"T{i % 3}"], "price": i % 4}
        for i in range(ITEMS - 2)
    ]
    (folder / "games.jsonl").write_text("".join(json.dumps(game) + "\n" for game in games))
    settings = ReviewSettings(min_user_reviews=2, min_game_reviews=2, popular_share=None, tag_width=8)
    prepare_reviews([folder / "reviews.csv"], folder / "games.jsonl", folder / "DATA", settings)
    return Dataset(folder / "DATA")


def quick(model: str = "gce-gnn", preset: str = "paper", /, **changes: object) -> RunSettings:
    """Settings for a training of a second or two."""
    small: dict[str, object] = {}
    if model == "gce-gnn":
        small = {"dim": 8, "batch_size": 50, "learning_rate": 0.005, "epochs": 2}
    return resolve(model, preset, {name: str(value) for name, value in (small | changes).items()})


class Told:
    """A report that remembers; ``stop_in`` (phase, epoch) raises there, as Ctrl-C would."""

    def __init__(self, stop_in: tuple[str, int] | None = None) -> None:
        self.stop_in = stop_in
        self.phases: list[str] = []
        self.epochs: list[dict[str, Any]] = []
        self.steps: list[tuple[int, int, int, float]] = []

    def step(self, epoch: int, step: int, steps: int, loss: float) -> None:
        self.steps.append((epoch, step, steps, loss))

    def epoch(self, record: dict[str, Any]) -> None:
        self.epochs.append(record | {"phase": self.phases[-1]})
        if self.stop_in == (self.phases[-1], record["epoch"]):
            raise KeyboardInterrupt

    def phase(self, name: str) -> None:
        self.phases.append(name)


def trained(data: Dataset, out: Path, settings: RunSettings, report: Told | None = None) -> Run:
    train(data, settings, out, resume=False, report=report or Told())
    return Run(out)
