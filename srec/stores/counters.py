"""What the neighbour store of a worker has seen; telemetry reads it, the stores write it."""

from dataclasses import dataclass


@dataclass
class StoreCounters:
    """Cumulative since the store was opened; whoever wants growth keeps what was last read.

    Rows are counted as asked, repeats included, padding not. They are written by the store's own thread and
    may be read by any.

    Attributes:
        fetches: how often rows were asked for.
        fallbacks: how many of these the model's own copy of the graph answered.
        rows_cached: rows from the local cache.
        rows_read: rows read from Redis.
        rows_missing: rows of the fetches that the model's own copy answered.
        failing: Redis did not deliver when it was last asked.
        last_error: why it last failed, kept after it is back.
        breaker: ``closed`` while Redis is asked, ``open`` while it is left alone between probes.
    """

    fetches: int = 0
    fallbacks: int = 0
    rows_cached: int = 0
    rows_read: int = 0
    rows_missing: int = 0
    failing: bool = False
    last_error: str | None = None
    breaker: str = "closed"

    @property
    def up(self) -> bool:
        """Redis delivered when it was last asked."""
        return not self.failing
