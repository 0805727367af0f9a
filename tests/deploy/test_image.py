"""What can be said of the image without building it; results/ship has the transcript of a real one."""

import re
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path

from srec.export.signature import signature_file
from tests.conftest import ROOT

DOCKERFILE = (ROOT / "Dockerfile").read_text()
STAGES = re.split(r"^(?=FROM )", DOCKERFILE, flags=re.MULTILINE)[1:]
LET_IN = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}


def test_hadolint_finds_nothing() -> None:
    tool = Path(sys.executable).with_name("hadolint")
    done = subprocess.run([tool, ROOT / "Dockerfile"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_the_context_is_what_the_stages_copy() -> None:
    copied = {
        word
        for line in re.findall(r"^COPY (?!--)(.*) \S+$", DOCKERFILE, re.MULTILINE)
        for word in line.split()
    }
    let_in = {name.partition("/")[0] for name in LET_IN}
    assert copied == let_in
    assert all((ROOT / name).exists() for name in let_in)


def test_the_archive_comes_with_its_signature_alone() -> None:
    archive = Path("model_store") / "srec.mar"
    wanted = {str(archive), str(signature_file(archive))}
    ((source, target),) = re.findall(r"^COPY --from=archive (\S+) (\S+)$", STAGES[-1], re.MULTILINE)
    assert {name for name in LET_IN if fnmatch(f"/build/{name}", source)} == wanted
    assert target == "/srv/model_store/"


def test_the_final_stage_holds_the_service_alone() -> None:
    final = STAGES[-1]
    assert re.findall(r"^COPY (\S+)", final, re.MULTILINE) == ["--from=service", "--from=archive"]
    assert "pip install" not in final
    assert "apt-get" not in final
    assert re.search(r"^USER [1-9]\d*$", final, re.MULTILINE)
    assert re.search(r"^STOPSIGNAL SIGTERM$", final, re.MULTILINE)
    assert "srec.serve_config.ready" in final
    assert re.search(r"SREC_REDIS_URL=array\b", final)
