"""ARTIFACT -> srec.mar, byte for byte the same from the same input; and srec.mar -> files again.

The archive holds the artifact's files, the handler, TorchServe's model configuration and the worker's share
of this library. TorchServe puts the unpacked folder first on ``sys.path``, so a worker never meets another
version's code.
"""

import json
import os
import re
import shutil
import stat
import subprocess
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

import srec
from srec.errors import DataError, HostError, InputError
from srec.io import new_file
from srec.manifest import ARTIFACT

MODEL_NAME = "srec"
MANIFEST = "MAR-INF/MANIFEST.json"

WORKER_FILES = (
    "srec/__init__.py",
    "srec/api_key.py",
    "srec/compiled.py",
    "srec/errors.py",
    "srec/io.py",
    "srec/ids.py",
    "srec/manifest.py",
    "srec/matmul.py",
    "srec/score_block.py",
    "srec/script.py",
    "srec/topk.py",
    "srec/graph/*.py",
    "srec/stores/*.py",
    "srec/serving/*.py",
    "srec/export/__init__.py",
    "srec/export/torchscript.py",
    "srec/export/fast.py",
    "srec/export/ipex.py",
)
"""What the worker imports, relative to the folder that holds the package; each must match a file."""

_PACKAGE = Path(srec.__file__).parent
_HANDLER = _PACKAGE / "handlers" / "srec_handler.py"
_MODEL_CONFIG = _PACKAGE / "serve_config" / "model-config.yaml"
_VERSION = re.compile(r"[A-Za-z0-9._-]{1,64}")
_EPOCH = (1980, 1, 1, 0, 0, 0)
# A well-made archive is stored, so it unpacks to its own size; far more is a bomb or an accident.
_MOST_GROWTH = 50
_SMALL = 64 * 1024 * 1024
_LONGEST_HEADER = 30 + (1 << 16) + 20  # of a file in a zip: fields, name, sizes of ZIP64


def build_archive(
    artifact: Path,
    out: Path,
    version: str | None = None,
    *,
    check: Callable[[Path], object] | None = None,
    handler: Path = _HANDLER,
    worker_files: tuple[str, ...] = WORKER_FILES,
) -> Path:
    """Write ``out/srec.mar`` from an artifact folder and return its path.

    ``version`` defaults to the first 12 digits of the artifact's digest. Every file is verified first, once:
    by ``check``, which gets the folder and raises what is wrong with it, else by its digest. A failure at any
    point leaves the srec.mar that was there.
    """
    (check or _verify)(artifact)
    manifest = ARTIFACT.read(artifact)
    version = str(manifest["digest"])[:12] if version is None else version
    if not _VERSION.fullmatch(version):
        raise InputError(f'version "{version}": use 1 to 64 letters, digits, dots, dashes and underscores')
    target = out / f"{MODEL_NAME}.mar"
    # The archiver deletes $TMPDIR/<model name>, so it gets a TMPDIR of its own.
    with tempfile.TemporaryDirectory(prefix="srec-archive-") as name:
        private = Path(name)
        _stage(private / "files", artifact, manifest, worker_files)
        packed = _run_archiver(private, handler, version)
        with new_file(target) as temporary:
            _normalise(packed, temporary)
    return target


def read_manifest(mar: Path) -> dict[str, Any]:
    """TorchServe's manifest of an archive that is safe to unpack and whole, else ``DataError``."""
    with _opened(mar) as archive:
        if damaged := archive.testzip():
            raise DataError(f"{mar} is damaged at {damaged}: write it again with `srec archive`")
        return _manifest(mar, archive)


def unpack(mar: Path, folder: Path) -> None:
    """Write the archive's files into an existing empty ``folder``; ``DataError`` if one would leave it."""
    with _opened(mar) as archive:
        _manifest(mar, archive)
        for entry in archive.infolist():
            target = folder / entry.filename
            target.parent.mkdir(parents=True, exist_ok=True)
            with archive.open(entry) as source, target.open("xb") as sink:
                shutil.copyfileobj(source, sink)


@contextmanager
def read_archive(mar: Path) -> Iterator[Path]:
    """Yield a temporary folder with the archive's files; opening its ``Artifact`` verifies their digests."""
    with tempfile.TemporaryDirectory(prefix="srec-mar-") as name:
        unpack(mar, Path(name))
        if not (Path(name) / ARTIFACT.name).is_file():
            raise DataError(f"{mar} holds no artifact of srec: make it again with `srec archive`")
        yield Path(name)


def _verify(folder: Path) -> None:
    ARTIFACT.verify(folder, ARTIFACT.read(folder))


def _stage(folder: Path, artifact: Path, manifest: dict[str, Any], worker_files: tuple[str, ...]) -> None:
    """Lay out copies of the archive's files in ``folder``: the archiver refuses dates before 1980."""
    root = _PACKAGE.parent
    sources = {name: artifact / name for name in ("manifest.json", *manifest["files"])}
    for pattern in worker_files:
        # Not root.glob: the stations export/, handlers/, ... are links, which ** would not follow.
        found = sorted(path for path in root.glob(pattern) if path.is_file())
        if not found:
            raise HostError(f"{root / pattern} is missing, which the worker needs: install srec again")
        sources |= {str(path.relative_to(root)): path for path in found}
    for name, source in sources.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, folder / name)


