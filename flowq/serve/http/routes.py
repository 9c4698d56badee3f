"""The table of all routes. Router, rights, OpenAPI document, docs/api.md and the tests are made of it; there is no route beside it."""

from typing import Final

from flowq.plan import Json
from flowq.serve.http.calls import ApiCall
from flowq.serve.http.handlers import (
    admin,
    artifacts,
    events,
    flows,
    graphs,
    health,
    hooks,
    info,
    jobs,
    metrics,
    queues,
    run_actions,
    runs,
    schedules,
    session,
)
from flowq.serve.http.openapi import openapi
from flowq.serve.http.principals import Role
from flowq.serve.http.route import API, Route, checked
from flowq.serve.http.schemas import MAP, TEXT, document

_NOUNS: Final = (
    session,
    info,
    runs,
    run_actions,
    jobs,
    artifacts,
    graphs,
    flows,
    schedules,
    queues,
    admin,
    events,
    hooks,
    health,
    metrics,
)


def _document(call: ApiCall) -> Json:
    return openapi(ROUTES, call.site.options.prefix)


_OWN: Final = Route(
    method="GET",
    path=f"{API}/openapi.json",
    role=Role.VIEWER,
    summary="This document",
    answer=document({"openapi": TEXT, "paths": MAP}),
    handler=_document,
)

ROUTES: Final[tuple[Route, ...]] = checked([*(route for noun in _NOUNS for route in noun.ROUTES), _OWN])
