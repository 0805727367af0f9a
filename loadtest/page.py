"""A load test's report for people: one HTML file, and the plot of latency and failures against load."""

from html import escape

from srec.loadtest.chart import Points, line_chart
from srec.loadtest.report import LoadReport, Moment, StepReport, Times

_STYLE = """
body { font: 15px/1.5 sans-serif; color: #222; max-width: 60em; margin: 2em auto; padding: 0 1em }
table { border-collapse: collapse; margin: 1em 0 }
th, td { padding: .25em .7em; text-align: right; border-bottom: 1px solid #ddd }
th:first-child, td:first-child { text-align: left }
.passed { color: #2a6b2a } .missed { color: #b3261e } svg { max-width: 100% }
"""
_COLUMNS = (
    "step", "due", "unsent", "failed", "right answers/s", "p50 ms", "p90 ms", "p99 ms", "max ms",
    "client CPU", "verdict",
)  # fmt: skip


def plot(report: LoadReport) -> str:
    """p50, p90 and p99 over the offered rate and, for a closed loop or one rate, over time; SVG."""
    steps = [step for step in report.steps if step.offered_rate is not None]
    if len({step.offered_rate for step in steps}) < 2:
        return line_chart("Latency over time", "seconds", "ms", _over_time(report), log=True)
    return line_chart(
        "Latency and failures against load",
        "requests/s offered",
        "ms, or %",
        _against_load(report),
        log=True,
    )


def html(report: LoadReport) -> str:
    """The whole report; it refers to no other file."""
    verdict = "passed" if report.passed else "missed"
    charts = [plot(report), _failures(report), _rate(report)]
    if any(step.offered_rate for step in report.steps):
        charts.insert(1, line_chart("Latency over time", "seconds", "ms", _over_time(report), log=True))
    return "\n".join(
        (
            "<!doctype html>",
            f'<html lang="en"><meta charset="utf-8"><title>srec load test</title><style>{_STYLE}</style>',
            f'<h1>Load test: <span class="{verdict}">{verdict}</span></h1>',
            f"<p>{escape(_what(report))}</p>",
            _table(report.steps),
            "<p>Latency runs from the moment a request was due, so the wait for a server that falls behind "
            "counts too; percentiles are measured times of right answers.</p>",
            *(f"<p>Note: {escape(text)}</p>" for text in report.warnings),
            *dict.fromkeys(charts),
            f"<h2>Settings</h2><pre>{escape(report.settings.model_dump_json(indent=1))}</pre>",
            f"<p>{escape(_where(report))}</p></html>\n",
        )
    )


def _what(report: LoadReport) -> str:
    settings = report.settings
    loop = "closed loop" if not settings.rates else f"open loop, shape {settings.shape}"
    return (
        f"{report.started}: {settings.url}{settings.path}, {settings.inputs.kind} inputs ({report.sessions} "
        f"sessions), {loop}, {settings.users} users in {settings.processes} processes"
    )


def _where(report: LoadReport) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in report.versions.items())
    machine = report.machine
    return f"Sent from {machine.cores} cores of {machine.cpu}, {machine.system}; {versions}"


def _table(steps: tuple[StepReport, ...]) -> str:
    head = "".join(f"<th>{name}</th>" for name in _COLUMNS)
    return f"<table><tr>{head}</tr>{''.join(map(_row, steps))}</table>"


def _row(step: StepReport) -> str:
    missed = [f"{c.threshold} {c.limit:g}" for c in step.checks if not c.passed]
    verdict = ", ".join(missed) if missed else ("passed" if step.judged else "not judged")
    cells = (
        escape(step.name), step.requests + step.unsent, step.unsent, step.failures, f"{step.rate:.1f}",
        *_cells(step.latency), f"{step.client_cpu_share:.0%}",
    )  # fmt: skip
    row = "".join(f"<td>{cell}</td>" for cell in cells)
    return f'<tr>{row}<td class="{"missed" if missed else "passed"}">{escape(verdict)}</td></tr>'


def _cells(times: Times | None) -> tuple[str, ...]:
    return tuple(f"{value:.1f}" for value in times.model_dump().values()) if times else ("-",) * 4


def _against_load(report: LoadReport) -> dict[str, Points]:
    steps = sorted(report.steps, key=lambda step: step.offered_rate or 0)
    timed = [(step.offered_rate or 0, step.latency) for step in steps if step.latency]
    lines: dict[str, Points] = _percentiles(timed)
    return lines | {"failed, %": [(step.offered_rate or 0, 100 * step.failure_share) for step in steps]}


def _over_time(report: LoadReport) -> dict[str, Points]:
    return _percentiles([(moment.second, moment.latency) for moment in report.timeline if moment.latency])


def _percentiles(timed: list[tuple[float, Times]]) -> dict[str, Points]:
    return {
        "p50": [(x, times.p50_ms) for x, times in timed],
        "p90": [(x, times.p90_ms) for x, times in timed],
        "p99": [(x, times.p99_ms) for x, times in timed],
    }


def _rate(report: LoadReport) -> str:
    def right(moment: Moment) -> float:
        return moment.requests - moment.failures

    points = [(moment.second, right(moment)) for moment in report.timeline]
    return line_chart("Right answers by second", "seconds", "requests/s", {"right": points})


def _failures(report: LoadReport) -> str:
    points = [(moment.second, moment.failures) for moment in report.timeline]
    return line_chart("Failures by second", "seconds", "requests/s", {"failed": points})
