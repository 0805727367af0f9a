"""No file that srec reads can carry code in, but for the archive itself (docs/security.md)."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT, Line

# Modules that make objects, and so run code, from bytes.
UNPICKLERS = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "marshal", "shelve"}
# Calls that do so in libraries; torch.load even with weights_only, which has been broken out of before.
CALLS = {("torch", "load"), ("yaml", "load"), ("pd", "read_pickle"), ("pandas", "read_pickle")}
SOURCES = sorted(
    path
    for room in ("srec", "export", "handlers", "serve_config", "loadtest")
    for path in (ROOT / room).rglob("*.py")
)


def offences(tree: ast.AST) -> list[str]:
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [one.name for one in node.names if one.name.partition(".")[0] in UNPICKLERS]
        elif isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] in UNPICKLERS:
            found.append(str(node.module))
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            name = (getattr(node.func.value, "id", ""), node.func.attr)
            allowed = [one.value for one in node.keywords if one.arg == "allow_pickle"]
            if name in CALLS or any(getattr(value, "value", True) is not False for value in allowed):
                found.append(".".join(name))
    return found


def test_no_module_unpickles() -> None:
    assert len(SOURCES) > 80
    found = {str(path.relative_to(ROOT)): offences(ast.parse(path.read_text())) for path in SOURCES}
    assert {path: what for path, what in found.items() if what} == {}


@pytest.mark.parametrize(
    "code",
    [
        "import pickle",
        "from joblib import load",
        "import torch; torch.load('x')",
        "import torch; torch.load('x', weights_only=True)",
        "import numpy as np; np.load('x', allow_pickle=True)",
        "import yaml; yaml.load(text, yaml.Loader)",
    ],
)
def test_the_search_finds_what_it_looks_for(code: str) -> None:
    assert offences(ast.parse(code))


def test_answering_unpickles_nothing(line: Line, tmp_path: Path) -> None:
    """Python tells an audit hook of every class that any unpickler asks for, in whatever library it runs."""
    program = """
import sys
asked = []
def hook(event, arguments):
    if event == "pickle.find_class":
        asked.append(arguments)
sys.addaudithook(hook)

import pickle
pickle.loads(pickle.dumps(sys.intern)) # the hook works
assert asked, "the hook heard nothing"
asked.clear()

from pathlib import Path
import torch
from srec.serving.artifact import Artifact
from srec.serving.contract import parse_request
artifact = Artifact(Path(sys.argv[1]))
artifact.self_test()
artifact.predictor().answer([parse_request({"appids": [620, 400]})], ["id"])
assert not asked, asked

from srec.serving.certified import CertifiedScan # of larger catalogues
from srec.topk import Selection
items = torch.randn(300, 80)
CertifiedScan(items, None, torch.eye(80), 16).best(items[:2], [Selection(5)] * 2)
assert not asked, asked
"""
    done = subprocess.run(
        [sys.executable, "-c", program, str(line.artifact)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
