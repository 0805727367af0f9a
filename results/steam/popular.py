"""What the filter of users of popular games brings: models of filtered logs, asked about the same examples.

`python results/steam/popular.py CRAWL WORK`: CRAWL holds reviews.csv.gz and games.jsonl.gz, WORK is scratch
and keeps what is made. V-SKNN without order, which has no seed, is trained once a threshold. Runs of other
models that lie in WORK as `gce-gnn-SHARE-sSEED` are measured, too. Writes popular.json and popular.md.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

from srec.data.dataset import Dataset
from srec.data.groups import groups_of
from srec.evaluation.compare import compare
from srec.evaluation.measured import FACTS, Measured
from srec.evaluation.metrics import metrics
from srec.retraining.judge import ranks_on
from srec.training.run import Run

SHARES = ("1", "0.8", "0.6", "0.5", "0.4")  # of a user's reviews on the 1 % most popular games, at most
MODELS = {"v-sknn": "V-SKNN without order", "gce-gnn": "GCE-GNN, attention from one"}
SHOWN = ("recall@20", "mrr@20")
WINDOWS = ["--until=2018-01-06", "--test-days=180", "--validation-days=180", "--tag-width=16"]
WITHOUT_ORDER = ["--set", "click_decay=same", "--set", "score_decay=same"]
ALIKE = dict.fromkeys(FACTS, "the same")


def main(crawl: Path, work: Path, out: Path) -> None:
    """Make what is missing, measure, and write both files."""
    for share in SHARES:
        data, run = work / f"data-{share}", work / f"v-sknn-{share}-s0"
        if not data.exists():
            logs = [f"--reviews={crawl}/reviews.csv.gz", f"--games={crawl}/games.jsonl.gz"]
            srec("prepare", *logs, *WINDOWS, f"--popular-share={share}", f"--out={data}")
        if not run.exists():
            srec("train", f"--data={data}", "--model=v-sknn", *WITHOUT_ORDER, f"--out={run}")
    rows = [row for model in MODELS for row in measured(work, model)]
    (out / "popular.json").write_text(json.dumps(rows, indent=2) + "\n")
    (out / "popular.md").write_text(page(rows))


def srec(*arguments: str) -> None:
    """Run the command."""
    command = [sys.executable, "-m", "srec", *arguments]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)  # noqa: S603 - our own command


def measured(work: Path, model: str) -> list[dict[str, Any]]:
    """The models of all thresholds on the test examples of all users; seeds count by their mean."""
    everyone, base, rows = Dataset(work / "data-1"), None, []
    groups = groups_of(everyone, "test")
    for share in SHARES:
        runs = sorted(work.glob(f"{model}-{share}-s*"))
        seeds = [Measured(ALIKE, ranks_on(Run(run), everyone, "test"), groups) for run in runs]
        if not seeds:
            continue
        base = base or seeds
        figures = {name: [metrics(seed.ranks)[name] for seed in seeds] for name in SHOWN}
        found = compare(seeds, base)
        rows.append(
            {
                "model": model,
                "popular_share": share,
                "seeds": len(seeds),
                "examples": len(seeds[0].ranks),
                "users": len(Dataset(work / f"data-{share}").sequences()),
                **{name: float(np.mean(values)) for name, values in figures.items()},
                "by_seed": figures,
                "difference": {name: found[name] for name in SHOWN},
            }
        )
    return rows


def page(rows: list[dict[str, Any]]) -> str:
    """What is in popular.md."""
    lines = [
        "# What the filter of users of popular games brings",
        "",
        "Made by `results/steam/popular.py`. Users of whose reviews more than the share are on the 1 % most",
        "popular games are left out of training. All models are asked about the same test examples, those",
        f"of all users in the last 180 days ({rows[0]['examples']:,}). A share of 1 leaves nobody out, 0.8",
        "is the default. In percent; in brackets 95 % of the paired bootstrap of the difference from the",
        "model of all users.",
        "",
        "| model | share | users in training | seeds | P@20 | MRR@20 |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for row in rows:
        cells = " | ".join(cell(row, name) for name in SHOWN)
        about = f"{MODELS[row['model']]} | {row['popular_share']} | {row['users']:,} | {row['seeds']}"
        lines.append(f"| {about} | {cells} |")
    return "\n".join([*lines, ""])


def cell(row: dict[str, Any], name: str) -> str:
    """A figure and the interval of its difference."""
    value = f"{100 * row[name]:.2f}"
    if row["popular_share"] == "1":
        return value
    low, high = row["difference"][name]["interval_95"]
    return f"{value} ({100 * low:+.2f} to {100 * high:+.2f})"


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), Path(__file__).parent)
