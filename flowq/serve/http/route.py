"""One row of the table of routes, from which router, rights and OpenAPI document are made."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

from flowq.plan import Json
from flowq.serve.http.calls import ApiCall
from flowq.serve.http.principals import SAFE, Role
from flowq.serve.http.replies import JSON, Reply
from flowq.serve.http.schemas import Schema

API: Final = "/api/v1"
BODY: Final = 1024 * 1024  # bytes


@dataclass(frozen=True, kw_only=True)
class Route:
    """A route.

    Attributes:
        method: of HTTP.
        path: with `{run}`, `{flow}`, `{schedule}`, `{backfill}`, which are looked up, and other names.
        role: the least one that may use it.
        summary: what it does, for the document.
        handler: what does it.
        answer: schema of the answer.
        status: of the answer.
        query: schemas of the parameters.
        body: schema of the body; None: there is none.
        media_types: of the answer.
        harmless: it changes nothing, although its method says so.
        own: it is about the user alone.
        of_all: it tells of all flows, so users who are limited to some may not use it.
        raw: the body is passed on as bytes, of whatever type, because its signature is over these.
        limit: bytes of the body.
        errors: statuses of refusals, besides those of every route.
        unready: status of an answer of the same schema that says no; the server itself may refuse with it, too.
        needs_key: it takes `Idempotency-Key`.
    """

    method: str
    path: str
    role: Role
    summary: str
    handler: Callable[[ApiCall], Reply | Json]
    answer: Schema
    status: int = 200
    query: Mapping[str, Schema] = field(default_factory=dict)
    body: Schema | None = None
    media_types: Sequence[str] = (JSON,)
    harmless: bool = False
    own: bool = False
    of_all: bool = False
    raw: bool = False
    limit: int = BODY
    errors: Sequence[int] = ()
    unready: int | None = None
    needs_key: bool = False

    @property
    def changes(self) -> bool:
        """Whether it changes something."""
        return self.method not in SAFE and not self.harmless

    @property
    def safe(self) -> bool:
        """Whether its method says that it changes nothing."""
        return self.method in SAFE

    @cached_property
    def check_body(self) -> Any:
        """What checks the body."""
        import jsonschema_rs

        return jsonschema_rs.validator_for(dict(self.body or {}))


def checked(routes: Sequence[Route]) -> tuple[Route, ...]:
    """Return a table in which every route has a role, and none is there twice.

    Raises:
        ValueError: a row is wrong. The server does not start with it.
    """
    seen = set()
    for route in routes:
        name = f"{route.method} {route.path}"
        if not isinstance(route.role, Role):
            raise ValueError(f"{name} has no role: it would be open")  # noqa: TRY004 - the value of a row
        if name in seen:
            raise ValueError(f"{name} is there twice")
        seen.add(name)
    return tuple(routes)
