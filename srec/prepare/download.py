"""Files behind web addresses, copied here whole before they are read."""

import http.client
import shutil
import time
import urllib.error
import urllib.request
from pathlib import Path

from srec.errors import InputError
from srec.io import new_file

ATTEMPTS, PAUSE_SECONDS, TIMEOUT_SECONDS = 3, 1.0, 60.0


def download(url: str, path: Path) -> Path:
    """Copy what ``url`` (http or https) gives to ``path``; ``InputError`` after three failures.

    A proxy is taken from the environment, as urllib does. An answer shorter than announced is a failure.
    """
    for attempt in range(ATTEMPTS):
        try:
            with (
                urllib.request.urlopen(url, timeout=TIMEOUT_SECONDS) as answer,  # noqa: S310 - callers check the scheme
                new_file(path) as temporary,
                temporary.open("wb") as stream,
            ):
                shutil.copyfileobj(answer, stream, 1 << 20)
                if answer.length:  # bytes that were announced and never came
                    raise http.client.IncompleteRead(b"", answer.length)
            return path
        except urllib.error.HTTPError as error:
            if error.code < 500 or attempt == ATTEMPTS - 1:
                raise InputError(f"{url} cannot be read: {error.code} {error.reason}") from None
        except (OSError, http.client.HTTPException) as error:
            if attempt == ATTEMPTS - 1:
                raise InputError(
                    f"{url} cannot be read ({error}): check the address and the network"
                ) from None
        time.sleep(PAUSE_SECONDS * 2**attempt)
    raise AssertionError("every attempt returns or raises")
