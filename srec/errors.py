"""Every error that srec raises on purpose.

    SrecError                 a person can act on it: what, which value, what to do
    ├── InputError            a file, column, row or option that a person gave
    ├── DataError             a DATA, RUN or artifact folder is damaged or of another model
    ├── HostError             this machine lacks something: Java, a port, Redis, a package
    ├── RequestError          an HTTP request breaks the contract (answered as 400)
    │   └── AccessError       it comes without the service's key (answered as 401)
    ├── StoreError            a neighbour store did not deliver (answered from the fallback)
    └── ServiceError          srec.client got no answer from a service
        ├── RefusedError      the service refuses the request: the contract, the API key, the path (4xx)
        ├── UnavailableError  no connection, a full queue (503) or a failed worker (5xx)
        └── DeadlineError     the time that the caller gave was over

The command line prints the message and exits with 1; anything else is a bug and shows a traceback.
"""

import difflib
from collections.abc import Iterable


class SrecError(Exception):
    """Base of all; its text is meant to be read by a person."""


class InputError(SrecError):
    """A file, column, row or option that a person gave cannot be used."""


class DataError(SrecError):
    """A folder that srec wrote is damaged, incomplete, or belongs to another model."""


class HostError(SrecError):
    """This machine lacks something that the step needs."""


class RequestError(SrecError):
    """A prediction request breaks the contract; the message is sent to the client."""


class AccessError(RequestError):
    """A prediction request comes without the service's key."""


class StoreError(SrecError):
    """A neighbour store did not deliver rows within its deadline."""


class ServiceError(SrecError):
    """A service gave its client no answer.

    Attributes:
        status: of the HTTP response, None where there was none.
    """

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class RefusedError(ServiceError):
    """The service refuses the request; the same request would be refused again."""


class UnavailableError(ServiceError):
    """The service cannot be reached, is full, or failed; the same request may succeed later."""


class DeadlineError(ServiceError):
    """No answer came within the time that the caller gave."""


def nearest(name: str, known: Iterable[str]) -> str:
    """Return ``' (did you mean "x"?)'`` for the known name closest to ``name``, else ``''``."""
    found = difflib.get_close_matches(name.lower(), {k.lower(): k for k in known}, n=1, cutoff=0.5)
    original = {k.lower(): k for k in known}
    return f' (did you mean "{original[found[0]]}"?)' if found else ""
