"""AOTInductor: the model compiled ahead of time to a shared library."""

import shutil
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch._inductor import aoti_compile_and_package, aoti_load_package

from srec.bench.backends.graph_export import exported_program
from srec.bench.cpu import refuse_limits
from srec.bench.subject import Subject
from srec.errors import HostError
from srec.graph.inputs import ModelInputs
from srec.serving.ranker import DenseScorer, Scorer

FILE = "model.pt2"


class InductorScorer(DenseScorer):
    """Runs a compiled package."""

    def __init__(self, path: Path, hops: int) -> None:
        self.run, self.hops = aoti_load_package(str(path)), hops

    @torch.inference_mode()
    def scores(self, inputs: ModelInputs) -> Tensor:
        """Raw logits, float32 [B, V]."""
        scores: Tensor = self.run(*inputs)
        return scores


class Inductor:
    """Needs a C++ compiler where it is written."""

    def write(self, subject: Subject, folder: Path) -> dict[str, Any]:
        """Compile."""
        refuse_limits("AOTInductor compiles for the CPU that it finds (-march=native)")
        if shutil.which("g++") is None and shutil.which("clang++") is None:
            raise HostError("AOTInductor needs a C++ compiler, and there is neither g++ nor clang++")
        aoti_compile_and_package(exported_program(subject), package_path=str(folder / FILE))
        return {"hops": subject.model.hops}

    def load(self, folder: Path, facts: dict[str, Any]) -> Scorer:
        """Load the library."""
        return InductorScorer(folder / FILE, facts["hops"])


CANDIDATE = Inductor
