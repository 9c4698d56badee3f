"""Who may do what: the table of all routes, with each role, in and out of scope."""

import secrets
import time
from pathlib import Path

import pytest

from flowq.plan.schedule import Entry
from flowq.schedules.entries import Description
from flowq.serve.http.access.attempts import MOST, Attempts
from flowq.serve.http.access.secrets import SESSIONS, grant
from flowq.serve.http.principals import Demand, Principal, Role, may
from flowq.serve.http.route import API, Route, checked
from flowq.serve.http.routes import ROUTES
from flowq.serve.http.segments import quoted
from flowq.store import Store
from flowq.store.page.access import AccessRecord, digest_of
from tests.serve.http.conftest import start
from tests.support.page_server import PageServer, token_of
from tests.support.wait import until

IDS = [f"{route.method} {route.path}" for route in ROUTES]
GUARDED = [route for route in ROUTES if route.role > Role.OPEN]
NAMES = {"run": "x", "job": "0", "flow": "etl:load", "schedule": "x", "backfill": "x", "worker": "x", "token": "x"}


def path_of(route: Route, **names: str) -> str:
    path = route.path
    for name, value in {**NAMES, **names}.items():
        path = path.replace(f"{{{name}}}", value)
    return path


def ids_of(routes: list[Route]) -> list[str]:
    return [f"{route.method} {route.path}" for route in routes]


@pytest.mark.parametrize("route", GUARDED, ids=ids_of(GUARDED))
def test_a_route_without_credentials_is_refused(page: PageServer, store: Store, route: Route) -> None:
    answer = page.ask(route.method, path_of(route), None if route.safe else {})
    assert (answer.status, answer.code) == (401, "unauthorized")


@pytest.mark.parametrize("route", GUARDED, ids=ids_of(GUARDED))
def test_a_route_is_for_its_role_and_those_above(page: PageServer, store: Store, route: Route) -> None:
    for role in (Role.VIEWER, Role.OPERATOR, Role.ADMIN):
        token = token_of(store, role.word)
        answer = page.ask(
            "HEAD" if route.path.endswith("/events") else route.method, path_of(route), None if route.safe else {}, token=token
        )
        if role < route.role:
            assert (answer.status, answer.code) == (403, "forbidden"), role
        else:
            assert answer.status not in {401, 403, 500}, (role, answer.body)


def test_only_these_routes_are_open() -> None:
    opened = {f"{route.method} {route.path}" for route in ROUTES if route.role is Role.OPEN}
    assert opened == {f"POST {API}/session", "GET /healthz", "GET /readyz", "POST /hooks/{hook}/{trigger}"}


def test_a_route_without_a_role_stops_the_start() -> None:
    def handler(_call: object) -> None: ...

    wrong = Route(method="GET", path="/x", role=None, summary="", handler=handler, answer={})  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="GET /x has no role"):
        checked([wrong])
    with pytest.raises(ValueError, match="twice"):
        checked([ROUTES[0], ROUTES[0]])


def test_safe_methods_change_nothing() -> None:
    assert not [route.path for route in ROUTES if route.method in {"GET", "HEAD"} and route.changes]
    assert {route.path for route in ROUTES if route.harmless} == {f"{API}/flows/{{flow}}/check"}


# -- scopes


@pytest.fixture
def scoped(store: Store, flows: Path) -> dict[str, str]:
    """Runs, schedules and a backfill of a flow in scope (etl/load) and one out of it (ask)."""
    entry = Entry(name="default", line=1, every=3_600_000)
    names = {"in": "flows/etl/tick:default", "out": "other/ask:default"}
    store.schedules.beat("test", [(name, "d", False) for name in names.values()])
    described = Description(entry, str(flows / "etl" / "tick.yaml"), str(flows)).to_json()
    store.schedules.describe(dict.fromkeys(names.values(), described))
    fields: dict[str, str | int] = {"from": 0, "to": 1, "mode": "missing", "newest_first": 0, "max": 1}
    for side, name in names.items():
        store.backfills.create(f"backfill{side}", fields | {"schedule": name})
    return {"in": start(store, flows), "out": start(store, flows, "ask")}


