"""Redis by URL: a client that never retries behind our back, and messages that never hold a password."""

from urllib.parse import urlsplit

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from srec.errors import InputError

# What redis-py raises when the server or the way to it fails; UnicodeError comes from host names no
# resolver takes.
FAILURES = (redis.RedisError, OSError, UnicodeError)

_REASONS: dict[type[Exception], str] = {  # narrower classes before wider ones
    redis.AuthenticationError: "refuses the login: put the right user and password into the URL",
    redis.exceptions.NoPermissionError: "does not let this user do that ({})",
    redis.exceptions.OutOfMemoryError: "is out of memory: raise its maxmemory",
    redis.ReadOnlyError: "is a read-only replica: use the primary's URL",
    redis.ResponseError: "answers with an error ({})",
    redis.TimeoutError: "does not answer",
}


def connect(url: str, timeout: float) -> redis.Redis:
    """Return a client that connects when first used.

    Args:
        url: ``redis://``, ``rediss://`` (TLS) or ``unix://``, with user, password, database and redis-py's
            connection options (``?ssl_ca_certs=...``).
        timeout: seconds that opening a connection, a read or a write may take, each.

    Raises:
        InputError: the URL cannot be used.
    """
    try:
        parts = urlsplit(url)
        if parts.scheme != "unix" and "@" in parts.path + parts.query + parts.fragment:
            raise ValueError("an unquoted / ? or # stands in the password")
        client = redis.Redis.from_url(
            url,
            socket_timeout=timeout,
            socket_connect_timeout=timeout,
            retry=Retry(NoBackoff(), 0),
            protocol=2,  # no HELLO, and any server since 2.6
            driver_info=None,  # no CLIENT SETINFO: two round trips that a new connection does not need
        )
        pool = client.connection_pool
        pool.connection_class(**pool.connection_kwargs)  # names an unknown option now, not at the first use
    except TypeError as error:
        option = str(error).rpartition(" ")[2]
        raise InputError(f"the Redis URL has an option that redis-py does not know: {option}") from None
    except (ValueError, redis.RedisError):
        # The reason may quote a part of the password.
        raise InputError(
            "the Redis URL cannot be read: it is redis://user:password@host:port/database, rediss:// for TLS "
            "or unix:///path, and in a password @ : / ? # % are written as %40 %3A %2F %3F %23 %25"
        ) from None
    return client


def server_name(client: redis.Redis) -> str:
    """Where the server is, without user and password: ``host:port`` or the socket's path."""
    options = client.connection_pool.connection_kwargs
    if "path" in options:
        return str(options["path"])
    return f"{options.get('host', 'localhost')}:{options.get('port', 6379)}"


def reason(error: BaseException) -> str:
    """Say what went wrong, as the end of a sentence that begins with the server's name."""
    for kind, text in _REASONS.items():
        if isinstance(error, kind):
            return text.format(error)
    return f"cannot be reached ({error})"
