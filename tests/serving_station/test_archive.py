"""Archives: the same bytes every time, whole or absent, and nothing outside of the folder."""

import contextlib
import json
import os
import shutil
import stat
import subprocess
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from srec.errors import DataError, HostError, InputError
from srec.export.archive import build_archive, read_archive, read_manifest, unpack
from srec.io import read_json
from srec.manifest import ARTIFACT
from tests.serving_station.conftest import ECHO, WORKER_FILES, write_artifact


@pytest.fixture
def handler(tmp_path: Path) -> Path:
    path = tmp_path / "tiny_handler.py"
    path.write_text(ECHO)
    return path


@pytest.fixture
def build(artifact: Path, handler: Path, tmp_path: Path) -> Callable[..., Path]:
    def call(
        version: str | None = None, out: str = "store", worker_files: tuple[str, ...] = WORKER_FILES
    ) -> Path:
        return build_archive(artifact, tmp_path / out, version, handler=handler, worker_files=worker_files)

    return call


def with_entry(mar: Path, name: str, content: bytes = b"x", mode: int = stat.S_IFREG | 0o644) -> Path:
    changed = mar.with_name("changed.mar")
    shutil.copyfile(mar, changed)
    entry = zipfile.ZipInfo(name)
    entry.external_attr = mode << 16
    entry.compress_type = zipfile.ZIP_DEFLATED
    with zipfile.ZipFile(changed, "a") as archive:
        archive.writestr(entry, content)
    return changed


def test_the_same_artifact_gives_the_same_bytes(build: Callable[..., Path], artifact: Path) -> None:
    first = build(out="one").read_bytes()
    os.utime(artifact / "weights.bin", (1, 1))
    (artifact / "weights.bin").chmod(0o600)
    assert build(out="two").read_bytes() == first


def test_the_archive_holds_artifact_handler_configuration_and_library(build: Callable[..., Path]) -> None:
    with zipfile.ZipFile(build()) as archive:
        names = archive.namelist()
        manifest = json.loads(archive.read("MAR-INF/MANIFEST.json"))
    assert names == sorted(names)
    assert set(names) == {
        *("MAR-INF/MANIFEST.json", "model-config.yaml", "tiny_handler.py"),
        *("manifest.json", "weights.bin", "tables/names.json", *WORKER_FILES),
    }
    assert manifest["model"]["handler"] == "tiny_handler.py"
    assert manifest["model"]["configFile"] == "model-config.yaml"


def test_the_version_is_the_artifacts_digest_unless_given(build: Callable[..., Path], artifact: Path) -> None:
    digest = read_json(artifact / "manifest.json")["digest"]
    assert read_manifest(build())["model"]["modelVersion"] == digest[:12]
    assert read_manifest(build("2026-01.b_2"))["model"]["modelVersion"] == "2026-01.b_2"


@pytest.mark.parametrize("version", ["", "1/2", "a b", "é", "x" * 65, "1\n"])
def test_a_version_that_no_url_could_carry_is_refused(build: Callable[..., Path], version: str) -> None:
    with pytest.raises(InputError, match="letters, digits"):
        build(version)


def test_a_damaged_or_missing_file_is_named_and_the_old_archive_stays(
    build: Callable[..., Path], artifact: Path
) -> None:
    old = build()
    before = old.read_bytes()
    (artifact / "weights.bin").write_bytes(b"other")
    with pytest.raises(DataError, match=r"weights\.bin is missing or damaged"):
        build()
    (artifact / "weights.bin").unlink()
    with pytest.raises(DataError, match=r"weights\.bin is missing"):
        build()
    assert old.read_bytes() == before


def test_a_failed_build_leaves_the_old_archive_and_nothing_else(build: Callable[..., Path]) -> None:
    old = build()
    before = old.read_bytes()
    with pytest.raises(HostError, match=r"srec/not_there\.py is missing"):
        build(worker_files=("srec/not_there.py",))
    assert old.read_bytes() == before
    assert [path.name for path in old.parent.iterdir()] == ["srec.mar"]


@pytest.mark.parametrize(
    "text",
    [
        "[]",
        '{"format": 0}',
        f'{{"format": {ARTIFACT.format}, "digest": "a", "files": {{"../x": "0"}}}}',
    ],
)
def test_a_folder_without_a_usable_manifest_is_no_artifact(
    build: Callable[..., Path], artifact: Path, text: str
) -> None:
    (artifact / "manifest.json").write_text(text)
    with pytest.raises(DataError, match=r"manifest\.json"):
        build()


def test_reading_gives_back_the_artifact(build: Callable[..., Path], artifact: Path) -> None:
    with read_archive(build()) as folder:
        assert (folder / "weights.bin").read_bytes() == (artifact / "weights.bin").read_bytes()
        assert (folder / "tables" / "names.json").is_file()
    assert not folder.exists()


@pytest.mark.parametrize("name", ["../evil", "/evil", "a/../../evil", "..\\evil"])
def test_a_path_out_of_the_folder_is_refused(build: Callable[..., Path], tmp_path: Path, name: str) -> None:
    target = tmp_path / "deep" / "unpacked"
    target.mkdir(parents=True)
    with pytest.raises(DataError, match="unsafe path"):
        unpack(with_entry(build(), name), target)
    assert list(target.iterdir()) == []
    assert not (target.parent / "evil").exists()


def test_a_link_a_double_and_a_bomb_are_refused(build: Callable[..., Path], tmp_path: Path) -> None:
    mar = build()
    with pytest.raises(DataError, match="unsafe path"):
        unpack(with_entry(mar, "link", b"/etc/passwd", stat.S_IFLNK | 0o777), tmp_path)
    with pytest.warns(UserWarning, match="Duplicate"):
        double = with_entry(mar, "weights.bin")
    with pytest.raises(DataError, match="twice"):
        unpack(double, tmp_path)
    with pytest.raises(DataError, match="would unpack to"):
        unpack(with_entry(mar, "zeros", bytes(80_000_000)), tmp_path)


