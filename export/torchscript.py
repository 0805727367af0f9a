"""TorchScript: traced, frozen, saved, loaded. With ``srec.script`` all that knows it."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from srec.errors import DataError
from srec.graph.inputs import ModelInputs
from srec.io import new_file
from srec.script import quiet
from srec.serving.ranker import DenseScorer, ragged_shares

FILE = "model.pt"
SHARES = "shares"  # the module's second method, where its model is additive


class TorchScriptScorer(DenseScorer):
    """Runs a frozen module."""

    def __init__(self, module: torch.jit.ScriptModule, hops: int) -> None:
        """Take a loaded module."""
        self.module = module
        self.hops = hops

    @torch.inference_mode()
    def scores(self, inputs: ModelInputs) -> Tensor:
        """Raw logits, float32 [B, V]."""
        scores: Tensor = self.module(*inputs)
        return scores

    @torch.inference_mode()
    def shares(self, inputs: ModelInputs, items: Sequence[Tensor]) -> list[Tensor] | None:
        """Each click's share in the scores of some items; None where the module cannot tell."""
        if not hasattr(self.module, SHARES):
            return None
        return ragged_shares(self.module.shares, inputs, items)


class TorchScript:
    """The default backend."""

    def write(self, model: nn.Module, example: ModelInputs, folder: Path) -> dict[str, Any]:
        """Write the module, with its shares where it has them."""
        methods = {"forward": example}
        if getattr(model, "additive", False):
            methods[SHARES] = (example[0][:, :1], *example)
        write_module(model, methods, folder / FILE)
        return {"torch": torch.__version__}

    def load(self, folder: Path, manifest: dict[str, Any]) -> TorchScriptScorer:
        """Load the frozen module onto the CPU."""
        module = load_module(folder / FILE, manifest)
        return TorchScriptScorer(module, manifest["hops"])


def write_module(model: nn.Module, methods: dict[str, tuple[Any, ...]], path: Path) -> None:
    """Trace, freeze and save.

    Args:
        model: in evaluation mode.
        methods: names of methods with an example of what each takes; ``forward`` is one of them.
        path: the file.
    """
    with quiet(), torch.no_grad():
        traced = torch.jit.trace_module(model, methods, check_trace=False)  # type: ignore[no-untyped-call]
        # All methods share their constants: a table is in the file, and in memory, once.
        frozen = torch.jit.freeze(traced, preserved_attrs=[name for name in methods if name != "forward"])
        # Through memory: saved to a path, the file would hold the temporary name, and its bytes change.
        content = io.BytesIO()
        torch.jit.save(frozen, content)
    with new_file(path) as temporary:
        temporary.write_bytes(content.getvalue())


def load_module(path: Path, manifest: dict[str, Any]) -> torch.jit.ScriptModule:
    """Load a frozen module onto the CPU; ``DataError`` where it cannot be read."""
    try:
        with quiet():
            return torch.jit.load(str(path), map_location="cpu")  # type: ignore[no-untyped-call, no-any-return]
    except (RuntimeError, ValueError) as error:
        raise DataError(
            f"{path} cannot be loaded by torch {torch.__version__} "
            f"(written by {manifest.get('torch')}): {str(error).splitlines()[0]}"
        ) from error


BACKEND = TorchScript()
