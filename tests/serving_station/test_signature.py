"""Signatures of archives: made and checked by srec, checked by OpenSSL too, refused for any change."""

import shutil
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from srec.errors import DataError, InputError
from srec.export.signature import copy_verified, make_keys, sign, signature_file, verify


@pytest.fixture
def keys(tmp_path: Path) -> tuple[Path, Path]:
    private = tmp_path / "keys" / "release.key"
    return private, make_keys(private)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "srec.mar"
    path.write_bytes(bytes(range(256)) * 100)
    return path


def test_a_signed_file_verifies(keys: tuple[Path, Path], file: Path) -> None:
    private, public = keys
    signature = sign(file, private)
    assert signature == signature_file(file) == file.with_name("srec.mar.sig")
    verify(file, public)


def test_a_copy_is_made_only_of_what_verifies(keys: tuple[Path, Path], file: Path, tmp_path: Path) -> None:
    private, public = keys
    sign(file, private)
    copy = tmp_path / "store" / "srec.mar"
    copy_verified(file, copy, public)
    assert copy.read_bytes() == file.read_bytes()
    verify(copy, public)
    before = copy.read_bytes()
    file.write_bytes(b"other")
    with pytest.raises(DataError, match=rf"{file}.sig is not the signature of {file}"):
        copy_verified(file, copy, public)
    signature_file(file).unlink()
    with pytest.raises(DataError, match=rf"{file}.sig cannot be read"):
        copy_verified(file, copy, public)
    assert copy.read_bytes() == before
    assert sorted(path.name for path in copy.parent.iterdir()) == ["srec.mar", "srec.mar.sig"]


def test_every_other_byte_key_or_signature_is_refused(
    keys: tuple[Path, Path], file: Path, tmp_path: Path
) -> None:
    private, public = keys
    signature = sign(file, private)
    whole, good = file.read_bytes(), signature.read_bytes()
    for place in (0, len(whole) // 2, len(whole) - 1):
        file.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(DataError, match="is not the signature of"):
            verify(file, public)
    file.write_bytes(whole)
    with pytest.raises(DataError, match="do not use this archive"):
        verify(file, make_keys(tmp_path / "other.key"))
    for bad in (b"", good[:-1], good + b"\n", bytes([good[0] ^ 1]) + good[1:]):
        signature.write_bytes(bad)
        with pytest.raises(DataError, match="is not the signature of"):
            verify(file, public)
    signature.unlink()
    with pytest.raises(DataError, match=r"srec\.mar\.sig cannot be read .* sign it with"):
        verify(file, public)


def test_the_private_key_is_its_owners_alone_and_never_replaced(keys: tuple[Path, Path]) -> None:
    private, public = keys
    before = private.read_bytes(), public.read_bytes()
    assert private.stat().st_mode & 0o777 == 0o600
    assert b"PRIVATE" not in before[1]
    with pytest.raises(InputError, match="exists"):
        make_keys(private)
    assert (private.read_bytes(), public.read_bytes()) == before


def test_the_two_keys_have_different_names(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"k\.pub is the name that the public key would get: .* such as .*k\.key"
    ):
        make_keys(tmp_path / "k.pub")
    assert not list(tmp_path.iterdir())


def test_what_is_no_key_of_the_kind_is_told(keys: tuple[Path, Path], file: Path, tmp_path: Path) -> None:
    private, public = keys
    sign(file, private)
    rsa = generate_private_key(65537, 2048)
    rsa_private, rsa_public = tmp_path / "rsa.key", tmp_path / "rsa.pub"
    rsa_private.write_bytes(rsa.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    rsa_public.write_bytes(rsa.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    for wrong in (public, file, rsa_private):
        with pytest.raises(InputError, match="no private Ed25519 key"):
            sign(file, wrong)
    for wrong in (private, file, rsa_public):
        with pytest.raises(InputError, match="no public Ed25519 key"):
            verify(file, wrong)
    with pytest.raises(InputError, match="cannot be read"):
        verify(file, tmp_path / "absent.pub")


def test_an_empty_or_absent_file_is_told(keys: tuple[Path, Path], tmp_path: Path) -> None:
    private, public = keys
    empty = tmp_path / "empty.mar"
    with pytest.raises(DataError, match=r"empty\.mar cannot be read"):
        verify(empty, public)
    empty.touch()
    with pytest.raises(DataError, match="it is empty"):
        verify(empty, public)
    with pytest.raises(InputError, match="it is empty"):
        sign(empty, private)
    assert not signature_file(empty).exists()


@pytest.mark.skipif(shutil.which("openssl") is None, reason="this machine has no openssl")
def test_openssl_agrees(keys: tuple[Path, Path], file: Path) -> None:
    private, public = keys
    command = [
        *("openssl", "pkeyutl", "-verify", "-pubin", "-inkey", str(public), "-rawin"),
        *("-in", str(file), "-sigfile", str(sign(file, private))),
    ]
    assert subprocess.run(command, check=False, capture_output=True).returncode == 0
    file.write_bytes(b"other")
    assert subprocess.run(command, check=False, capture_output=True).returncode != 0
