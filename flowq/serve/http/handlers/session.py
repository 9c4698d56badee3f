"""Signing in and out, and who is signed in."""

from flowq.plan import Json
from flowq.serve.http.access.secrets import SESSION, find, principal_of, session
from flowq.serve.http.calls import ApiCall
from flowq.serve.http.principals import Principal, Role
from flowq.serve.http.replies import RefusedError, Reply
from flowq.serve.http.route import API, Route
from flowq.serve.http.schemas import FLAG, TEXT, array, body, document, text
from flowq.store.page.access import digest_of

PRINCIPAL = document({"name": TEXT, "role": TEXT, "flows": array(TEXT), "signed_in": FLAG})


def principal_json(principal: Principal) -> dict[str, Json]:
    """Return a user."""
    return {
        "name": principal.name,
        "role": principal.role.word,
        "flows": list(principal.flows) or ["*"],
        "signed_in": bool(principal.digest),
    }


def _open(call: ApiCall) -> Reply:
    call.site.doorkeeper.check(call.address)
    record = find(call.store, call.body["token"].strip(), ("token", "link"))
    if record is None:
        call.site.doorkeeper.attempts.fail(call.address, digest_of(call.body["token"].strip()))
        raise RefusedError(401, "unauthorized", "the token is unknown, has expired or was revoked")
    secret, opened = session(call.store, record, call.address)
    user = principal_of(opened)
    return Reply(200, principal_json(user), cookies=(_cookie(call, secret, SESSION // 1000),), by=user)


def _show(call: ApiCall) -> Json:
    return principal_json(call.principal)


def _close(call: ApiCall) -> Reply:
    if call.principal.cookie:
        call.store.accesses.revoke(call.principal.digest)
        call.site.doorkeeper.forget(call.principal.digest)
    # Not "cookies": these are those of all ports and programs of the host, so it would sign the user out of all of them. "storage" is that of an origin.
    data = '"cache", "storage"' if not call.site.options.prefix else '"cache"'
    return Reply(204, headers={"Clear-Site-Data": data}, cookies=(_cookie(call, "", 0),))


def _cookie(call: ApiCall, value: str, age: int) -> str:
    options = call.site.options
    path = "/" if options.secure else f"{options.prefix}/"
    secure = "; Secure" if options.secure else ""
    return f"{options.cookie}={value}; Path={path}; Max-Age={age}; HttpOnly; SameSite=Strict{secure}"


ROUTES = (
    Route(
        method="POST",
        path=f"{API}/session",
        role=Role.OPEN,
        own=True,
        limit=4096,
        summary="Sign in: exchange a token for a cookie",
        body=body({"token": text(200)}, ["token"]),
        answer=PRINCIPAL,
        handler=_open,
    ),
    Route(
        method="GET",
        path=f"{API}/session",
        role=Role.VIEWER,
        own=True,
        summary="Who is signed in",
        answer=PRINCIPAL,
        handler=_show,
    ),
    Route(
        method="DELETE",
        path=f"{API}/session",
        role=Role.VIEWER,
        own=True,
        status=204,
        summary="Sign out",
        answer={},
        handler=_close,
    ),
)
