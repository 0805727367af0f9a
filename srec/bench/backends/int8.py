"""What both 8-bit quantisations share: every matrix product as a Linear, TorchScript around it."""

import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from srec.bench.cpu import limited
from srec.bench.subject import Subject
from srec.export.torchscript import TorchScript
from srec.models import SessionModel
from srec.serving.ranker import Scorer


class LinearScoring(nn.Module):
    """A model whose scan over the items is a ``Linear``, which quantisation knows how to replace."""

    def __init__(self, model: SessionModel) -> None:
        super().__init__()
        self.model = model
        table = model.item_vectors()
        self.head = nn.Linear(table.shape[1], table.shape[0], bias=False, device="meta")
        self.head.weight = nn.Parameter(table.detach().contiguous(), requires_grad=False)

    def forward(self, nodes: Tensor, alias: Tensor, edges: Tensor, lengths: Tensor, *rows: Tensor) -> Tensor:
        """Raw logits, float32 [B, V]."""
        products = self.head(self.model.encode(nodes, alias, edges, lengths, *rows))
        return self.model.raised(products, nodes, alias, lengths)


def use_engine() -> str:
    """Choose torch's 8-bit kernels: those of its default, or where AVX2 is ruled out, those that obey."""
    engine = "onednn" if limited() else torch.backends.quantized.engine
    torch.backends.quantized.engine = engine
    return str(engine)


def write_quantised(module: nn.Module, subject: Subject, folder: Path) -> dict[str, Any]:
    """Trace and freeze the quantised module."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        facts = TorchScript().write(module.eval(), subject.example(), folder)
    return facts | {"hops": subject.model.hops, "engine": torch.backends.quantized.engine}


def load_quantised(folder: Path, facts: dict[str, Any]) -> Scorer:
    """Load it with the same kernels."""
    torch.backends.quantized.engine = facts["engine"]
    return TorchScript().load(folder, facts)
