"""TCP ports on this machine."""

import errno
import socket

from srec.errors import HostError


def check_free(port: int, address: str, purpose: str, remedy: str) -> None:
    """Raise ``HostError`` unless a server can listen on ``address:port`` now; it names port and purpose."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As servers do: a port whose last connections still linger in TIME_WAIT counts as free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError as error:
            what = "is in use" if error.errno == errno.EADDRINUSE else f"cannot be used ({error})"
            raise HostError(f"port {port} ({purpose}) on {address} {what}: {remedy}") from None


def free_ports(preferred: list[int | None]) -> list[int]:
    """One distinct free loopback port for each preference; one that is None or taken is replaced.

    The ports are held open until all are chosen, so no two are equal; another program may still take
    one before the server does, which then reports it.
    """
    held: list[socket.socket] = []
    try:
        for wish in preferred:
            held.append(_hold(wish))
        return [int(one.getsockname()[1]) for one in held]
    finally:
        for one in held:
            one.close()


def _hold(wish: int | None) -> socket.socket:
    for port in [wish, 0] if wish else [0]:
        one = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            one.bind(("127.0.0.1", port))
            # With SO_REUSEADDR two sockets may bind the same port; only one of them may listen.
            one.listen(1)
        except OSError:
            one.close()
        else:
            return one
    raise HostError("this machine has no free port left on 127.0.0.1: stop what holds them and start again")
