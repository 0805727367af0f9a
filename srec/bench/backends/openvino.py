"""OpenVINO, in float32."""

from pathlib import Path
from typing import Any

import openvino
import torch
from torch import Tensor

from srec.bench.backends.graph_export import FILE, write_onnx
from srec.bench.cpu import refuse_limits
from srec.bench.subject import Subject
from srec.graph.inputs import ModelInputs
from srec.serving.ranker import DenseScorer, Scorer

SETTINGS = {
    "INFERENCE_NUM_THREADS": 1,
    "NUM_STREAMS": 1,
    "PERFORMANCE_HINT": "LATENCY",
    # Its own choice would be bfloat16 where the CPU has it, and 8-bit activations: other scores.
    "INFERENCE_PRECISION_HINT": "f32",
    "DYNAMIC_QUANTIZATION_GROUP_SIZE": 0,
}


class OpenVinoScorer(DenseScorer):
    """Runs one inference request of a compiled model."""

    def __init__(self, model: openvino.CompiledModel, hops: int) -> None:
        self.request, self.hops = model.create_infer_request(), hops

    def scores(self, inputs: ModelInputs) -> Tensor:
        """Raw logits, float32 [B, V]."""
        found = self.request.infer([part.numpy() for part in inputs], share_inputs=True)
        return torch.from_numpy(found[0])


class OpenVino:
    """Latency hint, one stream, one thread."""

    def write(self, subject: Subject, folder: Path) -> dict[str, Any]:
        """Write an ONNX file."""
        refuse_limits("OpenVINO asks the CPU itself which instructions it has, and no setting limits it")
        write_onnx(subject, folder)
        return {"hops": subject.model.hops, "openvino": openvino.__version__}

    def load(self, folder: Path, facts: dict[str, Any]) -> Scorer:
        """Compile for this CPU."""
        core = openvino.Core()
        return OpenVinoScorer(core.compile_model(folder / FILE, "CPU", SETTINGS), facts["hops"])


CANDIDATE = OpenVino
