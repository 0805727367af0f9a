"""A third data set of the papers' form: the users of a log of reviews as sessions, a tenth of them test.

python results/papers/third.py REVIEWS.csv.gz ROOT/users
srec table --config results/papers/third.yaml --data-root ROOT --work WORK --threads 1
"""

import gzip
import sys
from pathlib import Path

import duckdb
import numpy as np

GAMES = "steamid, list(appid ORDER BY timestamp_created, appid)"


def main(reviews: str, folder: Path) -> None:
    """Write both session files."""
    users = duckdb.read_csv(reviews).aggregate(GAMES).order("steamid").fetchall()
    order = np.random.default_rng(1).permutation(len(users))
    test = len(users) // 10
    folder.mkdir(parents=True, exist_ok=True)
    for name, chosen in (("test", order[:test]), ("train", order[test:])):
        with gzip.open(folder / f"{name}_sessions.txt.gz", "wt") as file:
            file.writelines(" ".join(map(str, users[user][1])) + "\n" for user in chosen)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
