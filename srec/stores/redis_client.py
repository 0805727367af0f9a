"""One client for a server, a primary behind Sentinel and a cluster; it never retries behind our back."""

from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, Self

import redis
from redis.backoff import NoBackoff
from redis.cluster import ClusterNode
from redis.exceptions import RedisClusterException
from redis.retry import Retry
from redis.sentinel import MasterNotFoundError, Sentinel

from srec.stores.redis_url import RedisUrl, parse

# What redis-py raises when the server or the way to it fails; UnicodeError comes from host names no
# resolver takes.
FAILURES = (redis.RedisError, RedisClusterException, OSError, UnicodeError)

CLUSTER_SHARDS = 16  # enough to spread over any cluster that a graph of megabytes lies in

Command = tuple[str | bytes | int, ...]

_REASONS: dict[type[Exception], str] = {  # narrower classes before wider ones
    redis.AuthenticationError: "refuses the login: put the right user and password into the URL",
    redis.exceptions.NoPermissionError: "does not let this user do that ({})",
    redis.exceptions.OutOfMemoryError: "is out of memory: raise its maxmemory",
    redis.ReadOnlyError: "is a read-only replica: use the primary's URL",
    redis.exceptions.MovedError: "is a node of a cluster: use redis+cluster:// in the URL",
    redis.ResponseError: "answers with an error ({})",
    redis.TimeoutError: "does not answer",
}


class RedisClient:
    """Sends commands, many in one round trip; connects when first used, and again when a connection broke.

    Attributes:
        name: where it is, without user and password.
        shards: over how many keys a graph's rows spread.
    """

    def __init__(self, url: RedisUrl, timeout: float) -> None:
        self.name = url.name
        self.shards = CLUSTER_SHARDS if url.kind == "cluster" else 1
        self._url = url
        self._timeout = timeout
        self._client: redis.Redis | redis.RedisCluster | None = None
        self._closers: list[Callable[[], None]] = []

    def ask(self, commands: Sequence[Command]) -> list[Any]:
        """Return the answers to ``commands``, in order; one that the server refused is its exception.

        Raises:
            redis.RedisError, OSError, ...: no answer, see ``FAILURES``.
        """
        client = self._connected()
        if len(commands) == 1:
            try:
                return [client.execute_command(*commands[0])]  # type: ignore[no-untyped-call]
            except redis.ResponseError as error:
                return [error]
        pipeline = client.pipeline(transaction=False)
        for command in commands:
            pipeline.execute_command(*command)
        answers: list[Any] = pipeline.execute(raise_on_error=False)
        return answers

    def ping(self) -> None:
        """Raise one of ``FAILURES`` unless it answers."""
        self._connected().ping()

    def close(self) -> None:
        """Close all connections; may be called twice."""
        while self._closers:
            self._closers.pop()()
        self._client = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _connected(self) -> redis.Redis | redis.RedisCluster:
        if self._client is None:
            opened = {"server": _server, "sentinel": _sentinel, "cluster": _cluster}[self._url.kind]
            self._client, closers = opened(self._url, self._timeout)
            self._closers += closers
        return self._client


def connect(url: str, timeout: float) -> RedisClient:
    """Return a client that connects when first used.

    Args:
        url: ``redis://``, ``unix://``, ``redis+sentinel://`` or ``redis+cluster://`` (``rediss...`` for TLS)
            with user, password, database and redis-py's connection options (``?ssl_ca_certs=...``).
        timeout: seconds that opening a connection, a read or a write may take, each.

    Raises:
        InputError: the URL cannot be used.
    """
    return RedisClient(parse(url), timeout)


def sound(answers: Sequence[Any]) -> Sequence[Any]:
    """Return ``answers``, or raise the first that is an exception."""
    for answer in answers:
        if isinstance(answer, Exception):
            raise answer
    return answers


def reason(error: BaseException) -> str:
    """Say what went wrong, as the end of a sentence that begins with the server's name."""
    if isinstance(error, RedisClusterException) and error.__cause__ is not None:
        return reason(error.__cause__)  # none of the nodes, and why the last of them
    if isinstance(error, MasterNotFoundError):
        return _no_primary(str(error))
    for kind, text in _REASONS.items():
        if isinstance(error, kind):
            return text.format(error)
    return f"cannot be reached ({error})"


def _no_primary(why: str) -> str:
    """Redis-py puts what each Sentinel raised, and its whole connection, into one text."""
    if "AuthenticationError" in why:
        return "refuses the login to Sentinel: put sentinel_username and sentinel_password into the URL"
    if " - " in why:
        return "cannot be found: no Sentinel answers"
    return "has no primary: Sentinel knows none of that name that is up"


_Opened = tuple[redis.Redis | redis.RedisCluster, list[Callable[[], None]]]


def _options(url: RedisUrl, timeout: float) -> dict[str, Any]:
    return {
        "socket_timeout": timeout,
        "socket_connect_timeout": timeout,
        "protocol": 2,  # no HELLO, and any server since 2.6
        "driver_info": None,  # no CLIENT SETINFO: two round trips that a new connection does not need
        **{name: value for name, value in url.options.items() if not name.startswith("sentinel_")},
    }


def _never() -> Retry:
    return Retry(NoBackoff(), 0)


def _server(url: RedisUrl, timeout: float) -> _Opened:
    options = _options(url, timeout)
    if options.pop("ssl", False):
        options["connection_class"] = redis.SSLConnection
    if url.hosts:
        options["host"], options["port"] = url.hosts[0]
    client = redis.Redis.from_pool(redis.ConnectionPool(retry=_never(), **options))
    return client, [client.close]


def _sentinel(url: RedisUrl, timeout: float) -> _Opened:
    options = _options(url, timeout)
    own = {name: value for name, value in options.items() if name not in {"username", "password", "db"}}
    for name in ("username", "password"):  # Sentinel's own login is another than the server's
        own[name] = url.options.get(f"sentinel_{name}")
    sentinel = Sentinel(url.hosts, sentinel_kwargs=own | {"retry": _never()}, **options)  # type: ignore[no-untyped-call]
    client = sentinel.master_for(url.primary, retry=_never())  # type: ignore[no-untyped-call]
    return client, [sentinel.close, client.close]


def _cluster(url: RedisUrl, timeout: float) -> _Opened:
    options = {name: value for name, value in _options(url, timeout).items() if name != "db"}
    nodes = [ClusterNode(host, port) for host, port in url.hosts]  # type: ignore[no-untyped-call]
    client = redis.RedisCluster(startup_nodes=nodes, retry=_never(), **options)
    return client, [client.close]
