"""The fast backend: a folded encoder in TorchScript, tables that all workers share, a certified scan.

Answers are the eager model's, item for item: only the order in which float32 numbers are added is another. A
model without a folded form keeps its own encoder; a model that only counts is plain TorchScript.
"""

import importlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from srec.errors import DataError
from srec.export.torchscript import TorchScript, load_module, write_module
from srec.graph.inputs import LoneInputs, ModelInputs
from srec.io import new_file
from srec.serving import products, repeats
from srec.serving.ranker import Scorer
from srec.serving.scan import FullScan
from srec.serving.stages import MODEL, TOP_K, Stages
from srec.topk import Selection, TopK

if TYPE_CHECKING:
    from srec.serving.certified import CertifiedScan

ENCODER, TABLES = "encoder.pt", "tables.safetensors"
NORMS, DIRECTIONS = "norms", "directions"
GAINS = tuple(f"repeats.{part}" for part in repeats.PARTS)
LONE = {"gce-gnn": "srec.serving.lone_gce_gnn"}  # encoders for one session, by model
LoneEncoder = Callable[[LoneInputs], NDArray[np.float32]]  # session vector, float32 [1, D]
FEW = 6  # sessions of a batch that are encoded sooner one by one
SMALL = 1 << 20  # numbers in an item table that is read in float32 faster than bounds are compared


class FastScorer:
    """Runs the folded encoder and the certified scan."""

    def __init__(
        self, encoder: torch.jit.ScriptModule, tables: dict[str, Tensor], manifest: dict[str, Any]
    ) -> None:
        """Take what ``Fast.write`` wrote, and the manifest of the artifact."""
        self.encoder, self.tables = encoder, tables
        self.hops, self.folded = manifest["hops"], manifest["folded"]
        gained = [tables[name] for name in GAINS if name in tables]
        self.gains = repeats.Gains.of(*gained) if gained else None
        self.scan = _scan(tables, manifest["heads"])
        self.lone: LoneFastScorer | None = None
        if of_one := _lone(tables, manifest.get("lone")):
            self.lone = LoneFastScorer(of_one, cast("CertifiedScan", self.scan), self.gains)

    @torch.inference_mode()
    def scores(self, inputs: ModelInputs) -> Tensor:
        """Raw logits, float32 [B, V], by the full scan."""
        found = self.scan.scores(self._sessions(inputs))
        return found if self.gains is None else repeats.raised(found, self.gains, inputs)

    @torch.inference_mode()
    def best(self, inputs: ModelInputs, selections: Sequence[Selection], stages: Stages) -> list[TopK]:
        """Encode, then find the best items by the certified scan."""
        sessions = self._sessions(inputs)
        stages.lap(MODEL)
        if self.gains is None:
            found = self.scan.best(sessions, selections)
        else:
            found = repeats.best(self.scan, self.gains, sessions, repeats.clicked(inputs), selections)
        stages.lap(TOP_K)
        return found

    @torch.inference_mode()
    def shares(self, inputs: ModelInputs, items: Sequence[Tensor]) -> list[Tensor] | None:
        """Each click's share in the scores of some items; None where the encoder cannot tell."""
        if not hasattr(self.encoder, "parts"):
            return None
        parts, lengths = self.encoder.parts(*self._rows(inputs)), inputs[3].tolist()  # [B, L, D]
        shares = [
            self.scan.vectors(asked) @ of_clicks[:length].T  # [n, clicks]
            for asked, of_clicks, length in zip(items, parts, lengths, strict=True)
        ]
        if self.gains is not None:
            repeats.shared(shares, self.gains, items, inputs)
        return shares

    def _sessions(self, inputs: ModelInputs) -> Tensor:
        """Session vectors, float32 [B, D]."""
        if self.lone is None or len(inputs[0]) > FEW:
            return cast(Tensor, self.encoder(*self._rows(inputs)))
        return torch.from_numpy(np.concatenate([self.lone.encoder(one) for one in apart(inputs)]))

    def _rows(self, inputs: ModelInputs) -> ModelInputs:
        return gather(inputs, self.tables) if self.folded else inputs


class LoneFastScorer:
    """The same for a session that comes alone, in as few calls as there can be: none finds a warm cache."""

    def __init__(self, encoder: LoneEncoder, scan: "CertifiedScan", gains: repeats.Gains | None) -> None:
        self.encoder, self.scan, self._gains = encoder, scan, gains

    def best(self, clicks: Sequence[int], inputs: LoneInputs, selection: Selection, stages: Stages) -> TopK:
        """Encode, then find the best items by the certified scan."""
        session = self.encoder(inputs)
        stages.lap(MODEL)
        if self._gains is None:
            found = self.scan.best_of_one(session, selection)
        else:
            (found,) = repeats.best(self.scan, self._gains, torch.from_numpy(session), [clicks], [selection])
        stages.lap(TOP_K)
        return found


