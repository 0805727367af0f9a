"""Counts of `srec prepare` on one crawl, a filter changed at a time: filters.json and filters.md."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

WINDOWS = ["--until=2018-01-06", "--test-days=180", "--validation-days=180", "--tag-width=16"]
VARIANTS = {
    "all filters, defaults": [],
    "no filter": ["--min-user-reviews=1", "--min-game-reviews=1", "--popular-share=1"],
    "any number of reviews a user": ["--min-user-reviews=1"],
    "users from 5 reviews": ["--min-user-reviews=5"],
    "users from 10 reviews": ["--min-user-reviews=10"],
    "any number of reviews a game": ["--min-game-reviews=1"],
    "games from 10 reviews": ["--min-game-reviews=10"],
    "users of popular games kept": ["--popular-share=1"],
    "popular_share 0.6": ["--popular-share=0.6"],
    "popular_share 0.4": ["--popular-share=0.4"],
    "popular_games 0.05": ["--popular-games=0.05"],
    "popular_games 0.05, popular_share 0.6": ["--popular-games=0.05", "--popular-share=0.6"],
}


def main(crawl: Path, out: Path) -> None:
    """Prepare the crawl once a variant, and write both files."""
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        for name, options in VARIANTS.items():
            report = prepare(crawl, Path(scratch) / "DATA", options)
            removed: dict[str, int] = {}
            for step in report["steps"]:
                removed[step["name"]] = removed.get(step["name"], 0) + step["removed"]["rows"]
            rows.append(
                {"variant": name, "options": options, "removed": removed}
                | {
                    "left": report["steps"][-1]["after"],
                    "counts": report["counts"],
                    "dropped": report["dropped"],
                }
            )
            print(name, rows[-1]["left"], flush=True)
    (out / "filters.json").write_text(json.dumps({"windows": WINDOWS, "variants": rows}, indent=2) + "\n")
    (out / "filters.md").write_text(page(rows))


def prepare(crawl: Path, data: Path, options: list[str]) -> dict[str, Any]:
    """The report of one run of the command."""
    files = [f"--reviews={crawl}/reviews.csv.gz", f"--games={crawl}/games.jsonl.gz", f"--out={data}"]
    command = [sys.executable, "-m", "srec", "prepare", *files, *WINDOWS, *options, "--json"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)  # noqa: S603 - our own command
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def page(rows: list[dict[str, Any]]) -> str:
    """What is in filters.md."""
    names = ("active users", "not only popular games", "reviewed games")
    lines = [
        f"| {row['variant']} | "
        + " | ".join(f"{row['removed'].get(name, 0):,}" for name in names)
        + f" | {row['left']['rows']:,} | {row['left']['users']:,} | {row['left']['games']:,} "
        f"| {row['counts']['train_examples']:,} | {row['counts']['test_examples']:,} |"
        for row in rows
    ]
    head = [
        "# What each filter removes",
        "",
        "A Steam crawl of users with many reviews (`results/steam/filters.sh CRAWL`), windows of 180 days.",
        "Reviews removed by each filter, its repetitions added up; then what is left.",
        "",
        "| variant | active users | popular only | reviewed games | left | users | games | training | test |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    return "\n".join([*head, *lines, ""])


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
