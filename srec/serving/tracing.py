"""Traces through OpenTelemetry, where SREC_OTLP_ENDPOINT names a collector and srec[tracing] is installed.

A span for each batch with its stages as children, and a span for each request that came with a sampled
``traceparent``, as a child of the caller's span and linked to its batch. The packages are imported only when
asked for; sampling, headers and time limits are OpenTelemetry's own OTEL_* variables.
"""

import logging
import os
from typing import TYPE_CHECKING, Final

from srec.serving.observed import ALL_STAGES, ObservedBatch, Outcome

if TYPE_CHECKING:
    from opentelemetry.trace import SpanContext

VARIABLE: Final = "SREC_OTLP_ENDPOINT"
NANO: Final = 1e9

log = logging.getLogger(__name__)


def tracer_from_environment(version: str) -> "Tracer | None":
    """The tracer that the environment asks for; None where none is wanted or none can be had."""
    endpoint = os.environ.get(VARIABLE)
    if not endpoint:
        return None
    try:
        return Tracer(endpoint, version)
    except ImportError as error:
        log.warning("%s is set, but %s is not installed: install srec[tracing]", VARIABLE, error.name)
        return None


class Tracer:
    """Sends spans of batches to a collector, in the background.

    Args:
        endpoint: base address of a collector that takes OTLP over HTTP, such as http://127.0.0.1:4318.
        version: of the archive, an attribute of all spans.
    """

    def __init__(self, endpoint: str, version: str) -> None:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415
        from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

        self._provider = TracerProvider(
            resource=Resource.create({"service.name": "srec", "service.version": version})
        )
        exporter = OTLPSpanExporter(endpoint=f"{endpoint.rstrip('/')}/v1/traces")
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("srec")

    def trace(self, batch: ObservedBatch) -> None:
        """Make the spans of a batch that has ended."""
        from opentelemetry.context import Context  # noqa: PLC0415
        from opentelemetry.trace import set_span_in_context  # noqa: PLC0415

        end = batch.began_ns + round(batch.total * NANO)
        span = self._tracer.start_span(
            "batch", Context(), start_time=batch.began_ns, attributes={"srec.requests": len(batch.outcomes)}
        )
        inside = set_span_in_context(span, Context())
        # A stage's time may have come in pieces, graph around store; the spans lie end to end.
        at = batch.began_ns
        for stage in ALL_STAGES:
            child = self._tracer.start_span(stage, inside, start_time=at)
            at += round(batch.seconds.get(stage, 0.0) * NANO)
            child.end(at)
        span.end(end)
        for outcome in batch.outcomes:
            if outcome.traceparent:
                self._trace_request(outcome, batch.began_ns, end, span.get_span_context())

    def close(self) -> None:
        """Send what is left, and end the background thread."""
        self._provider.shutdown()

    def _trace_request(self, outcome: Outcome, begin: int, end: int, batch: "SpanContext") -> None:
        from opentelemetry.context import Context  # noqa: PLC0415
        from opentelemetry.trace import Link, SpanKind, get_current_span  # noqa: PLC0415
        from opentelemetry.trace.propagation.tracecontext import (  # noqa: PLC0415
            TraceContextTextMapPropagator,
        )

        parent = TraceContextTextMapPropagator().extract(
            {"traceparent": outcome.traceparent or ""}, Context()
        )
        if not get_current_span(parent).get_span_context().trace_flags.sampled:
            return
        attributes: dict[str, str | int] = {
            "srec.request_id": outcome.request_id,
            "srec.source": outcome.source,
            "srec.clicks": outcome.clicks,
            "srec.unknown_clicks": outcome.unknown,
            "http.response.status_code": outcome.status,
        }
        self._tracer.start_span(
            "recommend", parent, SpanKind.SERVER, attributes, [Link(batch)], start_time=begin
        ).end(end)
