"""ONNX Runtime."""

from pathlib import Path
from typing import Any

import onnxruntime
import torch
from torch import Tensor

from srec.bench.backends.graph_export import FILE, write_onnx
from srec.bench.cpu import refuse_limits
from srec.bench.subject import Subject
from srec.graph.inputs import ModelInputs
from srec.serving.ranker import DenseScorer, Scorer


class OrtScorer(DenseScorer):
    """Runs a session of ONNX Runtime."""

    def __init__(self, session: onnxruntime.InferenceSession, hops: int) -> None:
        self.session, self.hops = session, hops
        self.names = [wanted.name for wanted in session.get_inputs()]

    def scores(self, inputs: ModelInputs) -> Tensor:
        """Raw logits, float32 [B, V]."""
        feed = {name: part.numpy() for name, part in zip(self.names, inputs, strict=True)}
        return torch.from_numpy(self.session.run(None, feed)[0])


class OnnxRuntime:
    """All graph optimisations, one thread."""

    def write(self, subject: Subject, folder: Path) -> dict[str, Any]:
        """Write an ONNX file."""
        refuse_limits("ONNX Runtime asks the CPU itself which instructions it has, and no setting limits it")
        write_onnx(subject, folder)
        return {"hops": subject.model.hops, "onnxruntime": onnxruntime.__version__}

    def load(self, folder: Path, facts: dict[str, Any]) -> Scorer:
        """Open a session."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        session = onnxruntime.InferenceSession(folder / FILE, options, providers=["CPUExecutionProvider"])
        return OrtScorer(session, facts["hops"])


CANDIDATE = OnnxRuntime
