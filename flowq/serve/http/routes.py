"""The table of all routes. Router, rights, OpenAPI document, docs/api.md and the tests are made of it; there is no route beside it."""

from typing import Final

from flowq.serve.http.handlers import admin, flows, info, jobs, queues, run_actions, runs, schedules, session
from flowq.serve.http.route import Route, checked

_NOUNS: Final = (session, info, runs, run_actions, jobs, flows, schedules, queues, admin)

ROUTES: Final[tuple[Route, ...]] = checked([route for noun in _NOUNS for route in noun.ROUTES])
