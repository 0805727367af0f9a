"""What a running service tells the commands that change it: `service.json` in its private folder."""

from pathlib import Path
from typing import Self

import psutil
from pydantic import BaseModel, ConfigDict, ValidationError

from srec.errors import HostError
from srec.serve_config.configuration import JAVA_CLASS

_FILE = "service.json"


class RunningService(BaseModel):
    """Where a service's parts are. The file can be read by its own user alone, as its folder can."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    folder: Path
    mar: Path
    """The archive that was named at its start: what the next cold start loads."""
    model_store: Path
    """The private one that TorchServe reads."""
    log_folder: Path
    management_url: str
    predictions_url: str
    metrics_url: str
    operations_url: str
    redis_url: str
    workers: int
    response_timeout: int | None
    verify_key: Path | None

    def write(self) -> None:
        """Leave it in the folder."""
        (self.folder / _FILE).write_text(self.model_dump_json(indent=2))

    @classmethod
    def find(cls, management_url: str) -> Self:
        """The service of this user whose management port is ``management_url``; ``HostError`` without one."""
        others = []
        for folder in _folders():
            try:
                service = cls.model_validate_json((folder / _FILE).read_text())
            except (OSError, ValidationError):
                continue
            if service.management_url == management_url.rstrip("/"):
                return service
            others.append(service.management_url)
        running = f"; there is one at {', '.join(sorted(others))}" if others else ""
        raise HostError(
            f"no running `srec serve` of this user has its management at {management_url}{running}: "
            "start it on this machine, or name its address with --management"
        )


def _folders() -> list[Path]:
    """Folders of the TorchServes on this machine, from Java's command lines: any TMPDIR will do."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        words = process.info["cmdline"] or []
        if JAVA_CLASS in words and "--ts-config-file" in words[:-1]:
            found.append(Path(words[words.index("--ts-config-file") + 1]).parent)
    return found
