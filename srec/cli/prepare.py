"""demo-data and prepare."""

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from pydantic import ValidationError

from srec.cli.console import note, print_json, table
from srec.errors import InputError, nearest

if TYPE_CHECKING:
    from srec.prepare import Report


def register(app: typer.Typer) -> None:
    """Add the verbs."""
    app.command("demo-data")(demo_data)
    app.command()(prepare)


def demo_data(
    out: Annotated[Path, typer.Option(help="Folder to write the reviews and games.jsonl to.")],
    players: Annotated[int | None, typer.Option(min=1, help="Players of the small demo. [6000]")] = None,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same bytes.")] = 0,
    scale: Annotated[
        str | None, typer.Option(help="A log of any size instead, with the proportions of a store: steam.")
    ] = None,
    reviews: Annotated[int | None, typer.Option(help="With --scale: reviews. [1000000]")] = None,
    users: Annotated[int | None, typer.Option(help="With --scale: users. [a third of the reviews]")] = None,
    games: Annotated[int | None, typer.Option(help="With --scale: games. [7800]")] = None,
) -> None:
    """Make reviews of 266 well-known games by players with tastes, or a large log of made-up games."""
    if scale is None:
        _refuse({"reviews": reviews, "users": users, "games": games}, "the small demo: add --scale steam, or")
        from srec.demo import write_demo

        summary = write_demo(out, players=players or 6_000, seed=seed)
        note(
            f"wrote {out}: {summary.reviews:,} reviews ({summary.positive_reviews:,} positive) "
            f"of {summary.games} games by {summary.players:,} players"
        )
        return
    _refuse({"players": players}, "a log with --scale: give --users, or")
    from srec.demo.scale import write_scale

    wanted = reviews or 1_000_000
    made = write_scale(
        out, scale, reviews=wanted, users=users or wanted // 3, games=games or 7_800, seed=seed, progress=note
    )
    note(
        f"wrote {out}: {made.reviews:,} reviews ({made.positive:,} positive) of {made.games:,} games "
        f"by {made.users:,} users in {made.files} files"
    )


def prepare(
    out: Annotated[Path, typer.Option(help="Folder to write DATA to.")],
    reviews: Annotated[
        list[str] | None,
        typer.Option(
            help="CSV, Parquet or JSON lines, also .gz or .zst: file, folder, pattern or URL; repeat."
        ),
    ] = None,
    games: Annotated[str | None, typer.Option(help="Games: JSON lines, CSV or Parquet.")] = None,
    train_sessions: Annotated[
        Path | None, typer.Option(help="Instead of reviews: training sessions, one a line.")
    ] = None,
    test_sessions: Annotated[Path | None, typer.Option(help="Test sessions, one a line.")] = None,
    column: Annotated[
        list[str] | None, typer.Option(help="Our field and your column, such as steamid=user; repeat.")
    ] = None,
    min_user_reviews: Annotated[int | None, typer.Option(help="Positive reviews a user needs. [3]")] = None,
    min_game_reviews: Annotated[int | None, typer.Option(help="Positive reviews a game needs. [5]")] = None,
    popular_games: Annotated[
        float | None, typer.Option(help="Share of the games that counts as popular. [0.01]")
    ] = None,
    popular_share: Annotated[
        float | None,
        typer.Option(help="Users with a larger share of reviews on popular games go; 1 keeps all. [0.8]"),
    ] = None,
    test_days: Annotated[int | None, typer.Option(help="Length of the test window. [14]")] = None,
    validation_days: Annotated[int | None, typer.Option(help="Length of the one before. [14]")] = None,
    until: Annotated[datetime | None, typer.Option(help="Later reviews are set aside. [now]")] = None,
    tag_width: Annotated[int | None, typer.Option(help="Width of the tag vectors. [352]")] = None,
    validation_share: Annotated[
        float | None, typer.Option(help="Share of the training sessions for validation. [0.1]")
    ] = None,
    window: Annotated[int | None, typer.Option(help="Distance that counts in the global graph. [3]")] = None,
    neighbours: Annotated[int | None, typer.Option(help="Neighbours kept a game. [12]")] = None,
    seed: Annotated[int | None, typer.Option(help="Of the random choices. [0]")] = None,
    engine: Annotated[
        str | None, typer.Option(help="Where reviews are filtered: duckdb, or spark. [duckdb]")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Filter, split by time and index: reviews (or session files) in, DATA out."""
    from srec.prepare import ReviewSettings, SessionSettings, prepare_reviews, prepare_sessions

    common = {"window": window, "neighbours": neighbours, "seed": seed}
    of_reviews = {
        "min_user_reviews": min_user_reviews,
        "min_game_reviews": min_game_reviews,
        "popular_games": popular_games,
        "popular_share": popular_share,
        "test_days": test_days,
        "validation_days": validation_days,
        "until": until,
        "tag_width": tag_width,
    }
    of_sessions = {"validation_share": validation_share}
    if reviews and games and not (train_sessions or test_sessions):
        _refuse(of_sessions, "reviews")
        columns = dict(_pair(text) for text in column or []) or None
        settings = _settings(ReviewSettings, common | of_reviews | {"columns": columns})
        report = prepare_reviews(reviews, games, out, settings, note, engine=engine or "duckdb")
    elif train_sessions and test_sessions and not (reviews or games):
        _refuse(of_reviews | {"column": column or None, "engine": engine}, "session files")
        settings = _settings(SessionSettings, common | of_sessions)
        report = prepare_sessions(train_sessions, test_sessions, out, settings, note)
    else:
        raise InputError(
            "prepare takes either --reviews FILE (repeated for several) with --games FILE, "
            "or --train-sessions FILE with --test-sessions FILE"
        )
    if json:
        print_json(report.model_dump(mode="json"))
    else:
        _show(report)
    note(f"wrote {out}")


def _pair(text: str) -> tuple[str, str]:
    field, equals, name = text.partition("=")
    known = ("steamid", "appid", "timestamp_created", "voted_up")
    if not equals or field not in known:
        raise InputError(
            f"--column {text}: write field=column, the field one of {', '.join(known)}{nearest(field, known)}"
        )
    return field, name


def _refuse(options: dict[str, Any], kind: str) -> None:
    for name, value in options.items():
        if value is not None:
            raise InputError(f"--{name.replace('_', '-')} has no meaning for {kind}: leave it out")


def _settings(kind: type[Any], given: dict[str, Any]) -> Any:
    try:
        return kind(**{name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        first = error.errors()[0]
        option = str(first["loc"][0]).replace("_", "-")
        raise InputError(f"--{option} {first['input']}: {first['msg'].lower()}") from None


def _show(report: "Report") -> None:
    for what, reading in report.readings.items():
        note(f"{what}: {reading.rows:,} rows, {reading.unparsable:,} unparsable" + _empties(reading.empty))
        for row in reading.shown:
            note(f"  {row.file}: {row.why}: {row.row}")
    for line in report.notes:
        note(line)
    if report.steps:
        table(
            "what every filter removed",
            ["filter", "reviews", "users", "games", "reviews left"],
            [
                [
                    step.name,
                    f"{step.removed.rows:,}",
                    f"{step.removed.users:,}",
                    f"{step.removed.games:,}",
                    f"{step.after.rows:,}",
                ]
                for step in report.steps
            ],
        )
    for counts in (report.dropped, report.counts):
        note(", ".join(f"{name} {value:,}" for name, value in counts.items()))


def _empties(empty: dict[str, int]) -> str:
    return "".join(f", {count:,} without {name}" for name, count in empty.items() if count)
