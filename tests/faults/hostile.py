"""Requests that no honest client sends: drawn from a seed, each as the bytes of a whole connection."""

import json
import random
import socket
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from tests.faults.load import PATH
from tests.waiting import LIMIT

_DEPTH = 20_000
_HUGE: tuple[str, ...] = (
    "1e400",
    "-1e400",
    "9" * 4000,
    "-1",
    "0",
    "2147483648",
    "1" + "0" * 19,
    "6.2e2",
    "NaN",
)
_FIELDS = ("appids", "k", "exclude_clicked", "explain", "filters", "popularity_penalty", "constructor", "")
_VALUES: tuple[Any, ...] = (
    None, True, -1, 0, 10**30, 1.5, float("nan"), float("inf"), "", "620", "\ud800", "\x00", "é" * 500, [],
    [[]], [None], ["620"], [620.0], [True], [-620], {}, {"appids": [620]}, {"tags_any": ["\uffff"]},
    {"max_price": -1}, {"tags_any": "Puzzle"}, {"exclude_appids": [0]}, [620] * 2000,
)  # fmt: skip
_TYPES = (
    "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x",
    "multipart/form-data", "application/json; charset=utf-16", "application/octet-stream", "image/png", "x",
    "a/b; c=" + "d" * 500,
)  # fmt: skip
_MULTIPART = b"multipart/form-data"
_HEADS = (
    b"\r\n\r\n", b"GET\r\n\r\n", b"POST / HTTP/9.9\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    b"POST " + PATH.encode() + b" HTTP/1.1\r\nContent-Length: -5\r\n\r\n",
    b"POST " + PATH.encode() + b" HTTP/1.1\r\nContent-Length: x\r\n\r\n[620]",
    b"POST " + PATH.encode() + b" HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n[620]\r\n0\r\n\r\n",
    b"POST " + PATH.encode() + b" HTTP/1.1\r\n" + b"X-A: " + b"b" * 9000 + b"\r\n\r\n",
    b"POST /predictions/" + b"a" * 5000 + b" HTTP/1.1\r\nContent-Length: 0\r\n\r\n",
    b"POST /predictions/..%2f..%2fetc%2fpasswd HTTP/1.1\r\nContent-Length: 0\r\n\r\n",
)  # fmt: skip


def draw_hostile(draw: random.Random) -> bytes:
    """What to write on a connection of its own."""
    return draw.choice(_KINDS)(draw)


def send(port: int, content: bytes) -> int | None:
    """The status that the service answers, None where it closes the connection without one."""
    answer = b""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=LIMIT) as connection:
            connection.sendall(content)
            if content.startswith(_HEADS):  # not all of them have an end; a whole request gets its answer
                connection.shutdown(socket.SHUT_WR)
            while b"\r\n" not in answer and (chunk := connection.recv(4096)):
                answer += chunk
    except TimeoutError:
        raise
    except OSError:  # closed: it need not read what it refuses
        pass
    words = answer.split(b"\r\n")[0].split()
    return int(words[1]) if len(words) > 1 else None


def unfinished(number: int) -> bytes:
    """The start of a request whose rest never comes: nothing, half a head, half a body."""
    head = f"POST {PATH} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n".encode()
    return (b"", head, head + b"Content-Length: 60000\r\n\r\n" + b"[" * 1000)[number % 3]


def request(body: bytes, content_type: str = "application/json", path: str = PATH) -> bytes:
    """A request by the rules of HTTP that asks for the connection's end."""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: a\r\nContent-Type: {content_type}\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + body


def _noise(draw: random.Random) -> bytes:
    return request(draw.randbytes(draw.randint(0, 300)))


def _cut(draw: random.Random) -> bytes:
    text = json.dumps({"appids": [620, 400], "k": 5, "filters": {"tags_any": ["Puzzle"]}}).encode()
    place = draw.randrange(len(text))
    return request(draw.choice((text[:place], text[:place] + draw.randbytes(2) + text[place:])))


def _deep(draw: random.Random) -> bytes:
    start, end = draw.choice(((b"[", b"]"), (b'{"filters":', b"}"), (b'{"appids":[', b"]}")))
    depth = draw.randint(1, _DEPTH // len(start))
    return request(start * depth + end * draw.choice((0, depth)))


def _huge_number(draw: random.Random) -> bytes:
    number = draw.choice(_HUGE)
    forms = (
        '{"appids": [%s]}',
        '{"appids": [620], "k": %s}',
        '{"appids": [620], "popularity_penalty": %s}',
        "%s",
    )
    return request((draw.choice(forms) % number).encode())


def _wrong_type(draw: random.Random) -> bytes:
    body = {"appids": [620]} | {draw.choice(_FIELDS): draw.choice(_VALUES) for _ in range(2)}
    return request(json.dumps(body).encode())


def _wrong_encoding(draw: random.Random) -> bytes:
    text = '{"appids": [620], "é\u202e\U0001f600": "\x7f"}'
    return request(text.encode(draw.choice(("utf-16", "utf-32", "latin-1", "utf-8-sig")), errors="replace"))


def _wrong_content_type(draw: random.Random) -> bytes:
    return request(
        draw.choice((b'{"appids": [620]}', b"appids=620", b"--x\r\n\r\n620", b"")), draw.choice(_TYPES)
    )


def _wrong_path(draw: random.Random) -> bytes:
    paths = (f"{PATH}/none", "/predictions/none", "/v2/models/srec/infer", "/models/srec", "/" + "a/" * 300)
    return request(b'{"appids": [620]}', path=draw.choice(paths))


def _long_list(draw: random.Random) -> bytes:
    """A megabyte or more, or just below the bound of a body."""
    entries = draw.choice((5_000, 9_000, 200_000))
    return request(b'{"appids": [' + b"620400," * entries + b"620]}")


def _broken_head(draw: random.Random) -> bytes:
    return draw.choice(_HEADS)


_KINDS: Sequence[Callable[[random.Random], bytes]] = (
    _noise, _cut, _deep, _huge_number, _wrong_type, _wrong_encoding, _wrong_content_type, _wrong_path,
    _long_list, _broken_head,
)  # fmt: skip


def attack(port: int, count: int, seed: int) -> tuple[Counter[int | None], list[bytes]]:
    """Send ``count`` hostile requests one by one; returns the statuses, and what wrongly got a 5xx.

    A 503 is right, and TorchServe itself answers a damaged multipart body with 500, before a worker sees it.
    """
    draw = random.Random(seed)
    statuses: Counter[int | None] = Counter()
    failed = []
    for _ in range(count):
        content = draw_hostile(draw)
        status = send(port, content)
        statuses[status] += 1
        if status is not None and status >= 500 and status != 503 and _MULTIPART not in content:
            failed.append(content)
    return statuses, failed
