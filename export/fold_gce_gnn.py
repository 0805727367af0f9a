"""GCE-GNN and SRec's modification of it, folded; equation numbers are the paper's (arXiv 2106.05081).

- W2 [h_i ; h_N] (equation 7) is W2' h_i + W2'' h_N: the first term is an item's own, a table.
- W3 [h'_i ; p ; tags ; context] (equation 13): the position's term is a row of a small table, the terms of
  tags and context are an item's own, one table.
- A batch's sessions differ in length: the global aggregator, most of the work, sees real nodes only.
"""

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from srec.export.folding import Linear
from srec.models.gce_gnn import SLOPE, GceGnn, GlobalAggregator
from srec.models.layers import click_mask, masked_softmax
from srec.models.scoring import SHORTEST

CHUNK = 1 << 16  # items a step while the tables are made


class FoldedAggregator(nn.Module):
    """Equations 3 to 7 with the term of the node itself given."""

    def __init__(self, aggregator: GlobalAggregator) -> None:
        super().__init__()
        dim = aggregator.q1.size(0)
        self.w1 = Linear(aggregator.w1.weight[:, :dim])
        self.register_buffer("w1_weight", aggregator.w1.weight[:, dim].detach().clone())
        # leaky_relu(x) is (1 + slope) / 2 x + (1 - slope) / 2 |x|: without AVX2 its branches take four times
        # the time of an absolute value.
        self.register_buffer("q1", aggregator.q1.detach() * (1 + SLOPE) / 2)
        self.register_buffer("q1_abs", aggregator.q1.detach() * (1 - SLOPE) / 2)
        self.own = Linear(aggregator.w2.weight[:, :dim])
        self.w2 = Linear(aggregator.w2.weight[:, dim:])

    def forward(self, own: Tensor, around: Tensor, weights: Tensor, ids: Tensor, session: Tensor) -> Tensor:
        """Mix nodes with their neighbours.

        Args:
            own: W2' h of the nodes, [M, D].
            around: their neighbours' vectors, [M, K, D].
            weights: co-occurrence counts, [M, K].
            ids: the neighbours, 0 where absent, [M, K].
            session: mean of each node's session, [S, D], where S divides M: consecutive nodes share one.
        """
        k, dim = around.size(1), around.size(2)
        like_session = around.reshape(session.size(0), -1, dim) * session.unsqueeze(1)  # [S, M / S * K, D]
        raw = self.w1(like_session.reshape(-1, dim))  # [M * K, D]
        raw = torch.addcmul(raw, weights.reshape(-1, 1), cast(Tensor, self.w1_weight))
        scores = self._scores(raw).view(-1, k)  # [M, K]
        mixed = masked_softmax(scores, ids > 0).unsqueeze(1) @ around  # [M, 1, D]
        return F.relu(own + self.w2(mixed.squeeze(1)))

    def _scores(self, raw: Tensor) -> Tensor:
        """Attention before the softmax, [n]; ``raw`` [n, D] is lost."""
        plain = raw @ cast(Tensor, self.q1)
        return torch.addmv(plain, raw.abs_(), cast(Tensor, self.q1_abs))


