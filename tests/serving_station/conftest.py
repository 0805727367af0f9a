"""A tiny artifact and a tiny handler: the servers are real, the model is not the subject here."""

from collections.abc import Callable
from pathlib import Path

import pytest

from srec.export.archive import build_archive
from srec.io import write_json
from srec.manifest import ARTIFACT
from tests.serving_station.serving import GATE

ECHO = """
import json, logging, os
from pathlib import Path

class Echo:
    def initialize(self, context):
        logging.getLogger().setLevel(logging.WARNING)
        import srec
        assert Path(srec.__file__).parent.parent == Path(context.system_properties["model_dir"]).resolve()
        self.weights = (Path(context.system_properties["model_dir"]) / "weights.bin").read_bytes()

    def handle(self, rows, context):
        answer = {"size": len(self.weights), "redis": os.environ.get("SREC_REDIS_URL")}
        return [json.dumps(answer) for _ in rows]
"""
BROKEN = """
class Broken:
    def initialize(self, context):
        raise ValueError("the golden session 3 is answered differently")

    def handle(self, rows, context):
        return rows
"""
IMPORTS_NOTHING = """
import a_package_that_nobody_wrote

class Unreachable:
    def handle(self, rows, context):
        return rows
"""
HANDLERS = {"gate": GATE, "echo": ECHO, "broken": BROKEN, "import": IMPORTS_NOTHING}
WORKER_FILES = ("srec/__init__.py", "srec/errors.py", "srec/graph/__init__.py", "srec/export/__init__.py")


def write_artifact(folder: Path) -> Path:
    """An artifact by the rules of its manifest, with one file in a subfolder."""
    (folder / "tables").mkdir(parents=True)
    (folder / "weights.bin").write_bytes(bytes(range(256)) * 64)
    (folder / "tables" / "names.json").write_text('{"1": "Portal"}')
    write_json(folder / ARTIFACT.name, {**ARTIFACT.seal(folder), "graph": "9f"})
    return folder


@pytest.fixture
def artifact(tmp_path: Path) -> Path:
    return write_artifact(tmp_path / "artifact")


@pytest.fixture(scope="session")
def archive_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A function from the name of a handler to the archive that holds it."""

    def build(name: str) -> Path:
        folder = tmp_path_factory.mktemp(name)
        handler = folder / "tiny_handler.py"
        handler.write_text(HANDLERS[name])
        return build_archive(
            write_artifact(folder / "artifact"), folder, handler=handler, worker_files=WORKER_FILES
        )

    return build


@pytest.fixture(scope="session")
def echo_mar(archive_of: Callable[[str], Path]) -> Path:
    return archive_of("echo")