def test_every_route_with_a_scope_is_in_or_out(page: PageServer, store: Store, scoped: dict[str, str]) -> None:
    operator = token_of(store, "operator", "flows/etl/*")
    inside = {"run": scoped["in"], "flow": "etl:load", "schedule": quoted("flows/etl/tick:default"), "backfill": "backfillin"}
    outside = {"run": scoped["out"], "flow": "ask", "schedule": quoted("other/ask:default"), "backfill": "backfillout"}
    for route in GUARDED:
        kinds = [kind for kind in inside if f"{{{kind}}}" in route.path]
        if route.role > Role.OPERATOR or route.path.endswith("/events"):
            continue
        body: dict[str, object] | None = None if route.safe else {}
        if kinds:
            allowed = page.ask(route.method, path_of(route, **inside), body, token=operator)
            refused = page.ask(route.method, path_of(route, **outside), body, token=operator)
            assert allowed.status != 403, route.path
            assert "backfill" in kinds or allowed.status != 404 or "{job}" in route.path, (route.path, allowed.body)
            if refused.status != 400:  # what is wrong with a body is said before anything is looked up
                assert (refused.status, refused.code) == (404, "not_found"), (route.path, refused.body)
        else:
            answer = page.ask(route.method, path_of(route), body, token=operator)
            assert (answer.status == 403) == (route.of_all or (route.changes and not route.own)), (route.path, answer.body)


def test_lists_have_only_what_is_in_scope(page: PageServer, store: Store, scoped: dict[str, str]) -> None:
    viewer = token_of(store, "viewer", "flows/etl/*")
    everything = token_of(store, "viewer")
    assert {item["id"] for item in page.api("GET", "/runs", token=everything).document["items"]} == set(scoped.values())
    assert [item["id"] for item in page.api("GET", "/runs", token=viewer).document["items"]] == [scoped["in"]]
    assert [item["name"] for item in page.api("GET", "/flows", token=viewer).document["items"]] == ["etl/load", "etl/tick"]
    assert [item["id"] for item in page.api("GET", "/schedules", token=viewer).document["items"]] == ["flows/etl/tick:default"]
    assert [item["id"] for item in page.api("GET", "/backfills", token=viewer).document["items"]] == ["backfillin"]
    attention = page.api("GET", "/attention", token=viewer).document
    assert [item["id"] for item in attention["running"]] == [scoped["in"]]


def test_a_stream_of_a_run_out_of_scope_is_refused(page: PageServer, store: Store, scoped: dict[str, str]) -> None:
    viewer = token_of(store, "viewer", "flows/etl/*")
    for topic in ("run", "log"):
        assert page.api("GET", f"/events?topics={topic}:{scoped['out']}", token=viewer).status == 404


def test_an_admin_is_not_limited_to_flows(page: PageServer, store: Store) -> None:
    admin = token_of(store, "admin")
    answer = page.api("POST", "/tokens", {"name": "a", "role": "admin", "flows": ["x/*"]}, token=admin)
    assert (answer.status, answer.code) == (400, "body")


@pytest.mark.parametrize("role", [Role.VIEWER, Role.OPERATOR, Role.ADMIN])
def test_one_function_decides(role: Role) -> None:
    limited, free = Principal("a", role, ("flows/etl/*",)), Principal("a", role)
    for wanted in Role:
        for flow in (None, "", "flows/etl/load", "flows/ask"):
            for safe in (True, False):
                demand = Demand(wanted, safe, flow)
                assert may(free, demand) is (role >= wanted)
                covered = safe if flow is None else flow == "flows/etl/load"
                assert may(limited, demand) is (role >= wanted and (wanted is Role.OPEN or covered))


# -- secrets


def sign_in(page: PageServer, token: str) -> dict[str, str]:
    """Return the headers with which a browser asks that has signed in."""
    answer = page.api("POST", "/session", {"token": token})
    assert answer.status == 200, answer.body
    cookie = answer.headers["set-cookie"]
    assert "; HttpOnly; SameSite=Strict" in cookie
    assert "Path=/;" in cookie
    return {"Cookie": cookie.partition(";")[0], "Origin": page.url.rstrip("/")}


def test_a_token_opens_a_session(page: PageServer, store: Store) -> None:
    headers = sign_in(page, token_of(store, "operator", "flows/*", name="ann"))
    answer = page.api("GET", "/session", headers=headers)
    assert answer.document == {"name": "ann", "role": "operator", "flows": ["flows/*"], "signed_in": True}
    left = page.api("DELETE", "/session", headers=headers)
    assert (left.status, left.headers["clear-site-data"]) == (204, '"cache", "storage"')
    assert left.headers["set-cookie"].startswith(f"flowq-{page.port}=;")
    assert "Max-Age=0" in left.headers["set-cookie"]
    assert page.api("GET", "/session", headers=headers).status == 401


