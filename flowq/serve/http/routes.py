"""The table of all routes. Router, rights, OpenAPI document, docs/api.md and the tests are made of it; there is no route beside it."""

from typing import Final

from flowq.serve.http.handlers import flows, info, runs, session
from flowq.serve.http.route import Route, checked

ROUTES: Final[tuple[Route, ...]] = checked((*session.ROUTES, *info.ROUTES, *runs.ROUTES, *flows.ROUTES))
