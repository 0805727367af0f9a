"""A typed client of the service: `from srec.client import SrecClient`.

Needs urllib3 and pydantic (`pip install 'srec[client]'`); imports neither torch nor numpy.
"""

from srec.client.client import SrecClient
from srec.client.policy import Retries, Timeouts
from srec.errors import DeadlineError, RefusedError, ServiceError, UnavailableError
from srec.serving.forms import Answer, Filters, Recommendation

__all__ = [
    "Answer",
    "DeadlineError",
    "Filters",
    "Recommendation",
    "RefusedError",
    "Retries",
    "ServiceError",
    "SrecClient",
    "Timeouts",
    "UnavailableError",
]
