"""recommend and serve."""

import json as json_text
import os
import re
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from srec.cli.console import note, out, print_json, table
from srec.cli.ship import describe_load

if TYPE_CHECKING:
    from srec.serve_config.service import ServiceInfo

EXAMPLE = [620, 400]  # Portal 2, Portal


def register(app: typer.Typer) -> None:
    """Add the verbs."""
    app.command()(recommend)
    app.command()(serve)


def recommend(
    appids: Annotated[list[str], typer.Argument(help="Clicked games in click order, the newest last.")],
    artifact: Annotated[Path, typer.Option(help="Folder that `srec export` wrote.")],
    k: Annotated[int, typer.Option(help="How many games to answer.")] = 10,
    keep_clicked: Annotated[
        bool, typer.Option("--keep-clicked", help="Clicked games may be answered.")
    ] = False,
    redis: Annotated[str | None, typer.Option(help="Read neighbours there instead of the artifact.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the same object as the HTTP answer.")] = False,
) -> None:
    """Answer from an artifact, without a server."""
    import torch

    from srec.serving.artifact import Artifact
    from srec.serving.contract import parse_request

    torch.set_num_threads(1)
    body = {"appids": [_number(text) for text in appids], "k": k, "exclude_clicked": not keep_clicked}
    request = parse_request(body)
    answer = Artifact(artifact).predictor(redis).answer([request], [str(uuid.uuid4())])[0]
    if json:
        print_json(answer)
        return
    rows = [[i["name"] or "", str(i["appid"]), f"{i['score']:.3f}"] for i in answer["items"]]
    table(f"by {answer['source']}, version {answer['model']['version']}", ["game", "appid", "score"], rows)
    if answer["unknown_appids"]:
        note(f"not known to the model: {', '.join(map(str, answer['unknown_appids']))}")


def serve(
    mar: Annotated[Path, typer.Option(help="Archive that `srec archive` wrote.")] = Path(
        "model_store/srec.mar"
    ),
    redis: Annotated[
        str | None,
        typer.Option(
            envvar="SREC_REDIS_URL",
            help="Redis of the neighbours; array: none, the archive's own copy; unset: an own one.",
        ),
    ] = None,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port of predictions.")] = 8080,
    workers: Annotated[int, typer.Option(min=1, help="Worker processes.")] = os.cpu_count() or 1,
    address: Annotated[
        str | None, typer.Option(envvar="SREC_ADDRESS", help="Address of predictions. [127.0.0.1]")
    ] = None,
    verify_key: Annotated[
        Path | None,
        typer.Option(
            envvar="SREC_VERIFY_KEY", help="Public key of `srec keygen`: serve only what it has signed."
        ),
    ] = None,
) -> None:
    """Start Redis (unless one is given) and TorchServe; serve until Ctrl-C, which stops everything."""
    from srec.export.archive import read_archive
    from srec.serve_config.service import serve as run_service
    from srec.serving.artifact import Artifact
    from srec.stores.load import load_graph

    def load_neighbours(archive: Path, url: str) -> None:
        with read_archive(archive) as folder:
            graph = Artifact(folder).graph
        note(describe_load(load_graph(url, graph)))

    run_service(
        mar,
        redis_url=redis,
        port=port,
        workers=workers,
        address=address,
        verify_key=verify_key,
        load_neighbours=load_neighbours,
        on_ready=_show_example,
    )
    note("stopped")


def _show_example(info: "ServiceInfo") -> None:
    """Print a request that a person can repeat, and the server's real answer to it."""
    from srec.serve_config.client import post

    body = json_text.dumps({"appids": EXAMPLE, "k": 5})
    answer = post(info.predictions_url, body.encode())
    # The shell puts the key in: its value stands in no output.
    key = ' -H "X-API-Key: $SREC_API_KEY"' if os.environ.get("SREC_API_KEY") else ""
    out.print(
        f"srec {info.version} serves on {info.predictions_url}; Ctrl-C stops it.\n"
        f"/ready, /live and /openapi.json are on {info.operations_url}, management on {info.management_url}, "
        f"metrics on {info.metrics_url}. Try:\n",
        soft_wrap=True,
    )
    out.print(
        f"curl {info.predictions_url} -H 'Content-Type: application/json'{key} -d '{body}'\n",
        markup=False,
        soft_wrap=True,
    )
    out.print(json_text.dumps(json_text.loads(answer.body), ensure_ascii=False), markup=False, soft_wrap=True)


def _number(text: str) -> object:
    """The text as the integer it spells; other text is left for the contract to refuse."""
    return int(text) if re.fullmatch(r"-?\d{1,20}", text) else text
