"""What this page is, and what needs a user."""

from datetime import UTC, datetime

from flowq import __version__
from flowq.plan import Json
from flowq.schedules.users.attention import attention
from flowq.serve.http.calls import ApiCall
from flowq.serve.http.handlers.session import PRINCIPAL, principal_json
from flowq.serve.http.principals import Role
from flowq.serve.http.route import API, Route
from flowq.serve.http.schemas import FLAG, MAP, RUN, TEXT, TIME, array, document
from flowq.store.schema.documents import iso


def _info(call: ApiCall) -> Json:
    catalog = call.site.catalog
    return {
        "name": "flowq" if catalog is None else catalog.name,
        "version": __version__,
        "readonly": call.site.options.readonly,
        "principal": principal_json(call.principal),
        "server_time": iso(call.store.now_ms()),
        "timezone": str(datetime.now(UTC).astimezone().tzname()),
        "embedded": call.store.anchor is not None,
        "closing": call.site.closing.is_set(),
        "catalog": None
        if catalog is None
        else {"name": catalog.name, "directory": catalog.root, "stale": catalog.stale, "problem": catalog.problem or None},
        "features": ["launch", "schedules"] if catalog is not None else [],
    }


def _attention(call: ApiCall) -> Json:
    return attention(call.store, call.principal.covers, call.site.flow_of)


ROUTES = (
    Route(
        method="GET",
        path=f"{API}/info",
        role=Role.VIEWER,
        own=True,
        summary="What this page is, and who is signed in",
        answer=document(
            {
                "name": TEXT,
                "version": TEXT,
                "readonly": FLAG,
                "principal": PRINCIPAL,
                "server_time": TIME,
                "timezone": TEXT,
                "catalog": {"type": ["object", "null"]},
                "features": array(TEXT),
            }
        ),
        handler=_info,
    ),
    Route(
        method="GET",
        path=f"{API}/attention",
        role=Role.VIEWER,
        summary="What needs a user: failed runs, approvals, refused slots, paused schedules, queues without workers",
        answer=document(
            {
                "failed": array(RUN),
                "approvals": array(MAP),
                "refused": array(MAP),
                "paused": array(MAP),
                "queues_without_workers": array(MAP),
                "running": array(RUN),
            }
        ),
        handler=_attention,
    ),
)