class Fast:
    """The backend to serve with."""

    def __init__(self) -> None:
        self.plain = TorchScript()

    def write(self, model: nn.Module, example: ModelInputs, folder: Path) -> dict[str, Any]:
        """Write encoder and tables; a counting model as plain TorchScript."""
        # A worker has no models to fold.
        from srec.export.folding import FoldedModel, Unfolded, fold  # noqa: PLC0415
        from srec.export.heads import choose_heads, leading_directions  # noqa: PLC0415

        source = getattr(model, "model", None)
        if source is None:
            return self.plain.write(model, example, folder) | {"folded": None}
        folded = fold(source)
        encoder: FoldedModel = folded or Unfolded(source)
        tables = dict(encoder.tables)
        if source.repeats is not None:
            tables |= {f"repeats.{part}": values for part, values in source.repeats.named_buffers()}
        rows = gather(example, tables) if folded else example
        methods = {"forward": rows} | ({"parts": rows} if source.additive else {})
        write_module(encoder.eval(), methods, folder / ENCODER)
        items, norms = tables["items"], tables.get(NORMS)
        with torch.no_grad():
            sessions = encoder.forward(*rows)
        # On the sessions that it was made of, every choice looks better than it is.
        tables[DIRECTIONS] = leading_directions(items, norms, sessions[::2])
        with new_file(folder / TABLES) as temporary:
            save_file({name: table.contiguous() for name, table in tables.items()}, temporary)
        heads = choose_heads(items, norms, sessions[1::2], tables[DIRECTIONS])
        lone = source.name if any(name.startswith("lone.") for name in tables) else None
        return {"torch": torch.__version__, "folded": folded is not None, "heads": heads, "lone": lone}

    def load(self, folder: Path, manifest: dict[str, Any]) -> Scorer:
        """Open the tables where they lie, in pages that all workers share; load the encoder."""
        if manifest["folded"] is None:
            return self.plain.load(folder, manifest)
        try:
            with safe_open(folder / TABLES, framework="pt") as file:
                tables = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  no mapping
        except (OSError, ValueError, RuntimeError) as error:
            raise DataError(f"{folder / TABLES} cannot be read ({error}): export again") from error
        return FastScorer(load_module(folder / ENCODER, manifest), tables, manifest)


# What is compiled takes memory and seconds that a small catalogue does not need.
def _scan(tables: dict[str, Tensor], heads: dict[str, dict[str, int]]) -> FullScan:
    """The scan for a table of this size."""
    items, norms = tables["items"], tables.get(NORMS)
    if items.numel() <= SMALL:
        return FullScan(items, norms)
    from srec.serving.certified import CertifiedScan  # noqa: PLC0415

    chosen = heads.get(products.kind(), heads[products.VNNI])  # older artifacts know no pass in 4 bits
    return CertifiedScan(items, norms, tables[DIRECTIONS], chosen["dims"])


def _lone(tables: dict[str, Tensor], model: str | None) -> LoneEncoder | None:
    """The encoder for one session; None where the one for batches has to do."""
    if model is None or tables["items"].numel() <= SMALL:
        return None
    return cast(LoneEncoder, importlib.import_module(LONE[model]).ENCODER(tables))


def apart(inputs: ModelInputs) -> Iterator[LoneInputs]:
    """Split a batch of one hop into its sessions, without padding."""
    nodes, alias, edges, lengths, ids, weights = (part.numpy() for part in inputs)
    nodes, ids = nodes.astype(np.int32), ids.astype(np.int32)
    for row, clicks in enumerate(lengths):
        n = np.count_nonzero(nodes[row])
        of_one = (nodes[row, :n], alias[row, :clicks], edges[row, :n, :n], ids[row, :n], weights[row, :n])
        yield LoneInputs(*(np.ascontiguousarray(part) for part in of_one))


def gather(inputs: ModelInputs, tables: dict[str, Tensor]) -> ModelInputs:
    """Look up what a folded encoder takes; absent nodes of a batch are left out of the global part.

    Args:
        inputs: of ``srec.graph.inputs.model_inputs``.
        tables: ``items``, perhaps ``clicked``, ``own`` and ``side``, each float32 [V+1, D].

    Returns:
        alias [B, L], edges [B, N, N], lengths [B]; without ``own`` only rows of ``clicked``, else of
        ``items``, at the nodes [B, N, D]. With it: ``slot`` int64 [M], where in B * N each node stands, and
        ``owner`` int64 [M], its session; rows of ``items`` and ``side`` at the nodes [B, N, D]; rows of
        ``own`` for nodes and all but the last hop's neighbours [M * K^h, D] (only for nodes where no hop is
        left); then for each hop neighbours [M * K^h, K], weights, and rows of ``items`` [M * K^(h+1), D].
    """
    nodes, alias, edges, lengths, *hops = inputs
    flat, shape = nodes.reshape(-1), (*nodes.shape, -1)
    if "own" not in tables:
        return alias, edges, lengths, tables.get("clicked", tables["items"])[flat].view(shape)
    slot = flat.nonzero().squeeze(1)  # [M]
    rows = [
        alias,
        edges,
        lengths,
        slot,
        slot // nodes.size(1),
        tables["items"].index_select(0, flat).view(shape),
    ]
    if "side" in tables:
        rows.append(tables["side"].index_select(0, flat).view(shape))
    own, triples, level = [], [], flat[slot]
    if not hops:  # the global part of every item is cached whole
        own.append(tables["own"].index_select(0, level))
    for ids, weights in zip(hops[::2], hops[1::2], strict=True):
        own.append(tables["own"].index_select(0, level))
        k = ids.size(2)
        ids = ids.reshape(len(flat), -1, k)[slot].view(-1, k)  # noqa: PLW2901  [M * K^h, K]
        weights = weights.reshape(len(flat), -1, k)[slot].view(-1, k)  # noqa: PLW2901
        level = ids.reshape(-1)
        triples += [ids, weights, tables["items"].index_select(0, level)]
    return cast(ModelInputs, (*rows, *own, *triples))


BACKEND = Fast()
