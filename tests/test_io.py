import hashlib
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from srec.errors import DataError
from srec.io import digest_of, new_file, new_folder, read_json, sha256, write_json


class Interrupted(BaseException):
    """Stands for Ctrl-C."""


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_appears_when_it_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "down" / "file.txt"
    with new_file(path) as temporary:
        temporary.write_text("half")
        assert not path.exists()
        assert temporary.parent == path.parent  # a rename across file systems would not be one step
        temporary.write_text("whole")
    assert path.read_text() == "whole"
    assert path.stat().st_mode & 0o777 == 0o644
    assert names(path.parent) == ["file.txt"]


@pytest.mark.parametrize("error", [ValueError, Interrupted])
def test_a_failed_file_leaves_the_old_one_and_nothing_else(
    tmp_path: Path, error: type[BaseException]
) -> None:
    path = tmp_path / "file.txt"
    path.write_text("old")
    with pytest.raises(error), new_file(path) as temporary:  # noqa: PT012
        temporary.write_text("half")
        raise error
    assert path.read_text() == "old"
    assert names(tmp_path) == ["file.txt"]


@pytest.mark.parametrize("at_once", [True, False])
def test_a_folder_takes_the_place_of_the_old_one_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at_once: bool
) -> None:
    if not at_once:
        monkeypatch.setattr("srec.io._exchange", lambda one, other: False)
    path = tmp_path / "folder"
    for content in (["a", "b"], ["c"]):
        with new_folder(path) as temporary:
            assert names(temporary) == []
            for name in content:
                (temporary / name).touch()
            assert temporary.parent == path.parent
        assert names(path) == content
    assert path.stat().st_mode & 0o777 == 0o755
    assert names(tmp_path) == ["folder"]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux lets folders change places in one step")
def test_a_folder_is_there_whenever_it_is_looked_for(tmp_path: Path) -> None:
    path = tmp_path / "folder"

    def replace() -> None:
        for _ in range(500):
            with new_folder(path) as temporary:
                (temporary / "file").touch()

    with new_folder(path) as temporary:
        (temporary / "file").touch()
    with ThreadPoolExecutor(1) as beside:
        replacing = beside.submit(replace)
        while not replacing.done():
            assert (path / "file").exists()
        replacing.result()


@pytest.mark.parametrize("error", [ValueError, Interrupted])
def test_a_failed_folder_leaves_the_old_one_and_nothing_else(
    tmp_path: Path, error: type[BaseException]
) -> None:
    path = tmp_path / "folder"
    path.mkdir()
    (path / "old").touch()
    with pytest.raises(error), new_folder(path) as temporary:  # noqa: PT012
        (temporary / "half").touch()
        raise error
    assert names(path) == ["old"]
    assert names(tmp_path) == ["folder"]


def test_the_old_folder_returns_when_the_last_step_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "folder"
    path.mkdir()
    (path / "old").touch()
    rename = os.rename

    def full_disk(source: Path, target: Path) -> None:
        if Path(target) == path and not str(source).endswith(".old"):
            raise OSError("no space left")
        rename(source, target)

    monkeypatch.setattr("srec.io._exchange", lambda one, other: False)
    with pytest.raises(OSError, match="no space left"), new_folder(path):
        monkeypatch.setattr(os, "rename", full_disk)
    assert names(path) == ["old"]
    assert names(tmp_path) == ["folder"]


def test_json_goes_there_and_back(tmp_path: Path) -> None:
    value = {"name": "Ōkami ✓", "list": [1, 2.5, None, True]}
    write_json(tmp_path / "value.json", value)
    assert read_json(tmp_path / "value.json") == value
    assert "Ōkami ✓" in (tmp_path / "value.json").read_text()


def test_json_without_meaning_to_others_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "value.json", {"loss": float("nan")})
    assert names(tmp_path) == []


@pytest.mark.parametrize("content", [b"", b'{"a": ', b"\xff\xfe"])
def test_a_damaged_json_file_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "value.json"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"value\.json is damaged .*run the step that writes it again"):
        read_json(path)


def test_a_missing_json_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"value\.json is missing: the step that writes it"):
        read_json(tmp_path / "value.json")


def test_digests_depend_on_content_and_names_but_not_on_order(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"content")
    assert sha256(tmp_path / "a") == hashlib.sha256(b"content").hexdigest()
    digest = digest_of({"a": "1", "b": "2"})
    assert digest == digest_of({"b": "2", "a": "1"})
    assert len({digest, digest_of({"a": "2", "b": "1"}), digest_of({"a": "1"}), digest_of({})}) == 4
