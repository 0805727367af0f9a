"""Archives on their way into the private folder of a service."""

import json
import os
import re
import shutil
import zipfile
from pathlib import Path
from typing import Any

from srec.errors import DataError
from srec.io import new_file

SIGNATURE = ".sig"  # as srec.export.signature names it, which needs the package of the extra `sign`
_MODEL_CONFIG = "model-config.yaml"
_RESPONSE_TIMEOUT = re.compile(r"^responseTimeout:.*$", re.MULTILINE)


def take(mar: Path, target: Path, verify_key: Path | None = None) -> None:
    """Let ``target`` be the content that ``mar`` has now; with a key, only if it has signed it.

    Archives are replaced whole, never written in place, so a second name for the same file is a copy. It has
    the file's owner and mode: to change these would change the original's.
    """
    if verify_key is not None:
        from srec.export.signature import copy_verified  # noqa: PLC0415 (the package of the extra `sign`)

        copy_verified(mar, target, verify_key)
        return
    link = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        link.hardlink_to(mar.resolve())
        link.replace(target)
    except OSError:
        with new_file(target) as temporary:
            shutil.copyfile(mar, temporary)
    finally:
        link.unlink(missing_ok=True)


def stage(mar: Path, target: Path, response_timeout: int | None) -> None:
    """Put an archive where TorchServe reads it, with another ``responseTimeout`` if one is given.

    TorchServe takes this limit from the archive's own configuration alone: neither config.properties nor a
    registration can lower it.
    """
    if response_timeout is None:
        take(mar, target)
        return
    line = f"responseTimeout: {response_timeout}"
    with (
        new_file(target) as temporary,
        zipfile.ZipFile(mar) as source,
        zipfile.ZipFile(temporary, "w") as sink,
    ):
        for entry in source.infolist():
            content = source.read(entry)
            if entry.filename == _MODEL_CONFIG:
                content = _RESPONSE_TIMEOUT.sub(line, content.decode()).encode()
            sink.writestr(entry, content)


def move(source: Path, target: Path) -> None:
    """Rename an archive, and its signature with it."""
    source.replace(target)
    if signature_of(source).exists():
        signature_of(source).replace(signature_of(target))


def signature_of(mar: Path) -> Path:
    """Where the signature of an archive stands, if it has one."""
    return mar.with_name(mar.name + SIGNATURE)


def graph_of(mar: Path) -> str | None:
    """Digest of the global graph in the archive's artifact; None where it has none."""
    try:
        with zipfile.ZipFile(mar) as archive:
            manifest: dict[str, Any] = json.loads(archive.read("manifest.json"))
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise DataError(f"{mar} cannot be read ({error}): write it again with `srec archive`") from None
    graph = manifest.get("graph")
    return None if graph is None else str(graph)
