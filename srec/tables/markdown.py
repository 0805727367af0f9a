"""A table -> its page in Markdown: the same content gives the same text."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from srec.tables.config import TableConfig

Entry = dict[str, Any]
SHARES: Final = ("recall", "mrr", "ndcg", "coverage", "percentile", "top_share")  # shown in percent
NAMES: Final = {
    "recall": "P",
    "mrr": "MRR",
    "ndcg": "NDCG",
    "top_share": "top 1 %",
    "log_clicks": "ln(1+clicks)",
}
CHANGES: Final = {"add": "one click more", "remove": "one less", "swap": "two swapped", "seed": "other seed"}


def page(config: TableConfig, table: Entry, plots: Sequence[str]) -> str:
    """The whole page; ``plots`` are file names beside it, each beginning with its kind and its data set."""
    lines = [f"# {config.title}", ""]
    if config.about:
        lines += [config.about.strip(), ""]
    lines += [_how(config), ""]
    for name, dataset in table["datasets"].items():
        lines += _dataset(config, dataset, [plot for plot in plots if plot.endswith(f"-{name}.svg")])
    lines += _machines(table)
    lines += ["## One row again", "", "```", f"{table['command']} --only LABEL --dataset NAME", "```", ""]
    lines += ["The commands that made a row, and all its figures, stand in its files in `rows/`.", ""]
    return "\n".join(lines)


def shown_name(metric: str) -> str:
    """``recall@20`` -> ``P@20``."""
    kind, _, k = metric.partition("@")
    return f"{NAMES.get(kind, kind)}@{k}"


def _how(config: TableConfig) -> str:
    return (
        f"Measured on {config.split}; P (recall), MRR, NDCG, coverage, percentile and top 1 % in percent. "
        "Mean ± standard deviation over seeds; in brackets the 95 % bootstrap interval "
        "(mean of the seeds' intervals). Milliseconds are of these very calls, clicks to top 20: "
        "of the run (eager) one session alone (median) and an input of a batch; served: of its artifact, "
        "request to answer, one session alone (median), one thread. Definitions: docs/evaluation.md."
    )


def _dataset(config: TableConfig, dataset: Entry, plots: Sequence[str]) -> list[str]:
    lines = [f"## {dataset['title']}", ""]
    if dataset["prepared"]:
        lines += [_counts(dataset["prepared"]["counts"]), ""]
    if not dataset["rows"]:
        return [*lines, "No row is finished yet.", ""]
    rows = dataset["rows"]
    measured = [row for row in rows if "figures" in row]
    lines += _main(config, rows, any(row["published"] for row in rows))
    lines += [line for row in rows if row["note"] for line in (f"{row['label']}: {row['note'].strip()}", "")]
    if measured:
        lines += _beyond(config, measured)
    lines += _stability([row for row in measured if row["stability"]])
    lines += _comparison(config, [row for row in measured if row["comparison"]])
    for plot in plots:
        lines += [f"![{plot.removesuffix('.svg')}]({plot})", ""]
    lines += _commands(dataset, measured)
    return lines


def _main(config: TableConfig, rows: Sequence[Entry], published: bool) -> list[str]:
    names = [shown_name(metric) for metric in config.metrics]
    columns = ["row", *names, *([f"published {' / '.join(names)}"] if published else [])]
    columns += ["seeds", "epochs", "training s", "ms alone", "ms in a batch"]
    columns += ["ms served"] if config.served else []
    cells = []
    for row in rows:
        cell = [row["label"], *(_measured(row, metric) for metric in config.metrics)]
        if published:
            figures = row["published"] or {}
            parts = [f"{figures[m]:.2f}" if m in figures else "-" for m in config.metrics]
            cell.append(" / ".join(parts) if figures else "")
        cells.append([*cell, *_effort(row), *([_served(row)] if config.served else [])])
    return [*_grid(columns, cells), ""]


def _effort(row: Entry) -> list[str]:
    if "figures" not in row:
        return [""] * 5
    seconds = [value for value in row["training_seconds"] if value is not None]
    return [
        str(len(row["seeds"])),
        ", ".join(str(epochs) for epochs in row["epochs"] if epochs),
        f"{sum(seconds) / len(seconds):,.0f}" if seconds else "",
        *(_milliseconds(row, name) for name in ("alone_p50_ms", "milliseconds_an_example")),
    ]


def _served(row: Entry) -> str:
    served = row.get("served")
    return f"{served['alone_p50_ms']:.2f}" if served else ""


def _milliseconds(row: Entry, name: str) -> str:
    return f"{row['figures'][name]['mean']:.2f}" if name in row["figures"] else ""


def _measured(row: Entry, metric: str) -> str:
    """``54.22 ± 0.10 (53.80-54.60)``."""
    if "figures" not in row:
        return ""
    scale = 100 if metric.partition("@")[0] in SHARES else 1
    mean, deviation = row["figures"][metric]["mean"], row["figures"][metric]["deviation"]
    text = f"{scale * mean:.2f}"
    if deviation is not None:
        text += f" ± {scale * deviation:.2f}"
    if metric in row["intervals_95"]:
        low, high = row["intervals_95"][metric]
        text += f" ({scale * low:.2f}-{scale * high:.2f})"
    return text


def _beyond(config: TableConfig, rows: Sequence[Entry]) -> list[str]:
    if not config.beyond:
        return []
    columns = ["what is answered", *(shown_name(metric) for metric in config.beyond)]
    cells = [[row["label"], *(_measured(row, metric) for metric in config.beyond)] for row in rows]
    return [*_grid(columns, cells), "", f"Distance within a list by {rows[0]['distance_by']}.", ""]


def _stability(rows: Sequence[Entry]) -> list[str]:
    if not rows:
        return []
    columns = ["overlap: RBO, top-10 Jaccard", *CHANGES.values()]
    return [*_grid(columns, [[row["label"], *map(_overlap(row), CHANGES)] for row in rows]), ""]


def _overlap(row: Entry) -> Callable[[str], str]:
    def cell(change: str) -> str:
        figures = row["stability"][change]
        if figures is None:
            return ""
        low, high = figures["intervals_95"]["jaccard@10"]
        return f"{figures['rbo']:.3f}, {figures['jaccard@10']:.3f} ({low:.3f}-{high:.3f})"

    return cell


def _comparison(config: TableConfig, rows: Sequence[Entry]) -> list[str]:
    if not rows:
        return []
    metrics = [metric for metric in config.metrics if metric in rows[0]["comparison"]]
    columns = [f"less {config.base}, by pairs", *(shown_name(metric) for metric in metrics)]
    return [*_grid(columns, [[row["label"], *map(_difference(row), metrics)] for row in rows]), ""]


def _difference(row: Entry) -> Callable[[str], str]:
    def cell(metric: str) -> str:
        found = row["comparison"][metric]
        low, high = found["interval_95"]
        return f"{100 * found['difference']:+.2f} ({100 * low:+.2f} to {100 * high:+.2f})"

    return cell


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {value:,}" for name, value in counts.items()) + "."


def _commands(dataset: Entry, rows: Sequence[Entry]) -> list[str]:
    """How the data were prepared and each row was made (its first seed)."""
    if not dataset["prepared"]:
        return []
    commands = [dataset["prepared"]["command"]]
    for row in rows:
        commands += ["", f"# {row['label']}", *row["commands"]]
    return ["<details><summary>Commands</summary>", "", "```", *commands, "```", "", "</details>", ""]


def _machines(table: Entry) -> list[str]:
    rows = [row for dataset in table["datasets"].values() for row in dataset["rows"] if "figures" in row]
    if not rows:
        return []
    lines = ["## Machine", ""]
    lines += [f"- {text}" for text in dict.fromkeys(_machine(row["machine"]) for row in rows)]
    codes = sorted({f"{version} ({code})" for row in rows for version in row["srec"] for code in row["code"]})
    return [*lines, f"- srec {', '.join(codes)}", ""]


def _machine(machine: Entry) -> str:
    return (
        f"{machine['cores']} cores of {machine['cpu']}, {machine['memory_gb']} GB, Python {machine['python']}"
    )


def _grid(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(columns)} |"
    yield "| --- |" + " ---: |" * (len(columns) - 1)
    for row in rows:
        yield f"| {' | '.join(cell.replace('|', '/') for cell in row)} |"
