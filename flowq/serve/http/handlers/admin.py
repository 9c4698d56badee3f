"""Tokens and sessions, the audit log, the doctor, the processes that serve, and the directory."""

import json
from dataclasses import asdict

from flowq.config import load_settings, redact
from flowq.durations import parse_duration
from flowq.exceptions import UsageError
from flowq.flows.actions.garbage_collection import Wish, find_garbage, garbage_json
from flowq.flows.documents.settings_document import settings_json
from flowq.flows.health import examine, read_facts
from flowq.plan import Json
from flowq.serve.http.access.secrets import access_json, make_token
from flowq.serve.http.calls import ApiCall
from flowq.serve.http.lists import in_parts, part
from flowq.serve.http.principals import ROLES, Role
from flowq.serve.http.replies import RefusedError, Reply, no_such
from flowq.serve.http.route import API, Route
from flowq.serve.http.schemas import DONE, FLAG, MAP, TEXT, TIME, array, body, document, integer, one_of, page, text
from flowq.store.schema.documents import iso

_TOKEN = document(
    {"id": TEXT, "kind": TEXT, "name": TEXT, "role": TEXT, "flows": array(TEXT), "created_at": TIME, "expires_at": TIME}
)


def _tokens(call: ApiCall) -> Json:
    records, after = part(call.query, call.store.accesses.all(), lambda record: (-record.created_ms, record.id))
    return {"items": [access_json(record, call.principal.digest) for record in records], "next": after}


def _make(call: ApiCall) -> Reply:
    try:
        given = call.given("expires")
        seconds = None if given is None else parse_duration(given)
        secret, made = make_token(
            call.store, call.body["name"], call.body["role"], call.given("flows", []), seconds=seconds, by=call.principal.name
        )
    except UsageError as error:
        raise RefusedError(400, "body", str(error)) from error
    return Reply(201, {"token": secret, **access_json(made, call.principal.digest)})


def _revoke(call: ApiCall) -> Reply:
    found = next((item for item in call.store.accesses.all() if item.id == call.path["token"]), None)
    if found is None:
        raise no_such("token", call.path["token"])
    call.store.accesses.revoke(found.digest)
    call.site.doorkeeper.forget()
    return Reply(204)


def _audit(call: ApiCall) -> Json:
    found = call.store.accesses.audit(call.query.get("cursor", "+"), call.query["limit"])
    items = [{"position": item.position, "at": iso(item.at_ms), **item.fields} for item in found]
    return {"items": items, "next": found[-1].position if len(found) == call.query["limit"] else None}


def _doctor(call: ApiCall) -> Json:
    settings = load_settings()
    address = "this machine" if settings.url is None or call.store.anchor is not None else redact(settings.url.value)
    return {"items": [asdict(finding) for finding in examine(read_facts(call.store, address))], "next": None}


def _settings(call: ApiCall) -> Json:
    rows: list[Json] = [*settings_json(load_settings())]
    return {"items": rows, "next": None, "server": call.site.options.url}


def _collect(call: ApiCall) -> Json:
    given = call.given("older_than")
    seconds = None if given is None else parse_duration(given)
    found = find_garbage(call.store, Wish(seconds, call.given("keep"), call.given("flow")))
    dry = call.given("dry_run", False)
    return {"dry_run": dry, **garbage_json(found if dry else found.remove(call.store))}


def _serves(call: ApiCall) -> Json:
    own = call.site.name
    items = [json.loads(text) | {"name": name, "current": name == own} for name, text in call.store.accesses.pages().items()]
    return {"items": items, "next": None, "schedulers": call.store.schedules.schedulers()}


def _reload(call: ApiCall) -> Json:
    call.site.reload()
    return {"done": call.site.catalog is not None}


ROUTES = (
    Route(
        method="GET",
        path=f"{API}/tokens",
        role=Role.ADMIN,
        summary="Tokens, sessions and links that count, newest first; never their secrets",
        query=in_parts(),
        answer=page(_TOKEN),
        handler=_tokens,
    ),
    Route(
        method="POST",
        path=f"{API}/tokens",
        role=Role.ADMIN,
        status=201,
        summary="Make a token; this answer is the only one that has it. `flows` are patterns of `<catalog>/<flow>`",
        body=body(
            {
                "name": text(100, r"^[^\x00-\x1f\x7f]*\S[^\x00-\x1f\x7f]*$"),
                "role": one_of(*ROLES),
                "flows": array(text(300, r"^[^\x00-\x1f\x7f]+$"), 100),
                "expires": {"type": ["string", "null"], "maxLength": 20},
            },
            ["name", "role"],
        ),
        answer=document({"token": TEXT, "id": TEXT, "name": TEXT, "role": TEXT}),
        handler=_make,
    ),
    Route(
        method="DELETE",
        path=f"{API}/tokens/{{token}}",
        role=Role.ADMIN,
        status=204,
        summary="Revoke a token with its sessions, a session or a link, by its id",
        answer={},
        handler=_revoke,
    ),
    Route(
        method="GET",
        path=f"{API}/audit",
        role=Role.ADMIN,
        summary="What users changed, newest first",
        query={"limit": integer(1, 1000, 100), "cursor": text(40, r"^\d{1,15}-\d{1,15}$")},
        answer=page(MAP),
        handler=_audit,
    ),
    Route(
        method="GET",
        path=f"{API}/doctor",
        role=Role.ADMIN,
        summary="The findings of `flowq doctor --json`",
        answer=page(document({"code": TEXT, "level": TEXT, "text": TEXT, "advice": TEXT})),
        handler=_doctor,
    ),
    Route(
        method="GET",
        path=f"{API}/settings",
        role=Role.ADMIN,
        summary="The settings of this process, as `flowq config --json` prints them",
        answer=page(document({"name": TEXT, "value": {}, "source": TEXT, "variable": {}})),
        handler=_settings,
    ),
    Route(
        method="POST",
        path=f"{API}/gc",
        role=Role.ADMIN,
        summary="Delete expired data, and the runs that `older_than` and `keep` choose, as `flowq gc` does; with `dry_run` only say which",
        body=body(
            {
                "older_than": {"type": ["string", "null"], "maxLength": 20},
                "keep": {"type": ["integer", "null"], "minimum": 0, "maximum": 10**6},
                "flow": {"type": ["string", "null"], "maxLength": 500},
                "dry_run": FLAG,
            }
        ),
        answer=document({"dry_run": FLAG, "expired_runs": array(TEXT), "chosen_runs": array(TEXT)}),
        handler=_collect,
    ),
    Route(
        method="GET",
        path=f"{API}/serves",
        role=Role.VIEWER,
        summary="The processes that serve a page, and schedulers",
        answer=page(document({"name": TEXT, "url": TEXT, "current": FLAG})),
        handler=_serves,
    ),
    Route(
        method="POST",
        path=f"{API}/catalog/reload",
        role=Role.OPERATOR,
        summary="Look at the directory at once",
        body=body({}),
        answer=DONE,
        handler=_reload,
    ),
)