def _run_archiver(private: Path, handler: Path, version: str) -> Path:
    """Call torch-model-archiver in ``private``; relative paths, since it splits lists at commas."""
    if not handler.is_file():
        raise HostError(f"{handler} is missing, which the worker starts with: install srec again")
    shutil.copyfile(handler, private / handler.name)
    shutil.copyfile(_MODEL_CONFIG, private / _MODEL_CONFIG.name)
    for name in ("tmp", "out"):
        (private / name).mkdir()
    command = [
        *(sys.executable, "-m", "model_archiver.model_packaging"),
        *("--model-name", MODEL_NAME, "--version", version, "--handler", handler.name),
        *("--config-file", _MODEL_CONFIG.name, "--extra-files", "files", "--export-path", "out"),
    ]
    environment = os.environ | {"TMPDIR": str(private / "tmp")}
    answer = subprocess.run(  # noqa: S603 (our own interpreter, fixed options)
        command, cwd=private, env=environment, capture_output=True, text=True, check=False
    )
    if answer.returncode != 0:
        reason = (answer.stderr.strip().splitlines() or ["it gave no reason"])[-1]
        raise HostError(f"torch-model-archiver failed ({reason}): check that srec[serve] is installed")
    return private / "out" / f"{MODEL_NAME}.mar"


def _normalise(packed: Path, target: Path) -> None:
    """Rewrite an archive without the time, order and permissions of its making.

    Entries are stored, not deflated: weights hardly shrink, and a compressor's version would show.
    """
    with zipfile.ZipFile(packed) as source, zipfile.ZipFile(target, "w") as sink:
        for name in sorted(source.namelist()):
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.create_system = 3  # Unix, whose permissions these are
            entry.external_attr = (stat.S_IFREG | 0o644) << 16
            if name == MANIFEST:
                manifest = json.loads(source.read(name)) | {"createdOn": "01/01/1980 00:00:00"}
                sink.writestr(entry, json.dumps(manifest, indent=2) + "\n")
                continue
            entry.file_size = source.getinfo(name).file_size  # decides on ZIP64 before the data is seen
            with source.open(name) as read, sink.open(entry, "w") as write:
                shutil.copyfileobj(read, write)


@contextmanager
def _opened(mar: Path) -> Iterator[zipfile.ZipFile]:
    """The archive, if safe to unpack; every way in which a file fails to be one becomes a ``DataError``."""
    try:
        with zipfile.ZipFile(mar) as archive:
            _refuse_unsafe(mar, archive)
            _refuse_hidden(mar, archive)
            yield archive
    except FileNotFoundError:
        raise DataError(f"{mar} is missing: write it with `srec archive`") from None
    except OSError as error:
        raise DataError(f"{mar} cannot be read or unpacked ({error}): check the disk and the path") from None
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, EOFError) as error:
        raise DataError(f"{mar} is damaged ({error}): write it again with `srec archive`") from None


def _manifest(mar: Path, archive: zipfile.ZipFile) -> dict[str, Any]:
    try:
        manifest = json.loads(archive.read(MANIFEST))
        model = manifest["model"]
        names = (model["modelName"], model["modelVersion"], model["handler"])
    except (KeyError, TypeError, ValueError):
        raise DataError(f"{mar} has no usable {MANIFEST}: write it again with `srec archive`") from None
    if names[0] != MODEL_NAME:
        raise DataError(
            f'{mar} holds the model "{names[0]}", not "{MODEL_NAME}": give an archive of `srec archive`'
        )
    return dict(manifest)


def _refuse_unsafe(mar: Path, archive: zipfile.ZipFile) -> None:
    entries = archive.infolist()
    for entry in entries:
        if not _is_inside(entry.filename) or stat.S_ISLNK(entry.external_attr >> 16):
            raise DataError(f'{mar} holds the unsafe path "{entry.filename}": do not use this archive')
    if len({entry.filename for entry in entries}) < len(entries):
        raise DataError(f"{mar} holds a file twice: do not use this archive")
    total = sum(entry.file_size for entry in entries)
    if total > max(_SMALL, _MOST_GROWTH * mar.stat().st_size):
        raise DataError(f"{mar} would unpack to {total} bytes: do not use this archive")


def _refuse_hidden(mar: Path, archive: zipfile.ZipFile) -> None:
    """Refuse bytes that the directory does not name.

    TorchServe unpacks a zip from its first byte on, without the directory at its end, by which archives are
    read here: between the entries, or under another name, it would find files that were never checked.
    """
    end = 0
    with mar.open("rb") as stream:
        for entry in sorted(archive.infolist(), key=lambda entry: entry.header_offset):
            stream.seek(end)
            start = stream.read(_LONGEST_HEADER)
            header = next((one for one in _headers(entry) if start.startswith(one)), None)
            if entry.header_offset != end or header is None:
                raise DataError(f'{mar} hides data before "{entry.filename}": do not use this archive')
            end += len(header) + entry.compress_size
    if archive.start_dir != end:
        raise DataError(f"{mar} hides data behind its files: do not use this archive")


def _headers(entry: zipfile.ZipInfo) -> Iterator[bytes]:
    """The two headers that a file may have: the plain one, where its size fits, and that of ZIP64.

    zipfile chooses ZIP64 from 5 % below its limit of 2 GiB on, since it does not know yet what is written.
    """
    entry.extra = b""  # the header gets its own
    if max(entry.file_size, entry.compress_size) <= zipfile.ZIP64_LIMIT:
        yield entry.FileHeader(zip64=False)
    yield entry.FileHeader(zip64=True)


def _is_inside(name: str) -> bool:
    """Whether ``name`` is a plain relative path that stays in its folder."""
    path = PurePosixPath(name)
    return (
        bool(name)
        and not path.is_absolute()
        and ".." not in path.parts
        and "\\" not in name
        and "\0" not in name
    )
