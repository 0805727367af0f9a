"""loadtest: what a running server answers under load."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from srec.cli.console import note, table
from srec.errors import InputError

if TYPE_CHECKING:
    from srec.loadtest import LoadReport

COLUMNS = ["step", "due", "failed", "inputs/s", "p50 ms", "p90 ms", "p99 ms"]


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command()(loadtest)


def loadtest(
    url: Annotated[str, typer.Option(help="Address of the server, such as http://127.0.0.1:8080.")],
    artifact: Annotated[
        Path | None, typer.Option(help="Its catalogue gives the appids of drawn sessions.")
    ] = None,
    sessions: Annotated[Path | None, typer.Option(help="Send these sessions, one a line.")] = None,
    data: Annotated[Path | None, typer.Option(help="Replay the sessions of this prepared DATA.")] = None,
    preset: Annotated[str | None, typer.Option(help="srec, replay or etude.")] = None,
    inputs: Annotated[str | None, typer.Option(help="random, power-law, file or data.")] = None,
    click_by_click: Annotated[
        bool, typer.Option("--click-by-click", help="Replay sessions as they grew.")
    ] = False,
    users: Annotated[int | None, typer.Option(help="Requests under way at once.")] = None,
    rate: Annotated[
        list[float] | None, typer.Option(help="Requests/s offered; repeat. Unset: closed loop.")
    ] = None,
    shape: Annotated[str | None, typer.Option(help="step, ramp, soak or spike.")] = None,
    seconds: Annotated[float | None, typer.Option(help="Length of a step, a ramp or a soak.")] = None,
    spike_seconds: Annotated[float | None, typer.Option(help="Length of the spike.")] = None,
    windows: Annotated[int | None, typer.Option(help="Parts in which a ramp or a soak is reported.")] = None,
    warmup_seconds: Annotated[float | None, typer.Option(help="Before the first step.")] = None,
    processes: Annotated[int | None, typer.Option(help="Processes of Locust.")] = None,
    k: Annotated[int | None, typer.Option(help="Games asked for.")] = None,
    max_p50_ms: Annotated[float | None, typer.Option(help="Fail above this.")] = None,
    max_p90_ms: Annotated[float | None, typer.Option(help="Fail above this.")] = None,
    max_p99_ms: Annotated[float | None, typer.Option(help="Fail above this.")] = None,
    min_rate: Annotated[float | None, typer.Option(help="Fail below this.")] = None,
    max_errors: Annotated[
        float | None, typer.Option(help="Fail above this share of wrong, lost and unsent requests. [0]")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Of the drawn sessions.")] = None,
    html: Annotated[Path | None, typer.Option(help="Write a report for people there.")] = None,
    plot: Annotated[
        Path | None, typer.Option(help="Write a plot of latency and failures there (SVG).")
    ] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the figures there.")] = None,
) -> None:
    """Put a running server under load with Locust; exit code 1 when a threshold is missed."""
    from srec.loadtest import load_settings, run_loadtest

    kind = inputs or ("file" if sessions else "data" if data else None)
    values = {
        "url": url,
        "k": k,
        "users": users,
        "rates": tuple(rate) if rate else None,
        "shape": shape,
        "seconds": seconds,
        "spike_seconds": spike_seconds,
        "windows": windows,
        "warmup_seconds": warmup_seconds,
        "processes": processes,
        "html_file": html,
        "plot_file": plot,
        "json_file": json_file,
        "inputs": _given(
            kind=kind, sessions=sessions, data=data, click_by_click=click_by_click or None, seed=seed
        ),
        "thresholds": _given(
            max_p50_ms=max_p50_ms,
            max_p90_ms=max_p90_ms,
            max_p99_ms=max_p99_ms,
            min_rate=min_rate,
            max_failure_share=max_errors,
        ),
    }
    settings = load_settings(_given(**values), preset)
    report = run_loadtest(settings, note, catalogue_appids(artifact, settings.inputs.kind))
    show_report(report)
    for path in (json_file, html, plot):
        if path:
            note(f"wrote {path}")
    if not report.passed:
        raise typer.Exit(1)


def show_report(report: "LoadReport", title: str = "load test") -> None:
    """Print the steps, what limits their meaning, and what was missed."""
    rows = []
    for step in report.steps:
        times = step.latency
        cells = (f"{t:.1f}" for t in (times.p50_ms, times.p90_ms, times.p99_ms)) if times else ("-",) * 3
        due, failed = step.requests + step.unsent, step.failures + step.unsent
        rows.append([step.name, str(due), str(failed), f"{step.rate:.1f}", *cells])
    table(title, COLUMNS, rows)
    for warning in report.warnings:
        note(f"note: {warning}")
    missed = [
        f"{check.threshold} {check.value} (limit {check.limit:g}, {step.name})"
        for step in report.steps
        for check in step.checks
        if not check.passed
    ]
    if missed:
        note("missed: " + ", ".join(missed))


def catalogue_appids(artifact: Path | None, kind: str) -> list[int]:
    """The appids that sessions are drawn from; none are needed for sessions that exist."""
    from srec.serving.artifact import Artifact

    if kind in ("file", "data"):
        return []
    if artifact is None:
        raise InputError(
            "drawn sessions need the catalogue: name it with --artifact, or send --sessions FILE"
        )
    appids: list[int] = Artifact(artifact).catalogue.vocabulary.appids.tolist()
    return appids


def _given(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}