class FoldedGceGnn(nn.Module):
    """See ``export.folding.FoldedModel``."""

    def __init__(self, model: GceGnn) -> None:
        super().__init__()
        attention, dim = model.attention, model.settings.dim
        self.hops, self.settings = model.hops, model.settings
        self.register_buffer("kinds", model.local.kinds.detach().clone())
        self.aggregators = nn.ModuleList(
            FoldedAggregator(cast(GlobalAggregator, one)) for one in model.aggregators[: model.hops]
        )
        w3 = attention.w3.weight
        self.w3 = Linear(w3[:, :dim])
        positions = F.linear(attention.positions.weight, w3[:, dim : 2 * dim], attention.w3.bias)
        self.register_buffer("positions", positions.detach())
        self.w4, self.w5 = Linear(attention.w4.weight), Linear(attention.w5.weight)
        self.register_buffer("b4", attention.w4.bias.detach().clone())
        self.register_buffer("q2", attention.q2.detach().clone())
        self.tables = _tables(model) | {f"lone.{name}": weights for name, weights in self._lone().items()}
        self.has_side = "side" in self.tables

    def forward(self, *rows: Tensor) -> Tensor:
        """Session vectors, float32 [B, D]."""
        h, at_clicks, beta = self._clicks(*rows)
        session: Tensor = ((beta.unsqueeze(1) @ at_clicks) @ h).squeeze(1)  # equation 16
        return self.settings.sessions(session)

    def parts(self, *rows: Tensor) -> Tensor:
        """What each click adds to the session vector, float32 [B, L, D]."""
        h, at_clicks, beta = self._clicks(*rows)
        return self.settings.parts(beta.unsqueeze(-1) * (at_clicks @ h))

    def _lone(self) -> dict[str, Tensor]:
        """What ``srec.serving.lone_gce_gnn`` multiplies by, for models of one hop."""
        if self.hops != 1:
            return {}
        aggregator = cast(FoldedAggregator, self.aggregators[0])
        scale = self.settings.scale if self.settings.scoring == "cosine" else 0.0
        return {
            "w1": aggregator.w1.turned,
            "w1_weight": cast(Tensor, aggregator.w1_weight),
            "q1": cast(Tensor, aggregator.q1) + cast(Tensor, aggregator.q1_abs),
            "slope": torch.tensor([SLOPE]),
            "w2": aggregator.w2.turned,
            "kinds": cast(Tensor, self.kinds),
            "w3": self.w3.turned,
            "positions": cast(Tensor, self.positions),
            "w4": self.w4.turned,
            "b4": cast(Tensor, self.b4),
            "w5": self.w5.turned,
            "q2": cast(Tensor, self.q2),
            "scale": torch.tensor([float(scale)]),
        }

    def _clicks(  # noqa: PLR0917  a trace passes by position
        self,
        alias: Tensor,
        edges: Tensor,
        lengths: Tensor,
        slot: Tensor,
        owner: Tensor,
        h: Tensor,
        *rows: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Vectors h' of the nodes [B, N, D], which node a click is [B, L, N], weights beta [B, L]."""
        b, n, dim = h.shape
        side, rows = (rows[0], rows[1:]) if self.has_side else (None, rows)
        mask = click_mask(alias, lengths).to(h.dtype)  # [B, L]
        nodes = torch.arange(n)
        at_clicks = (alias.unsqueeze(2) == nodes).to(h.dtype) * mask.unsqueeze(2)  # [B, L, N]
        share = (at_clicks.sum(1) / lengths.unsqueeze(1)).unsqueeze(1)  # of the clicks, [B, 1, N]
        around = self._global(rows, (share @ h).view(b, dim).index_select(0, owner))  # [M, D]
        h = self._local(h, edges).view(b * n, dim).index_add(0, slot, around).view(b, n, dim)
        into = self.w3(h.view(b * n, dim)).view(b, n, dim)
        if side is not None:
            into = into + side
        from_last = (lengths.unsqueeze(1) - 1 - torch.arange(alias.size(1))).clamp(min=0)  # [B, L]
        positions = F.embedding(from_last, cast(Tensor, self.positions))  # [B, L, D]
        z = torch.tanh(at_clicks @ into + positions)  # equation 13
        mean = self.w5((share @ h).view(b, dim)) + cast(Tensor, self.b4)  # [B, D]
        gate = torch.sigmoid(self.w4(z.view(-1, dim)).view(z.shape) + mean.unsqueeze(1))
        return h, at_clicks, (gate @ cast(Tensor, self.q2)) * mask

    def _local(self, h: Tensor, edges: Tensor) -> Tensor:
        """Equations 8 to 10, [B, N, D]."""
        b, n, dim = h.shape
        kinds = cast(Tensor, self.kinds)
        by_kind = (h.unsqueeze(2) * kinds).view(b, n * kinds.size(0), dim) @ h.transpose(1, 2)
        kind = (edges - 1).clamp(min=0).unsqueeze(2)  # [B, N, 1, N]
        scores = F.leaky_relu(by_kind.view(b, n, -1, n).gather(2, kind).squeeze(2), SLOPE)  # [B, N, N]
        return masked_softmax(scores, edges > 0) @ h

    def _global(self, rows: tuple[Tensor, ...], session: Tensor) -> Tensor:
        """Aggregate from the farthest hop inwards: own terms, then a triple for each hop -> [M, D]."""
        if not self.hops:
            return rows[0]
        own, triples = rows[: self.hops], rows[self.hops :]
        ids, weights, around = triples[0::3], triples[1::3], triples[2::3]
        levels: list[Tensor] = []  # vectors after the last step, nearest hop first
        for step, module in enumerate(self.aggregators):
            aggregator = cast(FoldedAggregator, module)
            terms = [aggregator.own(level) for level in levels[:-1]] if step else list(own)
            vectors = levels[1:] if step else list(around)
            levels = [
                aggregator(
                    terms[hop], vectors[hop].view(*ids[hop].shape, -1), weights[hop], ids[hop], session
                )
                for hop in range(self.hops - step)
            ]
        return levels[0]


def _tables(model: GceGnn) -> dict[str, Tensor]:
    """What an item alone decides, float32 [V+1, D] each; filled chunk by chunk, catalogues may be large."""
    items = model.items.weight.detach()
    dim, attention = items.size(1), model.attention
    first = cast(GlobalAggregator, model.aggregators[0])
    tables = {"items": items, "own": torch.empty_like(items)}
    if model.settings.scoring == "cosine":
        tables["norms"] = items[1:].norm(dim=1).clamp(min=SHORTEST)
    features = [table for table in (model.tags, model.context) if table is not None]
    if features:
        tables["side"] = torch.empty_like(items)
    if model.around is not None:
        tables["own"] = model.around
    with torch.no_grad():
        for chunk in torch.split(torch.arange(len(items)), CHUNK):
            if model.around is None:
                tables["own"][chunk] = F.linear(items[chunk], first.w2.weight[:, :dim])
            if features:
                side = torch.cat([table(chunk.unsqueeze(0)).squeeze(0) for table in features], dim=-1)
                tables["side"][chunk] = F.linear(side, attention.w3.weight[:, 2 * dim :])
    return tables


FOLDED = FoldedGceGnn
