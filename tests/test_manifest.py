"""Manifests: what is read, what is refused, and which folders may be replaced."""

import json
from pathlib import Path
from typing import Any

import pytest

from srec.errors import DataError, InputError
from srec.manifest import Manifest

KIND = Manifest("finished thing", "thing.json", "make")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "made"
    (made / "inner").mkdir(parents=True)
    (made / "a.txt").write_text("a")
    (made / "inner" / "b.txt").write_text("b")
    rewrite(made, KIND.seal(made))
    return made


def rewrite(folder: Path, manifest: Any) -> None:
    (folder / "thing.json").write_text(json.dumps(manifest))


def test_what_was_sealed_is_read_and_verified(folder: Path) -> None:
    manifest = KIND.read(folder)
    assert set(manifest["files"]) == {"a.txt", "inner/b.txt"}
    KIND.verify(folder, manifest)


def test_a_changed_or_missing_file_is_named(folder: Path) -> None:
    manifest = KIND.read(folder)
    (folder / "inner" / "b.txt").write_text("c")
    with pytest.raises(DataError, match=r"inner/b\.txt is missing or damaged: run `srec make` again"):
        KIND.verify(folder, manifest)
    (folder / "inner" / "b.txt").unlink()
    with pytest.raises(DataError, match=r"inner/b\.txt is missing or damaged"):
        KIND.verify(folder, manifest)


def test_a_list_of_files_that_was_changed_is_refused(folder: Path) -> None:
    manifest = KIND.read(folder)
    del manifest["files"]["a.txt"]
    with pytest.raises(DataError, match=r"thing\.json does not fit its own digest: run `srec make` again"):
        KIND.verify(folder, manifest)


@pytest.mark.parametrize("name", ["../a.txt", "/etc/hostname", "inner/../../a.txt"])
def test_a_file_outside_is_refused(folder: Path, name: str) -> None:
    manifest = KIND.read(folder)
    manifest["files"] = {name: "0" * 64}
    with pytest.raises(DataError, match=r"a file outside: run `srec make` again"):
        KIND.verify(folder, manifest)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"format": 2}, r"has format 2, this srec reads 1: run `srec make` again"),
        ([], r"has format None"),
        ({"format": 1, "files": {}}, r"names no files or no digest"),
        ({"format": 1, "files": [], "digest": "x"}, r"names no files or no digest"),
    ],
)
def test_a_manifest_that_cannot_be_used(folder: Path, content: Any, message: str) -> None:
    rewrite(folder, content)
    with pytest.raises(DataError, match=message):
        KIND.read(folder)


def test_no_manifest(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"holds no finished thing \(thing\.json\): make it with `srec make`"
    ):
        KIND.read(tmp_path)


def test_only_its_own_kind_of_folder_is_replaced(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "empty").mkdir()
    for fine in (folder, tmp_path / "empty", tmp_path / "not there yet"):
        KIND.check_target(fine)
    monkeypatch.chdir(tmp_path / "empty")
    for mine in (tmp_path, folder / "a.txt", Path()):
        with pytest.raises(InputError, match="is no finished thing: name another folder"):
            KIND.check_target(mine)