def test_the_address_that_is_printed_opens_sessions_and_nothing_else(page: PageServer, store: Store) -> None:
    record = AccessRecord("", "link", "ann", "admin", expires_ms=store.now_ms() + 60_000)
    secret = grant(store, record)[0]
    assert page.api("GET", "/info", token=secret).status == 401
    headers = sign_in(page, secret)
    store.accesses.revoke(next(item.digest for item in store.accesses.all() if item.kind == "link"))
    assert page.api("GET", "/tokens", headers=headers).status == 200  # a session outlives its link


def test_a_secret_of_another_kind_is_none(page: PageServer, store: Store) -> None:
    session = sign_in(page, token_of(store, "admin"))["Cookie"].partition("=")[2]
    assert page.api("GET", "/info", token=session).status == 401
    token = token_of(store, "admin")
    assert page.api("GET", "/info", headers={"Cookie": f"flowq-{page.port}={token}"}).status == 401
    assert page.api("POST", "/session", {"token": session}).status == 401


def test_a_secret_that_was_just_used_is_still_of_its_kind(page: PageServer, store: Store) -> None:
    token = token_of(store, "admin")
    signed_in = sign_in(page, token)
    assert page.api("GET", "/info", headers=signed_in).status == 200
    assert page.api("GET", "/info", token=signed_in["Cookie"].partition("=")[2]).status == 401
    assert page.api("GET", "/info", token=token).status == 200
    assert page.api("POST", "/queues/resume", {}, headers={"Cookie": f"flowq-{page.port}={token}"}).status == 401


def test_a_revoked_token_ends_with_its_sessions(page: PageServer, store: Store) -> None:
    admin = token_of(store, "admin", name="root")
    made = page.api("POST", "/tokens", {"name": "ann", "role": "viewer", "expires": "1d"}, token=admin)
    assert made.status == 201
    token, id_ = made.document["token"], made.document["id"]
    headers = sign_in(page, token)
    assert page.api("GET", "/info", token=token).status == 200
    assert page.api("DELETE", f"/tokens/{id_}", token=admin).status == 204
    assert page.api("GET", "/info", token=token).status == 401
    assert page.api("GET", "/info", headers=headers).status == 401
    assert page.api("DELETE", f"/tokens/{id_}", token=admin).status == 404


def test_a_token_that_another_process_revokes_is_refused_soon(page: PageServer, store: Store) -> None:
    token = token_of(store, "viewer")
    assert page.api("GET", "/info", token=token).status == 200
    store.accesses.revoke(store.accesses.all()[0].digest)
    begun = time.monotonic()
    until(lambda: page.api("GET", "/info", token=token).status == 401, timeout=5)
    assert time.monotonic() - begun < 2


def test_a_token_expires(page: PageServer, store: Store) -> None:
    record = AccessRecord("", "token", "ann", "viewer", expires_ms=store.now_ms() + 500)
    token = grant(store, record)[0]
    assert page.api("GET", "/info", token=token).status == 200
    until(lambda: page.api("GET", "/info", token=token).status == 401, timeout=5)
    assert store.accesses.all() == []


def test_the_list_of_tokens_has_no_secret(page: PageServer, store: Store) -> None:
    admin = token_of(store, "admin")
    sign_in(page, admin)
    answer = page.api("GET", "/tokens", token=admin)
    assert {item["kind"] for item in answer.document["items"]} == {"token", "session"}
    assert admin not in answer.body.decode()
    assert b"fqs_" not in answer.body
    for record in store.accesses.all():  # the digest would find the record, not open anything; but no user needs it
        assert record.digest not in answer.body.decode()


def test_what_users_change_is_in_the_audit_log(page: PageServer, store: Store, flows: Path) -> None:
    admin, viewer = token_of(store, "admin", name="root"), token_of(store, "viewer", name="eve")
    run = start(store, flows)
    page.api("POST", f"/runs/{run}/cancel", {}, token=admin, headers={"X-Forwarded-For": "10.0.0.7"})
    page.api("POST", f"/runs/{run}/cancel", {}, token=viewer)
    items = page.api("GET", "/audit", token=admin).document["items"]
    assert [(item["name"], item["action"], item["path"], item["status"]) for item in items] == [
        ("eve", "POST", f"/api/v1/runs/{run}/cancel", "403"),
        ("root", "POST", f"/api/v1/runs/{run}/cancel", "200"),
    ]
    assert items[1]["address"] == "10.0.0.7"
    part = page.api("GET", "/audit?limit=1", token=admin).document
    rest = page.api("GET", f"/audit?limit=1&cursor={part['next']}", token=admin).document
    assert [*part["items"], *rest["items"]] == items


