"""The image's HEALTHCHECK, `python -m srec.serve_config.ready`: asks the operations port."""

import sys
import time

from srec.serve_config import client

URL = "http://127.0.0.1:8083/ready"
PATIENCE = 8.0  # seconds; a service that has just started is not yet a sick one
PAUSE = 0.25


def wait_ready(url: str = URL, patience: float = PATIENCE) -> bool:
    """Whether ``url`` answers with 200 within ``patience`` seconds."""
    deadline = time.monotonic() + patience
    while True:
        answer = client.get_json(url, timeout=2.0)
        if isinstance(answer, dict) and answer.get("ready") is True:
            return True
        if time.monotonic() > deadline:
            return False
        time.sleep(PAUSE)


if __name__ == "__main__":
    sys.exit(0 if wait_ready() else 1)
