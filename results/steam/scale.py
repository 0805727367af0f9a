"""Measure `srec prepare` on made-up logs of several sizes: scale.json, scale.md and scale.png."""

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import psutil
from matplotlib.figure import Figure

USERS_PER_REVIEW, GAMES, GIGABYTE = 39_000_000 / 118_000_000, 78_000, 1e9
FULL = 118_000_000
SREC = [sys.executable, "-m", "srec"]
STAGES = {
    "reading": "read", "typing": "read", "until": "filter", "latest vote": "filter", "positive": "filter",
    "active": "filter", "not only": "filter", "reviewed": "filter", "putting": "order and split",
    "factorising": "tags, graph, write and report",
}  # fmt: skip


def main(work: Path, out: Path, sizes: list[int]) -> None:
    """Make each log, prepare it, and write what is known after each."""
    work.mkdir(parents=True, exist_ok=True)
    if shutil.disk_usage(work).free < 12 * GIGABYTE and FULL in sizes:
        sys.exit(f"{work}: 12 GB must be free")
    results: list[dict[str, Any]] = []
    for reviews in sizes:
        users = round(reviews * USERS_PER_REVIEW)
        games = max(100, round(GAMES * (reviews / FULL) ** 0.5))
        log = work / f"log-{reviews}-{users}-{games}"
        made = None
        if not log.exists():
            made = run(
                [
                    "demo-data",
                    "--scale",
                    "steam",
                    f"--reviews={reviews}",
                    f"--users={users}",
                    f"--games={games}",
                    f"--out={log}",
                ]
            )
            del made["answer"]
        done = run(
            [
                "prepare",
                f"--reviews={log}/reviews",
                f"--games={log}/games.jsonl",
                f"--out={work}/DATA",
                "--json",
            ]
        )
        report = json.loads(done.pop("answer"))
        shutil.rmtree(work / "DATA")
        results.append(
            {
                "reviews": report["readings"]["reviews"]["files"] and report["steps"][0]["before"]["rows"],
                "users": report["steps"][0]["before"]["users"],
                "games": report["steps"][0]["before"]["games"],
                "made": made,
                "prepare": done,
                "left": report["steps"][-1]["after"],
                "items": report["counts"]["items"],
                "steps": [{"name": step["name"], **step["removed"]} for step in report["steps"]],
                "tag_error": report["metadata"].get("tag_reconstruction_error"),
            }
        )
        write(out, results)


