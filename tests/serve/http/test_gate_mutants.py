"""The rules of the gate, each with a mutation of the code that breaks it: the probes find every one, and none where nothing is broken.

The application is called as the server calls it, in this process, so that its code can be changed.
"""

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from flowq.serve.http import app as app_module
from flowq.serve.http import gate
from flowq.serve.http.access import doorkeeper
from flowq.serve.http.access.secrets import grant
from flowq.serve.http.app import Application
from flowq.serve.http.live.hub import Hub
from flowq.serve.http.principals import Principal, Role
from flowq.serve.http.routes import ROUTES
from flowq.serve.http.site import Site, SiteOptions
from flowq.store import Store
from flowq.store.page.access import AccessRecord, digest_of
from tests.serve.http.conftest import start

OWN = {"Host": "127.0.0.1:8470", "Content-Type": "application/json"}
SIGNED_IN = OWN | {"Origin": "http://127.0.0.1:8470"}


@dataclass(frozen=True)
class Probes:
    """Requests that have to be refused, and what is needed to send them."""

    store: Store
    run: str
    app: Application

    def ask(self, method: str, path: str, headers: Mapping[str, str], body: bytes = b"{}") -> int:
        """Send a request; return the status."""
        raw, _, query = path.partition("?")
        scope = {
            "type": "http",
            "method": method,
            "path": raw,
            "raw_path": raw.encode(),
            "query_string": query.encode(),
            "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
            "client": ("127.0.0.1", 1),
        }
        statuses = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Mapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                statuses.append(message["status"])

        asyncio.run(self.app(scope, receive, send))
        return int(statuses[0])

    def token(self, role: str, *flows: str, kind: str = "token", expires: int | None = None) -> str:
        """Return a new secret."""
        return grant(self.store, AccessRecord("", kind, role, role, flows, expires_ms=expires))[0]

    def broken(self) -> set[str]:
        """Return the rules that do not hold."""
        bearer = {role: {"Authorization": f"Bearer {self.token(role)}"} for role in ("viewer", "admin")}
        scoped = {"Authorization": f"Bearer {self.token('operator', 'flows/etl/*')}"}
        cookie = {"Cookie": f"flowq-8470={self.token('admin', kind='session')}"}
        gone = self.store.now_ms() + 60_000
        ended = {"Cookie": f"flowq-8470={self.token('viewer', kind='session', expires=gone)}"}
        keys = self.store.session.keys
        client: Any = self.store.client
        for digest in client.zrangebyscore(keys("accesses"), gone, gone):
            client.pexpireat(keys("access", digest.decode()), 1)
        cancel = f"/api/v1/runs/{self.run}/cancel"
        large = json.dumps({"name": "x" * 2**20, "role": "viewer"}).encode()
        found = {
            "host": self.ask("GET", "/healthz", OWN | {"Host": "evil.example"}) == 421,
            "parameters": self.ask("GET", f"/api/v1/runs?q={'x' * 9000}", OWN | bearer["viewer"]) == 414,
            "origin": self.ask("POST", "/api/v1/queues/resume", OWN | cookie | {"Origin": "http://evil.example"}) == 403,
            "no origin": self.ask("POST", "/api/v1/queues/resume", OWN | cookie) == 403,
            "credentials": self.ask("GET", "/api/v1/runs", OWN) == 401,
            "role": self.ask("POST", "/api/v1/queues/resume", OWN | bearer["viewer"]) == 403,
            "scope": self.ask("POST", cancel, OWN | scoped) == 404,
            "scope of lists": self.ask("POST", "/api/v1/queues/resume", OWN | scoped) == 403,
            "body": self.ask("POST", "/api/v1/tokens", OWN | bearer["admin"], large) == 413,
            "expiry": self.ask("GET", "/api/v1/runs", SIGNED_IN | ended) == 401,
            "kind": self.ask("GET", "/api/v1/runs", OWN | {"Authorization": cookie["Cookie"].replace("flowq-8470=", "Bearer ")})
            == 401,
            "allowed": self.ask("POST", "/api/v1/queues/resume", SIGNED_IN | cookie) == 200,
        }
        return {rule for rule, holds in found.items() if not holds}


async def _all(request: Any, limit: int) -> bytes:
    return await request.body()  # type: ignore[no-any-return]


def _found_forever(store: Store, secret: str, kinds: tuple[str, ...]) -> AccessRecord:
    return AccessRecord("x", kinds[0], "ann", "viewer")


class _Everything(frozenset[str]):
    def __contains__(self, item: object) -> bool:
        return True


def _always(value: object) -> Callable[..., object]:
    return lambda *_: value


def _as_admin(record: AccessRecord) -> Principal:
    return Principal(record.name, Role.ADMIN, record.flows, record.digest, cookie=record.kind == "session")


def _of_any_kind(store: Store, secret: str, kinds: tuple[str, ...]) -> AccessRecord | None:
    return store.accesses.find(digest_of(secret))


MUTANTS: dict[str, tuple[object, str, object, set[str]]] = {
    # what is broken: where, the name there, what takes its place, rules of which at least one has to be found broken
    "no host is checked": (gate, "check_host", lambda *given: given[2], {"host", "parameters"}),
    "all hosts are known": (SiteOptions, "hosts", _always(_Everything()), {"host"}),
    "no origin is checked": (gate, "check_origin", _always(None), {"origin", "no origin"}),
    "all origins are known": (SiteOptions, "origins", _always(_Everything({"http://127.0.0.1:8470"})), {"origin"}),
    "strangers are users": (doorkeeper, "ANONYMOUS", Principal("", Role.ADMIN), {"credentials"}),
    "scopes are not looked at": (Principal, "covers", _always(True), {"scope"}),
    "all is allowed": (app_module, "may", _always(True), {"scope", "scope of lists"}),
    "roles are those of an admin": (doorkeeper, "principal_of", _as_admin, {"role"}),
    "bodies have no limit": (app_module, "_body", _all, {"body"}),
    "sessions do not expire": (doorkeeper, "find", _found_forever, {"expiry", "kind", "role", "scope"}),
    "a session is a token": (doorkeeper, "find", _of_any_kind, {"kind"}),
}


def broken(store: Store, run: str) -> set[str]:
    """Return the rules that do not hold, for an application that has seen no request before."""
    site = Site(store, SiteOptions())
    app = Application(site, Hub(site), ROUTES)
    try:
        return Probes(store, run, app).broken()
    finally:
        app.close()


def test_the_probes_find_each_rule_that_is_broken(store: Store, flows: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = start(store, flows, "ask")
    assert broken(store, run) == set()
    for name, (place, attribute, mutant, rules) in MUTANTS.items():
        with monkeypatch.context() as patch:
            patch.setattr(place, attribute, mutant)
            assert broken(store, run) & rules, f"{name}: no probe finds it"
    assert broken(store, run) == set()
