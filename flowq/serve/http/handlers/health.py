"""Whether the process lives and can work, for load balancers: without credentials, and so without details."""

from flowq.exceptions import ServerError
from flowq.plan import Json
from flowq.serve.http.calls import ApiCall
from flowq.serve.http.principals import Role
from flowq.serve.http.replies import Reply
from flowq.serve.http.route import Route
from flowq.serve.http.schemas import FLAG, document

_BEAT = 30_000  # ms without a beat of a scheduler of the directory


def _lives(_call: ApiCall) -> Json:
    return {"ok": True}


def _ready(call: ApiCall) -> Json | Reply:
    """Answer 503 unless the store answers, the directory can be read, and where it has schedules, a scheduler lives."""
    catalog = call.site.catalog
    ready = not call.site.closing.is_set() and (catalog is None or not catalog.stale)
    try:
        call.store.now_ms()
        if ready and any(flow.compilation.schedules for flow in call.site.flows.values()):
            ready = bool(call.store.schedules.schedulers(_BEAT))
    except ServerError:
        ready = False
    return Reply(200 if ready else 503, {"ok": ready}, cached=False)


_OK = document({"ok": FLAG})

ROUTES = (
    Route(method="GET", path="/healthz", role=Role.OPEN, summary="The process lives", answer=_OK, handler=_lives),
    Route(
        method="GET", path="/readyz", role=Role.OPEN, summary="The process can work", answer=_OK, unready=503, handler=_ready
    ),
)