def run(arguments: list[str]) -> dict[str, Any]:
    """Run the command; seconds, CPU seconds and the peak of its process tree, in all and by stage."""
    started, stages, peak = time.monotonic(), {}, 0
    process = subprocess.Popen(  # noqa: S603 - our own command
        [*SREC, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    tree, stage, cpu = psutil.Process(process.pid), "start", 0.0
    lines: list[str] = []
    answer: list[str] = []
    readers = [
        threading.Thread(target=_collect, args=[process.stderr, lines]),
        threading.Thread(target=_collect, args=[process.stdout, answer]),
    ]
    for reader in readers:
        reader.start()
    seen, since = 0, started
    while process.poll() is None:
        memory, cpu = usage(tree, cpu)
        peak = max(peak, memory)
        now = time.monotonic()
        part = stages.setdefault(stage, {"seconds": 0.0, "peak_bytes": 0})
        part["seconds"], part["peak_bytes"] = part["seconds"] + now - since, max(part["peak_bytes"], memory)
        since = now
        while seen < len(lines):
            # A filter's line comes when it is done and the next one's work begins; others begin a stage.
            stage = next((name for start, name in STAGES.items() if lines[seen].startswith(start)), stage)
            seen += 1
        time.sleep(0.1)
    for reader in readers:
        reader.join()
    if process.returncode:
        sys.exit(f"srec {' '.join(arguments)} failed:\n{''.join(lines[-5:])}")
    return {
        "answer": "".join(answer),
        "seconds": round(time.monotonic() - started, 1),
        "cpu_seconds": round(cpu, 1),
        "peak_bytes": peak,
        "stages": {
            name: {"seconds": round(part["seconds"], 1), "peak_bytes": part["peak_bytes"]}
            for name, part in stages.items()
        },
    }


def _collect(stream: Any, lines: list[str]) -> None:
    for line in stream:
        lines.append(line)


def usage(tree: psutil.Process, cpu: float) -> tuple[int, float]:
    """Resident bytes of a process and its children now, and their CPU seconds so far."""
    memory, seconds = 0, 0.0
    try:
        for process in [tree, *tree.children(recursive=True)]:
            memory += process.memory_info().rss
            times = process.cpu_times()
            seconds += times.user + times.system
    except psutil.Error:  # one has just ended
        return memory, max(cpu, seconds)
    return memory, max(cpu, seconds)


def write(out: Path, results: list[dict[str, Any]]) -> None:
    """All three files, and the page to the screen."""
    machine = {
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[2], 1),
        "note": "load is the average of a quarter of an hour; far above the cores, seconds mean little",
    }
    (out / "scale.json").write_text(json.dumps({"machine": machine, "sizes": results}, indent=2) + "\n")
    (out / "scale.md").write_text(page(machine, results))
    plot(out / "scale.png", results)
    print(page(machine, results), flush=True)


def page(machine: dict[str, Any], results: list[dict[str, Any]]) -> str:
    """What is in scale.md."""
    rows = [
        f"| {r['reviews']:,} | {r['prepare']['seconds']:.0f} | {r['prepare']['cpu_seconds']:.0f} "
        f"| {r['prepare']['peak_bytes'] / GIGABYTE:.1f} | {r['left']['rows']:,} | {r['left']['users']:,} "
        f"| {r['items']:,} | {r['left']['rows'] / r['left']['users']:.2f} |"
        for r in results
    ]
    names = list(results[-1]["prepare"]["stages"])
    stages = [
        f"| {r['reviews']:,} | "
        + " | ".join(f"{r['prepare']['stages'].get(name, {}).get('seconds', 0):.1f}" for name in names)
        + " |"
        for r in results
    ]
    return "\n".join(
        [
            "# srec prepare from a million reviews to SRec's size",
            "",
            f"Made by `results/steam/scale.sh WORK` on {machine['cores']} cores with an average load of "
            f"{machine['load']}: where that is far above the cores, the machine was shared and",
            "only CPU seconds count. Peak is the resident memory of the process tree.",
            "",
            "| reviews | seconds | CPU seconds | peak GB | interactions left | users | items | mean length |",
            "|---:|---:|---:|---:|---:|---:|---:|---:|",
            *rows,
            "",
            "SRec printed 13,520,506 interactions of 634,575 users on 42,429 items, mean length 21.24.",
            "",
            "Seconds by stage:",
            "",
            "| reviews | " + " | ".join(names) + " |",
            "|---:|" + "---:|" * len(names),
            *stages,
            "",
            "![time and memory](scale.png)",
            "",
        ]
    )


def plot(path: Path, results: list[dict[str, Any]]) -> None:
    """Time and memory by size, both axes of time in decades: linear growth is a straight line."""
    sizes = [r["reviews"] for r in results]
    figure = Figure((10, 4))
    left, right = figure.subplots(1, 2)
    left.loglog(sizes, [r["prepare"]["seconds"] for r in results], "o-", label="seconds")
    left.loglog(sizes, [r["prepare"]["cpu_seconds"] for r in results], "s--", label="CPU seconds")
    first = results[0]
    left.loglog(
        sizes,
        [first["prepare"]["cpu_seconds"] * s / sizes[0] for s in sizes],
        ":",
        label="linear",
        color="grey",
    )
    left.set(xlabel="reviews", ylabel="seconds", title="srec prepare")
    left.legend()
    right.semilogx(sizes, [r["prepare"]["peak_bytes"] / GIGABYTE for r in results], "o-")
    right.axhline(5, linestyle=":", color="grey")
    right.set(xlabel="reviews", ylabel="peak GB", title="resident memory")
    figure.tight_layout()
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), [int(size) for size in sys.argv[3:]])
