"""Buffered reads receive what TorchServe's own do, and only ever replace those."""

import socket
import struct
import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from srec.serving import frontend_reads
from srec.serving.frontend_reads import buffer_reads, buffered_read
from tests.conftest import ROOT

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # TorchServe leaves a file open when it is imported
    from ts.protocol import otf_message_handler as protocol

Field = tuple[bytes, bytes]


def _field(data: bytes) -> bytes:
    return struct.pack("!i", len(data)) + data


END = struct.pack("!i", -1)


def _request(number: int, headers: list[Field], body: bytes) -> bytes:
    head = b"".join(_field(name) + _field(value) for name, value in headers)
    return (
        _field(b"id-%d" % number) + head + END + _field(b"body") + _field(b"text/plain") + _field(body) + END
    )


def _message(requests: list[tuple[list[Field], bytes]]) -> bytes:
    return b"I" + b"".join(_request(n, *request) for n, request in enumerate(requests)) + END


HEADERS = st.lists(st.tuples(st.binary(max_size=20), st.binary(max_size=40)), max_size=5)
BATCH = st.lists(st.tuples(HEADERS, st.text(max_size=400).map(str.encode)), min_size=1, max_size=6)


@pytest.fixture
def own_function() -> Iterator[None]:
    own = protocol._retrieve_buffer
    yield
    protocol._retrieve_buffer = own


def _send(connection: socket.socket, chunks: list[bytes]) -> None:
    for chunk in chunks:
        connection.sendall(chunk)


def _received(data: bytes, messages: int, pieces: int) -> list[object]:
    """What TorchServe's protocol makes of ``data`` that arrives in pieces."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        size = max(1, len(data) // pieces)
        chunks = [data[at : at + size] for at in range(0, len(data), size)]
        sender = threading.Thread(target=_send, args=(ours, chunks))
        sender.start()
        try:
            return [protocol.retrieve_msg(theirs) for _ in range(messages)]
        finally:
            sender.join()


@given(batches=st.lists(BATCH, min_size=1, max_size=3), pieces=st.integers(1, 50))
def test_the_same_messages_however_they_arrive(
    batches: list[list[tuple[list[Field], bytes]]], pieces: int
) -> None:
    data = b"".join(map(_message, batches))
    own = protocol._retrieve_buffer
    expected = _received(data, len(batches), 1)
    protocol._retrieve_buffer = buffered_read()
    try:
        assert _received(data, len(batches), pieces) == expected
    finally:
        protocol._retrieve_buffer = own


@pytest.mark.usefixtures("own_function")
def test_a_new_connection_sees_nothing_of_the_last() -> None:
    protocol._retrieve_buffer = buffered_read()
    whole = _message([([], b"one")])
    assert len(_received(whole + b"I\0\0", 1, 1)) == 1
    assert _received(_message([([], b"two")]), 1, 1)[0][1][0]["parameters"][0]["value"] == "two"  # type: ignore[index]


def test_a_closed_frontend_ends_the_worker() -> None:
    ours, theirs = socket.socketpair()
    with theirs:
        ours.sendall(b"ab")
        ours.close()
        with pytest.raises(SystemExit) as end:
            buffered_read()(theirs, 3)
    assert end.value.code == 0


@pytest.mark.usefixtures("own_function")
def test_replaces_the_known_function_and_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    own = protocol._retrieve_buffer
    assert buffer_reads()
    assert protocol._retrieve_buffer is not own
    assert not buffer_reads(), "what stands there now is not TorchServe's"
    monkeypatch.setattr(protocol, "_retrieve_buffer", own)
    monkeypatch.setattr(frontend_reads, "KNOWN_VERSIONS", ("0.11.0",))
    assert not buffer_reads()
    assert protocol._retrieve_buffer is own


def test_nothing_happens_outside_torchserve() -> None:
    code = "from srec.serving.frontend_reads import buffer_reads; assert not buffer_reads()"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
