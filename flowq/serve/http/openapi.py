"""The OpenAPI document, made from the table of routes."""

import re
from collections.abc import Sequence
from typing import Any, Final

from flowq import __version__
from flowq.serve.http.principals import Role
from flowq.serve.http.replies import JSON
from flowq.serve.http.route import API, Route
from flowq.serve.http.schemas import Schema
from flowq.serve.http.schemas import document as shape

_PARAMETER: Final = re.compile(r"\{(\w+)\}")
_ERROR: Final = shape({"error": shape({"code": {"type": "string"}, "message": {"type": "string"}, "details": {}})})
_MEANINGS: Final = {
    400: "the request is wrong",
    401: "no user is signed in, or the token is unknown",
    403: "the user may not do this",
    404: "there is no such thing, or the user may not know of it",
    405: "another method is needed",
    408: "the body did not come in time",
    409: "not possible in this state",
    413: "the body is too large",
    414: "the parameters are too long",
    415: "the body is not JSON",
    421: "the request is for another host",
    422: "the flow does not compile with these values; the details are its diagnostics",
    429: "too many at once, or too many wrong tokens",
    503: "the store does not answer, or the server is stopping",
}
_PLACES: Final = {
    "run": "id of the run",
    "job": "ordinal of the job, or its name as a segment",
    "artifact": "name of the artifact",
    "sha256": "SHA-256 of the file, in hexadecimal digits",
    "flow": "name of the flow as a segment: a slash is written as a colon, a colon as two",
    "schedule": "id of the schedule as a segment: a slash is written as a colon, a colon as two",
    "backfill": "id of the backfill",
    "worker": "name of the worker as a segment",
    "token": "id of the token, not its secret",
    "hook": "name of the flow as a segment",
    "trigger": "name of the trigger",
}


def openapi(routes: Sequence[Route], prefix: str = "") -> dict[str, Any]:
    """Return the document of a table. `prefix`: the path below which the server is reached."""
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route)
    return {
        "openapi": "3.1.0",
        "info": {"title": "flowq", "version": __version__, "description": "Runs, flows, schedules and workers of flowq."},
        "servers": [{"url": prefix or "/"}],
        "paths": paths,
        "components": {
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer"},
                "session": {"type": "apiKey", "in": "cookie", "name": "flowq-PORT"},
            },
            "schemas": {"Error": _ERROR},
        },
    }


def _operation(route: Route) -> dict[str, Any]:
    statuses = {400, 404, 405, 414, 429, 503, *route.errors} if route.path.startswith(API) else {405, 503, *route.errors}
    statuses |= {401, 403} if route.role > Role.OPEN else {401} if route.body or route.raw else set()
    statuses |= set() if route.safe else {403, 408, 413, 415}
    answers: dict[str, Any] = {str(route.status): _answer(route)}
    answers |= {str(status): _refusal(status, *[route.answer] * (status == route.unready)) for status in sorted(statuses)}
    found: dict[str, Any] = {
        "operationId": operation_id(route),
        "summary": route.summary,
        "tags": [route.path.removeprefix(API).split("/")[1]],
        "parameters": _parameters(route),
        "responses": answers,
        "x-role": route.role.word,
    }
    if route.role > Role.OPEN:
        found["security"] = [{"token": []}, {"session": []}]
    if route.raw:
        found["requestBody"] = {"required": True, "content": {JSON: {"schema": {}}}}
    elif route.body is not None:
        found["requestBody"] = {"required": bool(route.body.get("required")), "content": {JSON: {"schema": route.body}}}
    return found


def operation_id(route: Route) -> str:
    """Return the name of a route: `getRunsRunJobs`."""
    words = re.findall(r"\w+", route.path.removeprefix(API))
    return route.method.lower() + "".join(word.capitalize() for word in words)


def _answer(route: Route) -> dict[str, Any]:
    if route.status == 204:
        return {"description": "done"}
    schemas = {media: route.answer if media == JSON else {"type": "string"} for media in route.media_types}
    return {"description": route.summary, "content": {media: {"schema": schema} for media, schema in schemas.items()}}


def _refusal(status: int, *others: Schema) -> dict[str, Any]:
    error = {"$ref": "#/components/schemas/Error"}
    return {"description": _MEANINGS[status], "content": {JSON: {"schema": {"anyOf": [error, *others]} if others else error}}}


def _parameters(route: Route) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = [
        {
            "name": name,
            "in": "path",
            "required": True,
            "description": _PLACES[name],
            "schema": {"type": "string", "minLength": 1},
        }
        for name in _PARAMETER.findall(route.path)
    ]
    found += [{"name": name, "in": "query", "required": False, "schema": schema} for name, schema in route.query.items()]
    if route.needs_key:
        schema = {"type": "string", "minLength": 1, "maxLength": 200}
        found.append({"name": "Idempotency-Key", "in": "header", "required": False, "schema": schema})
    return found
