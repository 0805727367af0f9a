"""doctor: what this machine has, and whether an artifact answers as it should."""

import importlib.metadata
import platform
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from srec.cli.console import fail, print_json, table
from srec.errors import SrecError

PACKAGES = (
    "torch",
    "torchserve",
    "torch-model-archiver",
    "numpy",
    "redis",
    "locust",
    "ibis-framework",
    "duckdb",
)


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command()(doctor)


def doctor(
    artifact: Annotated[Path | None, typer.Option(help="Replay this artifact's golden sessions.")] = None,
    redis: Annotated[
        str | None, typer.Option(envvar="SREC_REDIS_URL", help="Ask this Redis whether it answers.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """Say which versions are here, whether Java, Redis, AVX2 and IPEX are, and test an artifact."""
    checks: dict[str, Callable[[], str]] = {"java": _java, "redis server": lambda: _redis(redis)}
    if artifact is not None:
        checks["artifact"] = lambda: _artifact(artifact)
    found: dict[str, Any] = {"python": platform.python_version(), **_versions(), **_cpu()}
    broken = []
    for name, check in checks.items():
        try:
            found[name] = check()
        except (SrecError, ModuleNotFoundError) as error:
            found[name] = f"FAILED: {error}"
            broken.append(name)
    found["ok"] = not broken
    if json:
        print_json(found)
    else:
        table("srec doctor", ["what", "found"], [[name, str(value)] for name, value in found.items()])
    if broken:
        fail(f"not in order: {', '.join(broken)}; see above")


def _versions() -> dict[str, str]:
    versions = {}
    for package in ("srec", *PACKAGES):
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            versions[package] = "not installed"
    return versions


def _cpu() -> dict[str, str]:
    import torch

    from srec.export.ipex import why_not
    from srec.serving.products import has_avx2

    return {
        "cpu kernels": torch.backends.cpu.get_cpu_capability(),
        "avx2": "yes" if has_avx2() else "no",
        "ipex": why_not() or "yes",
    }


def _java() -> str:
    from srec.serve_config.java import find_java

    java = find_java()
    return f"{java.major} at {java.path}"


def _redis(url: str | None) -> str:
    if url is None:
        from srec.serve_config.embedded_redis import find_server

        return f"embedded server at {find_server()}"
    from srec.serve_config.service import NO_REDIS, check_redis

    if url == NO_REDIS:
        return "none: the archive's own copy of the neighbours is used"
    check_redis(url)
    return "answers"


def _artifact(folder: Path) -> str:
    from srec.serving.artifact import Artifact

    artifact = Artifact(folder)
    return f"{artifact.self_test()} golden sessions answered as at export, version {artifact.version}"
