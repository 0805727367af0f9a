"""Settings of the environment, the model store's history, and the response limit put into an archive."""

import zipfile
from pathlib import Path

import pytest

from srec.errors import DataError, HostError, InputError
from srec.serve_config.archives import Archives, History
from srec.serve_config.checks import read_sessions
from srec.serve_config.limits import BATCH, Limits
from srec.serve_config.staging import graph_of, stage, take


class TestLimits:
    def test_defaults_and_values(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("DRAIN_SECONDS", "RESPONSE_TIMEOUT", "LATENCY_TARGET_MS", "WORKER_RATE"):
            monkeypatch.delenv(f"SREC_{name}", raising=False)
        assert Limits.from_environment() == Limits()
        monkeypatch.setenv("SREC_DRAIN_SECONDS", "2.5")
        monkeypatch.setenv("SREC_RESPONSE_TIMEOUT", "2")
        monkeypatch.setenv("SREC_LATENCY_TARGET_MS", "100")
        monkeypatch.setenv("SREC_WORKER_RATE", "1000")
        assert Limits.from_environment() == Limits(2.5, 2, 100, 1000)

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("SREC_DRAIN_SECONDS", "-1"),
            ("SREC_DRAIN_SECONDS", "nan"),
            ("SREC_RESPONSE_TIMEOUT", "0"),
            ("SREC_RESPONSE_TIMEOUT", "1.5"),
            ("SREC_LATENCY_TARGET_MS", "soon"),
            ("SREC_WORKER_RATE", "0"),
        ],
    )
    def test_refused(self, monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
        monkeypatch.setenv(name, value)
        with pytest.raises(InputError, match=rf'{name} is "{value}": give .* from'):
            Limits.from_environment()

    def test_the_queue_holds_what_is_answered_within_the_target(self) -> None:
        assert Limits(latency_target_ms=250, worker_rate=500).queue_size(2) == 250
        assert Limits(latency_target_ms=1).queue_size(1) == BATCH


class TestArchives:
    @pytest.fixture
    def archives(self, tmp_path: Path) -> Archives:
        (tmp_path / "srec.mar").write_bytes(b"first")
        return Archives(tmp_path / "srec.mar")

    def keep(self, archives: Archives, version: str) -> bool:
        new = archives.mar.with_name("new.mar")
        new.unlink(missing_ok=True)
        new.write_bytes(version.encode())
        return archives.keep(new, version)

    def test_only_the_newest_are_kept(self, archives: Archives) -> None:
        assert archives.history() is None
        before: list[str] = []
        for version in ("a", "b", "c", "d"):
            assert self.keep(archives, version)
            archives.serve(History(served=version, before=before), keep=2, instead_of=version)
            before = [*before, version]
        assert archives.history() == History(served="d", before=["b", "c"])
        assert archives.mar.read_bytes() == b"d"
        assert not archives.path("a").exists()
        assert archives.path("b").read_bytes() == b"b"

    def test_another_archive_of_a_kept_version_is_refused(self, archives: Archives) -> None:
        assert self.keep(archives, "a")
        assert not self.keep(archives, "a")
        with pytest.raises(InputError, match=r"srec-a\.mar is kept, a different archive"):
            archives.keep(archives.mar, "a")

    def test_a_signature_goes_along(self, archives: Archives) -> None:
        archives.mar.with_name("srec.mar.sig").write_bytes(b"signed")
        archives.keep(archives.mar, "a")
        assert archives.path("a").with_name("srec-a.mar.sig").read_bytes() == b"signed"
        archives.mar.with_name("srec.mar.sig").write_bytes(b"signed anew")
        assert not archives.keep(archives.mar, "a")
        assert archives.path("a").with_name("srec-a.mar.sig").read_bytes() == b"signed anew"
        archives.forget("a")
        assert [path.name for path in archives.mar.parent.glob("srec-a*")] == []

    def test_without_its_history_a_change_is_none(self, archives: Archives) -> None:
        archives.keep(archives.mar, "a")
        self.keep(archives, "b")
        (archives.mar.parent / "versions.json").mkdir()
        with pytest.raises(HostError, match=r"versions\.json cannot be written"):
            archives.serve(History(served="b", before=["a"]), keep=5, instead_of="a")
        assert archives.mar.read_bytes() == b"first"

    def test_a_folder_that_cannot_be_written_and_a_damaged_history(self, archives: Archives) -> None:
        away = Archives(archives.mar.parent / "srec.mar" / "srec.mar")
        with pytest.raises(HostError, match="a model store that this user can write to"):
            away.keep(archives.mar, "a")
        archives.mar.with_name("versions.json").write_text('{"served": 1}')
        with pytest.raises(DataError, match=r"versions\.json is damaged"):
            archives.history()


def test_the_response_limit_alone_changes(echo_mar: Path, tmp_path: Path) -> None:
    stage(echo_mar, tmp_path / "same.mar", None)
    stage(echo_mar, tmp_path / "limited.mar", 2)
    assert (tmp_path / "same.mar").read_bytes() == echo_mar.read_bytes()
    with zipfile.ZipFile(echo_mar) as old, zipfile.ZipFile(tmp_path / "limited.mar") as new:
        assert old.namelist() == new.namelist()
        changed = [name for name in old.namelist() if old.read(name) != new.read(name)]
        assert changed == ["model-config.yaml"]
        assert "\nresponseTimeout: 2\n" in new.read("model-config.yaml").decode()
    assert graph_of(tmp_path / "limited.mar") == "9f"


def test_taking_an_archive_leaves_it_as_it_is(tmp_path: Path) -> None:
    """Others may be allowed to write to it: its mode is its owner's matter."""
    given, taken = tmp_path / "given.mar", tmp_path / "taken.mar"
    given.write_bytes(b"new")
    given.chmod(0o660)
    for before in (None, b"old"):
        if before:
            taken.unlink()
            taken.write_bytes(before)
        take(given, taken)
        assert taken.read_bytes() == b"new"
        assert given.stat().st_mode & 0o777 == 0o660
        assert sorted(path.name for path in tmp_path.iterdir()) == ["given.mar", "taken.mar"]


def test_sessions_are_lines_of_appids(tmp_path: Path) -> None:
    file = tmp_path / "sessions.txt"
    file.write_text("620 400\n\n70\n")
    assert read_sessions(file) == [[620, 400], [70]]
    for text, message in (("620\nPortal 2\n", 'line 2 is "Portal 2"'), ("\n", "holds no session")):
        file.write_text(text)
        with pytest.raises(InputError, match=message):
            read_sessions(file)
    with pytest.raises(InputError, match="cannot be read"):
        read_sessions(tmp_path / "none.txt")
