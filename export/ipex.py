"""TorchScript with Intel's extension, for hosts with AVX2; carries the plain module for all others.

The extension ended with release 2.8.0, which needs torch 2.8.0: an environment of its own, never needed to
run the service.
"""

import importlib
import logging
from pathlib import Path
from typing import Any

import torch
from torch import nn

from srec.errors import HostError
from srec.export.torchscript import TorchScript, TorchScriptScorer
from srec.graph.inputs import ModelInputs
from srec.serving.products import has_avx2

FOLDER = "ipex"
PACKAGE = "intel_extension_for_pytorch"
log = logging.getLogger(__name__)


class Ipex:
    """SRec's way: ``ipex.optimize`` before the trace."""

    def __init__(self) -> None:
        self.plain = TorchScript()

    def write(self, model: nn.Module, example: ModelInputs, folder: Path) -> dict[str, Any]:
        """Write the optimised module and the plain one; ``HostError`` where the extension cannot run."""
        reason = why_not()
        if reason:
            raise HostError(f"cannot export with IPEX: {reason}; use --backend torchscript")
        facts = self.plain.write(model, example, folder)
        extension: Any = importlib.import_module(PACKAGE)
        optimised = extension.optimize(
            model, dtype=torch.float32, conv_bn_folding=False, linear_bn_folding=False
        )
        (folder / FOLDER).mkdir()
        self.plain.write(optimised, example, folder / FOLDER)
        return facts | {"ipex": extension.__version__, "cpu_features": ["avx2"]}

    def load(self, folder: Path, manifest: dict[str, Any]) -> TorchScriptScorer:
        """Load the optimised module where it can run, else the plain one, and say why."""
        reason = why_not()
        if reason is None:
            return self.plain.load(folder / FOLDER, manifest)
        log.warning("serving plain TorchScript instead of IPEX: %s", reason)
        return self.plain.load(folder, manifest)


def why_not() -> str | None:
    """Why IPEX cannot run here; None where it can."""
    if not has_avx2():
        return "this CPU has no AVX2"
    try:
        importlib.import_module(PACKAGE)
    except ImportError as error:
        return f"{PACKAGE} cannot be imported ({error}); its last release 2.8.0 needs torch 2.8.0"
    except SystemExit:  # what the extension does where the versions of torch do not fit
        return f"{PACKAGE} refuses torch {torch.__version__}; its last release 2.8.0 needs torch 2.8.0"
    return None


BACKEND = Ipex()
