"""SRec's second attempt at 8 bits: weights and activations, with ranges from calibration."""

import warnings
from pathlib import Path
from typing import Any

import torch
from torch import nn

from srec.bench.backends.int8 import LinearScoring, load_quantised, use_engine, write_quantised
from srec.bench.subject import Subject
from srec.serving.ranker import Scorer

CALIBRATION_INPUTS = 512
quantization: Any = torch.ao.quantization  # untyped


class Int8Static:
    """Eager-mode static quantisation of every Linear, with the defaults of torch's engine."""

    def write(self, subject: Subject, folder: Path) -> dict[str, Any]:
        """Observe, convert and freeze."""
        engine = use_engine()
        module = LinearScoring(subject.model).eval()
        for parent in list(module.modules()):
            for name, child in list(parent.named_children()):
                if isinstance(child, nn.Linear):
                    setattr(parent, name, quantization.QuantWrapper(child))
        module.qconfig = quantization.get_default_qconfig(engine)
        for child in module.modules():
            if isinstance(child, nn.Embedding):
                child.qconfig = None  # type: ignore[assignment]
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            observed = quantization.prepare(module)
            observed(*subject.example(CALIBRATION_INPUTS))
            quantised = quantization.convert(observed)
        return write_quantised(quantised, subject, folder)

    def load(self, folder: Path, facts: dict[str, Any]) -> Scorer:
        """Load the frozen module."""
        return load_quantised(folder, facts)


CANDIDATE = Int8Static