def test_attempts_out_of_scope_are_in_the_audit_log(page: PageServer, store: Store, scoped: dict[str, str]) -> None:
    admin, eve = token_of(store, "admin", name="root"), token_of(store, "operator", "flows/etl/*", name="eve")
    assert page.api("POST", f"/runs/{scoped['out']}/cancel", {}, token=eve).status == 404
    assert page.api("POST", "/runs/nothing/cancel", {}, token=eve).status == 404
    items = page.api("GET", "/audit", token=admin).document["items"]
    assert [(item["name"], item["path"], item["status"]) for item in items] == [
        ("eve", f"/api/v1/runs/{scoped['out']}/cancel", "403")
    ]


@pytest.mark.parametrize("name", ["ann\u202etoor", "ann\u200b", "a\u2066b", "a\u0085b", "a\u2028b", "a\ufeff", "ann\n"])
def test_a_name_that_could_pass_for_another_one_is_refused(page: PageServer, store: Store, name: str) -> None:
    answer = page.api("POST", "/tokens", {"name": name, "role": "viewer"}, token=token_of(store, "admin"))
    assert (answer.status, answer.code) == (400, "body")


def test_sessions_of_a_token_are_limited_and_the_oldest_ends(page: PageServer, store: Store) -> None:
    token, other = token_of(store, "viewer"), token_of(store, "viewer", name="other")
    first, elsewhere = sign_in(page, token), sign_in(page, other)
    newest = [sign_in(page, token) for _ in range(SESSIONS)][-1]
    assert len([item for item in store.accesses.all() if item.kind == "session"]) == SESSIONS + 1
    assert [page.api("GET", "/info", headers=headers).status for headers in (first, newest, elsewhere)] == [401, 200, 200]


def test_guesses_are_slowed_down(page: PageServer, store: Store) -> None:
    token, headers = token_of(store, "viewer"), {"X-Forwarded-For": "10.1.1.1"}
    for number in range(MOST):
        kind = {"token": f"fqt_{number}"}
        answer = (
            page.api("POST", "/session", kind, headers=headers)
            if number % 2
            else page.api("GET", "/info", headers=headers, **kind)
        )
        assert answer.status == 401
    answer = page.api("POST", "/session", {"token": "fqt_x"}, headers=headers)
    assert (answer.status, answer.code) == (429, "too_many_attempts")
    assert 0 < int(answer.headers["retry-after"]) <= 61
    assert page.api("GET", "/info", token=token, headers=headers).status == 429
    assert page.api("GET", "/info", token=token, headers={"X-Forwarded-For": "10.1.1.2"}).status == 200


def test_guesses_of_others_at_an_address_do_not_keep_out_a_token_that_was_right_before(page: PageServer, store: Store) -> None:
    token, headers = token_of(store, "viewer"), {"X-Forwarded-For": "10.1.1.3"}
    revoked = token_of(store, "viewer")
    for known in (token, revoked):
        assert page.api("GET", "/info", token=known, headers=headers).status == 200
    while page.api("GET", "/info", token=f"fqt_{secrets.token_urlsafe(8)}", headers=headers).status == 401:
        pass
    assert page.api("GET", "/info", token=token, headers=headers).status == 200
    store.accesses.revoke(digest_of(revoked))
    until(lambda: page.api("GET", "/info", token=revoked, headers=headers).status == 429, message="a guess like any other")


def test_a_program_whose_token_does_not_count_any_more_keeps_nobody_out(page: PageServer, store: Store) -> None:
    headers = {"X-Forwarded-For": "10.1.1.4"}
    for _ in range(2 * MOST):
        assert page.api("GET", "/info", token="fqt_expired", headers=headers).status == 401
        assert page.api("POST", "/session", {"token": "fqt_mistyped"}, headers=headers).status == 401
    assert page.api("POST", "/session", {"token": token_of(store, "viewer")}, headers=headers).status == 200


def test_attempts_are_forgotten_after_a_minute() -> None:
    now = [0.0]
    attempts = Attempts(lambda: now[0])
    for _ in range(MOST):
        assert attempts.wait("a") == 0
        attempts.fail("a")
        now[0] += 1
    assert attempts.wait("a") == 50
    assert attempts.wait("b") == 0
    now[0] = 60
    assert attempts.wait("a") == 0
    attempts.fail("a")
    assert attempts.wait("a") == 1
