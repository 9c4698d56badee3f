"""Spans to a collector, by OTLP over HTTP. Where it is, and all else about it, say the variables of OpenTelemetry (`OTEL_…`)."""

import os
from collections.abc import Iterable
from itertools import islice
from typing import TYPE_CHECKING, Final

from flowq import __version__
from flowq.exceptions import FlowqError, UsageError
from flowq.flows.views.snapshot import read_events, read_snapshot
from flowq.telemetry.endpoint import ENDPOINTS, endpoint
from flowq.telemetry.spans import TraceSpan, spans_of

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan

    from flowq.store import Store

_BATCH: Final = 500  # spans sent at once
_NS: Final = 1_000_000  # ns in a ms


class ExportError(FlowqError):
    """The collector did not take the spans."""


class Traces:
    """The way of runs to a collector.

    Raises:
        UsageError: the packages of OpenTelemetry are missing, or no collector is named.
    """

    def __init__(self, store: "Store") -> None:
        self._store = store
        if not endpoint():
            raise UsageError(f"set {ENDPOINTS[1]} to the address of a collector, such as http://localhost:4318")
        try:
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        except ImportError as error:
            raise UsageError(
                f"traces need the packages of OpenTelemetry ({error.name} is missing): pip install 'flowq-workflows[otel]'"
            ) from error
        self._exporter: OTLPSpanExporter = OTLPSpanExporter()

    def send(self, run: str) -> int:
        """Send the latest attempt of a run that has ended; return the number of spans. Repeating it sends the same ones.

        Raises:
            ExportError: the collector did not take them.
            NoSuchRunError: there is no such run.
        """
        record = self._store.runs.require(run)
        if not record.ended:
            raise UsageError(f"run {run} has not ended: its trace is sent then")
        plan, _snapshot = read_snapshot(self._store, run)
        return self._send(spans_of(plan, record, read_events(self._store, run)))

    def _send(self, spans: Iterable[TraceSpan]) -> int:
        from opentelemetry.sdk.trace.export import SpanExportResult

        left, count = iter(spans), 0
        while batch := list(islice(left, _BATCH)):
            if self._exporter.export([_readable(span) for span in batch]) is not SpanExportResult.SUCCESS:
                raise ExportError(f"the collector at {endpoint()} did not take the trace")
            count += len(batch)
        return count

    def close(self) -> None:
        """Close the connection."""
        self._exporter.shutdown()  # type: ignore[no-untyped-call]


def _readable(span: TraceSpan) -> "ReadableSpan":
    """Return a span in the form of the SDK."""
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import Event, ReadableSpan
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope
    from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags

    def context(identity: str) -> SpanContext:
        return SpanContext(int(span.trace, 16), int(identity, 16), is_remote=False, trace_flags=TraceFlags(TraceFlags.SAMPLED))

    return ReadableSpan(
        span.name,
        context(span.id),
        parent=context(span.parent) if span.parent else None,
        resource=Resource.create({"service.name": os.environ.get("OTEL_SERVICE_NAME") or "flowq"}),
        attributes=dict(span.attributes),
        events=[Event(name, timestamp=at * _NS) for name, at in span.marks],
        links=[Link(context(identity)) for identity in span.links],
        kind=SpanKind.INTERNAL,
        status=Status(StatusCode.OK) if span.problem is None else Status(StatusCode.ERROR, span.problem),
        start_time=span.begin_ms * _NS,
        end_time=span.end_ms * _NS,
        instrumentation_scope=InstrumentationScope("flowq", __version__),
    )