def test_what_only_torchserve_would_unpack_is_refused(build: Callable[..., Path], tmp_path: Path) -> None:
    """It reads a zip from the front, where Python reads the directory at the end."""
    mar = build()
    whole = mar.read_bytes()
    with zipfile.ZipFile(mar) as archive:
        start, weights = archive.start_dir, archive.getinfo("weights.bin").header_offset
    content = b"import os"
    hidden = zipfile.ZipInfo("sitecustomize.py")
    hidden.CRC, hidden.file_size, hidden.compress_size = zlib.crc32(content), len(content), len(content)
    entry = hidden.FileHeader() + content

    def with_local(field: int, value: bytes) -> bytes:
        """Change the header before a file, not its double in the directory."""
        place = weights + field
        return whole[:place] + value + whole[place + len(value) :]

    directory = bytearray(whole[start:])
    place = len(directory) - 6  # of its own offset, in the last record
    directory[place : place + 4] = (start + len(entry)).to_bytes(4, "little")
    for where, changed in (
        ("before", entry + whole),
        ("behind its files", whole[:start] + entry + directory),
        ("before", with_local(18, (100).to_bytes(4, "little"))),  # the size: the rest would be read as a file
        ("before", with_local(30, b"weights.pyc")),
    ):
        mar.write_bytes(changed)
        with zipfile.ZipFile(mar) as archive:
            assert "sitecustomize.py" not in archive.namelist()
        for read in (read_manifest, lambda path: unpack(path, tmp_path)):
            with pytest.raises(DataError, match=f"hides data {where}"):
                read(mar)


@pytest.mark.parametrize("share", [0.5, 0.97, 1.0, 1.04, 2.0])
def test_files_of_any_size_beside_the_limit_of_zip64_are_read(
    build: Callable[..., Path], artifact: Path, monkeypatch: pytest.MonkeyPatch, share: float
) -> None:
    """zipfile writes the larger header from 5 % below its limit, which is 2 GiB, on."""
    size = (artifact / "weights.bin").stat().st_size
    monkeypatch.setattr(zipfile, "ZIP64_LIMIT", int(size * share))
    mar = build()
    with read_archive(mar) as folder:
        assert (folder / "weights.bin").read_bytes() == (artifact / "weights.bin").read_bytes()
    with mar.open("r+b") as stream, zipfile.ZipFile(mar) as archive:
        stream.seek(archive.getinfo("weights.bin").header_offset + 28)  # how long the rest of the header is
        stream.write(b"\x21")
    with pytest.raises(DataError, match="hides data before"):
        read_manifest(mar)


def test_the_workers_share_of_the_library_stands_alone(artifact: Path, tmp_path: Path) -> None:
    mar = build_archive(artifact, tmp_path)
    program = """
import importlib, pathlib, sys
folder = pathlib.Path.cwd()
for path in sorted(folder.glob("srec/**/*.py")):
    name = ".".join(path.relative_to(folder).with_suffix("").parts).removesuffix(".__init__")
    assert importlib.import_module(name).__file__ == str(path), name
import srec_handler
for name, module in sys.modules.items():  # an installed srec must not fill in for what is missing
    if name.split(".")[0] == "srec":
        assert pathlib.Path(module.__file__).is_relative_to(folder), name
"""
    with read_archive(mar) as folder:
        environment = os.environ | {"PYTHONPATH": str(folder)}
        subprocess.run([sys.executable, "-c", program], cwd=folder, env=environment, check=True)


def test_whatever_the_names_nothing_is_written_outside(tmp_path: Path) -> None:
    mar = build_archive(
        write_artifact(tmp_path / "artifact"),
        tmp_path,
        handler=_written(tmp_path / "tiny_handler.py", ECHO),
        worker_files=WORKER_FILES,
    )

    @settings(max_examples=60, deadline=None)
    @given(st.text(st.sampled_from("ab./\\~: \0é"), min_size=1, max_size=12))
    def check(name: str) -> None:
        with tempfile.TemporaryDirectory(dir=tmp_path) as outer:
            folder = Path(outer) / "folder"
            folder.mkdir()
            with contextlib.suppress(DataError):
                unpack(with_entry(mar, name), folder)
            assert [path.name for path in Path(outer).iterdir()] == ["folder"]

    check()


def _written(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_every_damage_of_an_archive_is_told(build: Callable[..., Path], tmp_path: Path) -> None:
    whole = build().read_bytes()
    broken = tmp_path / "broken.mar"
    with pytest.raises(DataError, match="is missing"):
        read_manifest(broken)
    for content in (b"", b"no archive", whole[: len(whole) // 2]):
        broken.write_bytes(content)
        with pytest.raises(DataError, match="is damaged"):
            read_manifest(broken)
    place = whole.index(bytes(range(256))) + 100
    broken.write_bytes(whole[:place] + b"!" + whole[place + 1 :])
    with pytest.raises(DataError, match=r"damaged at weights\.bin"):
        read_manifest(broken)


def test_a_zip_that_is_no_archive_of_ours_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.mar"
    for manifest, message in (
        (None, "no usable MAR-INF"),
        ("{}", "no usable MAR-INF"),
        ('{"model": {"modelName": "x", "modelVersion": "1", "handler": "h"}}', 'the model "x"'),
    ):
        with zipfile.ZipFile(path, "w") as archive:
            if manifest is not None:
                archive.writestr("MAR-INF/MANIFEST.json", manifest)
        with pytest.raises(DataError, match=message):
            read_manifest(path)
