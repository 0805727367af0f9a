"""SRec's first attempt at 8 bits: weights of all Linears in advance, activations on the fly."""

import warnings
from pathlib import Path
from typing import Any

import torch
from torch import nn

from srec.bench.backends.int8 import LinearScoring, load_quantised, use_engine, write_quantised
from srec.bench.subject import Subject
from srec.serving.ranker import Scorer

quantization: Any = torch.ao.quantization  # untyped


class Int8Dynamic:
    """``torch.ao.quantization.quantize_dynamic`` with its defaults."""

    def write(self, subject: Subject, folder: Path) -> dict[str, Any]:
        """Quantise and freeze."""
        use_engine()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            quantised = quantization.quantize_dynamic(
                LinearScoring(subject.model).eval(), {nn.Linear}, dtype=torch.qint8
            )
        return write_quantised(quantised, subject, folder)

    def load(self, folder: Path, facts: dict[str, Any]) -> Scorer:
        """Load the frozen module."""
        return load_quantised(folder, facts)


CANDIDATE = Int8Dynamic
