"""The model as a graph with open shapes, and as an ONNX file, for the engines that read these."""

import logging
import warnings
from pathlib import Path

import torch
from torch.export import Dim, ExportedProgram

from srec.bench.subject import Subject
from srec.export.pipeline import served_module

FILE = "model.onnx"
INPUTS = ("nodes", "alias", "edges", "lengths")
_OPEN = Dim.DYNAMIC


def exported_program(subject: Subject) -> ExportedProgram:
    """Trace with ``torch.export``; sessions, clicks and nodes are open dimensions."""
    hops: tuple[dict[int, object], ...] = ({0: _OPEN, 1: _OPEN},) * (2 * subject.model.hops)
    shapes = {
        "nodes": {0: _OPEN, 1: _OPEN},
        "alias": {0: _OPEN, 1: _OPEN},
        "edges": {0: _OPEN, 1: _OPEN, 2: _OPEN},
        "lengths": {0: _OPEN},
        "rows": hops,
    }
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        return torch.export.export(served_module(subject.model), subject.example(), dynamic_shapes=shapes)


def write_onnx(subject: Subject, folder: Path) -> list[str]:
    """Write ``model.onnx`` and its weights; returns the names of its inputs in order."""
    rows = [f"{kind}{hop}" for hop in range(subject.model.hops) for kind in ("neighbours", "weights")]
    names = [*INPUTS, *rows]
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            exported_program(subject),
            kwargs=None,
            f=folder / FILE,
            dynamo=True,
            input_names=names,
            output_names=["scores"],
            external_data=True,
            verbose=False,
        )
    return names
