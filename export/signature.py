"""Ed25519 signatures of archives: whoever holds the key made this file, and nobody changed it since.

The signature stands beside the file as ``srec.mar.sig``: 64 bytes over the file's bytes, as RFC 8032 has it.
Keys are PEM (PKCS 8 and SubjectPublicKeyInfo), so `openssl genpkey -algorithm ed25519` and
`openssl pkeyutl -rawin` make and check the same.
"""

import errno
import mmap
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from srec.errors import DataError, InputError
from srec.io import new_file

SUFFIX = ".sig"


def signature_file(file: Path) -> Path:
    """Where the signature of ``file`` stands."""
    return file.with_name(file.name + SUFFIX)


def make_keys(private: Path) -> Path:
    """Write a new private key, for its owner alone, and the public one beside it; return the latter.

    Raises:
        InputError: one of them exists, or ``private`` itself ends in .pub, the public key's ending.
    """
    public = private.with_suffix(".pub")
    if public == private:
        raise InputError(
            f"{private} is the name that the public key would get: give the private one another ending, "
            f"such as {private.with_suffix('.key')}"
        )
    for path in (private, public):
        if path.exists():
            raise InputError(f"{path} exists: name another file, a lost key cannot be made again")
    key = Ed25519PrivateKey.generate()
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    private.parent.mkdir(parents=True, exist_ok=True)
    with os.fdopen(os.open(private, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as stream:
        stream.write(secret)
    with new_file(public) as temporary:
        open_form = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        temporary.write_bytes(open_form)
    return public


def sign(file: Path, private: Path) -> Path:
    """Write the signature of ``file`` beside it; ``InputError`` where the key cannot be used."""
    key = _private_key(private)
    target = signature_file(file)
    try:
        with new_file(target) as temporary, _bytes_of(file) as content:
            temporary.write_bytes(key.sign(content))
    except OSError as error:
        raise InputError(f"{file} cannot be signed ({error.strerror}): check the path and the disk") from None
    return target


def verify(file: Path, public: Path) -> None:
    """Return if the signature beside ``file`` is the file's, under the public key.

    Raises:
        InputError: the public key is missing or is no Ed25519 key.
        DataError: there is no signature, or it is of other bytes or another key.
    """
    _check(_public_key(public), file, signature_file(file), called=file)


def copy_verified(file: Path, target: Path, public: Path) -> None:
    """Copy ``file`` and its signature, whole or not at all, and only if the copies fit the public key.

    What is served is then what was verified, whoever may still write to ``file``. Raises as ``verify``.
    """
    key = _public_key(public)
    with new_file(signature_file(target)) as signature, new_file(target) as temporary:
        for source, copy in ((signature_file(file), signature), (file, temporary)):
            try:
                shutil.copyfile(source, copy)
            except OSError as error:
                raise _unreadable(source, error) from None
        _check(key, temporary, signature, called=file)


def _check(key: Ed25519PublicKey, file: Path, signature: Path, called: Path) -> None:
    try:
        with _bytes_of(file) as content:
            key.verify(signature.read_bytes(), content)
    except OSError as error:
        raise _unreadable(Path(error.filename or called), error) from None
    except InvalidSignature:
        raise DataError(
            f"{signature_file(called)} is not the signature of {called} under the given key: "
            "do not use this archive"
        ) from None


@contextmanager
def _bytes_of(file: Path) -> Iterator[memoryview]:
    """The file's bytes without a copy; an empty file, which cannot be mapped, is an ``OSError``."""
    with file.open("rb") as stream:
        if not os.fstat(stream.fileno()).st_size:
            raise OSError(errno.ENODATA, "it is empty", str(file))
        with (
            mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as content,
            memoryview(content) as view,
        ):
            yield view


def _private_key(path: Path) -> Ed25519PrivateKey:
    try:
        key = load_pem_private_key(_pem(path), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise InputError(f"{path} is no private Ed25519 key without a password: make one with `srec keygen`")
    return key


def _public_key(path: Path) -> Ed25519PublicKey:
    try:
        key = load_pem_public_key(_pem(path))
    except (ValueError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PublicKey):
        raise InputError(f"{path} is no public Ed25519 key: give the .pub file of `srec keygen`")
    return key


def _unreadable(file: Path, error: OSError) -> DataError:
    return DataError(
        f"{file} cannot be read ({error.strerror}), so the archive cannot be verified: "
        "sign it with `srec archive --sign KEY`"
    )


def _pem(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"the key {path} cannot be read ({error.strerror}): name a PEM file") from None
