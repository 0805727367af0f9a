"""What may be a key of the service: client and server ask here."""

import os
import re

from srec.errors import InputError

_KEY = re.compile(r"[!-~]([ -~]*[!-~])?")


def check_api_key(key: str) -> str:
    """Return ``key``; ``InputError``, which does not quote it, where the header X-API-Key cannot carry it."""
    if not _KEY.fullmatch(key):
        raise InputError(
            "the API key is empty, has blanks or a line break at an end, or holds a character that is not "
            "printable ASCII: give it without those"
        )
    return key


def given_api_key() -> str:
    """The key in ``SREC_API_KEY``, empty without one; raises as ``check_api_key``."""
    key = os.environ.get("SREC_API_KEY", "")
    return check_api_key(key) if key else ""


def key_header() -> dict[str, str]:
    """The header that sends ``given_api_key``, empty without one; raises as ``check_api_key``."""
    key = given_api_key()
    return {"X-API-Key": key} if key else {}
