"""A request as handlers see it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from flowq.plan import Json
from flowq.serve.http.principals import Principal
from flowq.serve.http.replies import RefusedError
from flowq.store import Store
from flowq.store.schema.records import RunRecord

if TYPE_CHECKING:
    from flowq.schedules.directory.catalog import CatalogFlow
    from flowq.serve.http.live.hub import Hub
    from flowq.serve.http.site import Site

_KEY: Final = 200  # characters of an idempotency key


@dataclass(frozen=True, slots=True)
class PathTarget:
    """What a path names, looked up.

    Attributes:
        flow_id: the flow that it belongs to, `<catalog>/<flow>` or "" for one that is in no catalog; None: to no flow.
        run: the run.
        flow: the flow of the catalog.
        schedule: the id of the schedule.
        backfill: the id of the backfill.
    """

    flow_id: str | None = None
    run: RunRecord | None = None
    flow: "CatalogFlow | None" = None
    schedule: str = ""
    backfill: str = ""


@dataclass(frozen=True, slots=True)
class ApiCall:
    """A request that is allowed.

    Attributes:
        site: what is served.
        hub: what tells changes.
        principal: the user.
        target: what the path names.
        path: the parts of the path by the names of the route.
        query: checked parameters with their defaults.
        body: the checked body, or None; of a delivery the bytes.
        headers: those of the request, by their names in small letters.
        address: of the client.
    """

    site: "Site"
    hub: "Hub"
    principal: Principal
    target: PathTarget = PathTarget()
    path: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, Any] = field(default_factory=dict)
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    address: str = ""

    @property
    def store(self) -> Store:
        """The store."""
        return self.site.store

    @property
    def run(self) -> RunRecord:
        """The run that the path names."""
        assert self.target.run is not None, "the route has a run"
        return self.target.run

    @property
    def flow(self) -> "CatalogFlow":
        """The flow that the path names."""
        assert self.target.flow is not None, "the route has a flow"
        return self.target.flow

    @property
    def idempotency_key(self) -> str | None:
        """The key with which the same request is the same change.

        Raises:
            RefusedError: it is too long, or cannot be printed.
        """
        key = self.headers.get("idempotency-key")
        if key is not None and not (0 < len(key) <= _KEY and key.isprintable()):
            raise RefusedError(400, "key", f"Idempotency-Key has 1 to {_KEY} printable characters")
        return key

    def given(self, name: str, default: Json = None) -> Any:
        """Return a value of the body."""
        return (self.body or {}).get(name, default)
