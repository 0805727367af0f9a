"""Redis URLs: one server, a Unix socket, Sentinel or a cluster; messages never hold a password."""

from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit

import redis
from redis.connection import Connection, parse_url

from srec.errors import InputError

SENTINEL_PORT, PORT = 26379, 6379
# Of the pool or of Sentinel, not of a connection.
_OTHER_OPTIONS = ("max_connections", "sentinel_username", "sentinel_password")

_FORMS = (
    "the Redis URL cannot be read: it is redis://user:password@host:port/database, unix:///path, "
    "redis+sentinel://user:password@host:port,host:port/primary/database or "
    "redis+cluster://user:password@host:port,host:port, rediss instead of redis for TLS, "
    "and in a password @ : / ? # % are written as %40 %3A %2F %3F %23 %25"
)


@dataclass(frozen=True)
class RedisUrl:
    """What a URL says.

    Attributes:
        kind: ``server`` (also a socket), ``sentinel`` or ``cluster``.
        hosts: (host, port) of the server, the Sentinels, or some nodes of the cluster; none for a socket.
        primary: name under which Sentinel knows the primary, empty for the other kinds.
        options: redis-py's, as of one connection, without host and port; ``ssl`` is True for TLS.
    """

    kind: str
    hosts: tuple[tuple[str, int], ...]
    primary: str
    options: dict[str, Any]

    @property
    def name(self) -> str:
        """Where that is, without user and password."""
        if not self.hosts:
            return str(self.options["path"])
        hosts = ",".join(f"{host}:{port}" for host, port in self.hosts)
        return {"server": hosts, "sentinel": f"{self.primary} of Sentinel {hosts}"}.get(
            self.kind, f"cluster {hosts}"
        )


def parse(url: str) -> RedisUrl:
    """Read a URL, or raise an ``InputError`` that quotes nothing of it but an unknown option's name."""
    try:
        parsed = _parse(url)
        options = {name: value for name, value in parsed.options.items() if name not in _OTHER_OPTIONS}
        if options.pop("ssl", False):
            redis.SSLConnection(**options)
        else:
            options.pop("connection_class", Connection)(**options)  # names an unknown option now
    except TypeError as error:
        option = str(error).rpartition(" ")[2]
        raise InputError(f"the Redis URL has an option that redis-py does not know: {option}") from None
    except (ValueError, redis.RedisError):
        # The reason may quote a part of the password.
        raise InputError(_FORMS) from None
    return parsed


def _parse(url: str) -> RedisUrl:
    parts = urlsplit(url)
    scheme, _, kind = parts.scheme.partition("+")
    if "://" not in url:
        raise ValueError("no URL")
    if scheme != "unix" and "@" in parts.path + parts.query + parts.fragment:
        raise ValueError("an unquoted / ? or # stands in the password")
    login, at, hosts = parts.netloc.rpartition("@")
    one_each = hosts.split(",") if kind else [hosts]
    path = parts.path.strip("/")
    primary = ""
    if kind == "sentinel":
        primary, _, path = path.partition("/")
        if not primary:
            raise ValueError("no name of the primary")
    elif kind and (kind != "cluster" or scheme == "unix" or path not in {"", "0"}):
        raise ValueError("no such kind, or a database of a cluster")
    where = parts.path if scheme == "unix" else f"/{path}"
    urls = [f"{scheme}://{login}{at}{host}{where}?{parts.query}" for host in one_each]
    found: list[dict[str, Any]] = [parse_url(one) for one in urls]  # type: ignore[no-untyped-call]
    options = {name: value for name, value in found[0].items() if name not in {"host", "port"}}
    if scheme == "unix":
        return RedisUrl("server", (), "", options)
    if scheme == "rediss":
        options["ssl"] = options.pop("connection_class") is redis.SSLConnection
    port = SENTINEL_PORT if kind == "sentinel" else PORT
    addresses = tuple((one.get("host", "localhost"), one.get("port", port)) for one in found)
    return RedisUrl(kind or "server", addresses, unquote(primary), options)
