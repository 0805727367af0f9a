"""rediss:// against the embedded server behind a TLS end of our own: its wheel is built without TLS."""

import contextlib
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from srec.errors import HostError, StoreError
from srec.graph.neighbours import GlobalGraph
from srec.stores.load import load_graph
from srec.stores.redis import RedisStore
from tests.stores.conftest import AMPLE_MS, PATIENCE, Server
from tests.stores.contract import assert_rows

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificate")

ITEMS = np.array([1, 2, 50], np.int32)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for localhost, self-signed, its key beside it."""
    path = tmp_path_factory.mktemp("tls") / "certificate.pem"
    name = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    files = ["-keyout", f"{path}.key", "-out", str(path)]
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *name, *files]
    subprocess.run(command, check=True, capture_output=True, timeout=PATIENCE)
    return path


@pytest.fixture
def tls_port(server: Server, certificate: Path) -> Iterator[int]:
    """A port that takes TLS connections to the server."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, f"{certificate}.key")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        accepting = threading.Thread(target=_accept, args=(listener, context, server))
        accepting.start()
        yield int(listener.getsockname()[1])
        listener.shutdown(socket.SHUT_RDWR)
        accepting.join(PATIENCE)


def _accept(listener: socket.socket, context: ssl.SSLContext, server: Server) -> None:
    """Serve connections, one at a time, until the listener is shut down."""
    with contextlib.suppress(OSError):
        while True:
            plain, _ = listener.accept()
            with (
                plain,
                contextlib.suppress(ssl.SSLError),
                context.wrap_socket(plain, server_side=True) as front,
            ):
                _relay(front, server)


def _relay(front: ssl.SSLSocket, server: Server) -> None:
    with socket.socket(socket.AF_UNIX) as back:
        back.connect(server.url.removeprefix("unix://"))
        answers = threading.Thread(target=_pump, args=(back, front))
        answers.start()
        _pump(front, back)
        back.shutdown(socket.SHUT_RDWR)
        answers.join(PATIENCE)


def _pump(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)


def test_reads_and_loads_over_tls(graph: GlobalGraph, tls_port: int, certificate: Path) -> None:
    url = f"rediss://localhost:{tls_port}/0?ssl_ca_certs={certificate}"
    load_graph(url, graph)
    store = RedisStore(url, graph.digest, graph.n_items, graph.size, AMPLE_MS)
    assert_rows(store, graph, ITEMS)
    store.close()


def test_an_unknown_certificate_is_refused(graph: GlobalGraph, tls_port: int) -> None:
    url = f"rediss://localhost:{tls_port}/0"
    store = RedisStore(url, graph.digest, graph.n_items, graph.size, AMPLE_MS)
    with pytest.raises(StoreError, match=r"cannot be reached .*certificate verify failed"):
        store.fetch(ITEMS)
    store.close()
    with pytest.raises(HostError, match=r"cannot be reached .*certificate verify failed"):
        load_graph(url, graph)
