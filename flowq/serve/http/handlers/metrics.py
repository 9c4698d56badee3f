"""The metrics, for Prometheus and what reads its format."""

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from flowq.serve.http.calls import ApiCall
from flowq.serve.http.principals import Role
from flowq.serve.http.replies import Reply
from flowq.serve.http.route import Route
from flowq.serve.http.schemas import TEXT
from flowq.telemetry.metrics.exposition import MEDIA_TYPE, exposition
from flowq.telemetry.metrics.samples import Sample, sample
from flowq.telemetry.metrics.stored import stored_samples

if TYPE_CHECKING:
    from flowq.serve.http.live.hub import Hub
    from flowq.serve.http.site import Site


def metrics_text(site: "Site", hub: "Hub") -> str:
    """Return the metrics of the store and of this process.

    Raises:
        ServerError: the server cannot be used.
    """
    begun = time.monotonic()
    site.store.now_ms()
    site.meter.observed(time.monotonic() - begun)
    return exposition([*stored_samples(site.store), *_own(site, hub)], own=True)


def _own(site: "Site", hub: "Hub") -> Iterator[Sample]:
    if site.catalog is not None:
        valid = sum(flow.valid for flow in site.flows.values())
        yield sample("flowq_flows", valid, state="valid")
        yield sample("flowq_flows", len(site.flows) - valid, state="invalid")
    yield sample("flowq_live_clients", hub.clients())
    yield from site.meter.samples()


def _metrics(call: ApiCall) -> Reply:
    return Reply(content=metrics_text(call.site, call.hub).encode("utf-8", "replace"), media_type=MEDIA_TYPE, cached=False)


ROUTES = (
    Route(
        method="GET",
        path="/metrics",
        role=Role.VIEWER,
        summary="Metrics in the text format of Prometheus; not for tokens that are limited to flows",
        answer=TEXT,
        media_types=(MEDIA_TYPE,),
        errors=(429,),
        of_all=True,
        handler=_metrics,
    ),
)
