"""The application: a request through gate, doorkeeper, table and handler.

Handlers read the store, so they are executed by threads; the loop only moves bytes.
"""

import asyncio
import gzip
import hashlib
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, Final

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route as StarletteRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from flowq.exceptions import FlowqError
from flowq.flows.views.text import safe_line
from flowq.serve.http import gate, pages
from flowq.serve.http.access.doorkeeper import unauthorized
from flowq.serve.http.calls import ApiCall
from flowq.serve.http.live.hub import Hub
from flowq.serve.http.principals import ANONYMOUS, Demand, Principal, Role, may
from flowq.serve.http.replies import JSON, OutOfScopeError, RefusedError, Reply, error_reply, reply_to
from flowq.serve.http.requests import read_body, read_query
from flowq.serve.http.route import API, Route
from flowq.serve.http.site import Site
from flowq.serve.http.targets import find_target

THREADS: Final = 16
_DEADLINE: Final = 10.0  # s for a body
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_ELSEWHERE: Final = "other"  # in place of a route: the page, its files, and what is not there
_WORTH: Final = 2048  # bytes from which an answer is compressed

log = logging.getLogger("flowq.serve.http")


@dataclass(frozen=True, slots=True)
class _Facts:
    """A request, as threads get it."""

    method: str
    path: Mapping[str, str]
    shown: str
    query: str
    headers: Mapping[str, str]
    address: str
    raw: bytes


class Application:
    """The ASGI application of a site.

    Args:
        site: what is served.
        hub: what tells changes.
        routes: the table.
    """

    def __init__(self, site: Site, hub: Hub, routes: tuple[Route, ...]) -> None:
        self._site = site
        self._hub = hub
        self._pool = ThreadPoolExecutor(THREADS, "http")
        by_path: dict[str, dict[str, Route]] = {}
        for route in routes:
            by_path.setdefault(route.path, {})[route.method] = route
        table = [
            StarletteRoute(path, self._endpoint(path, methods), include_in_schema=False) for path, methods in by_path.items()
        ]
        for row in table:
            row.methods = None  # all: `_endpoint` says which there are
        self._starlette = Starlette(routes=table, exception_handlers={404: self._elsewhere})
        self._starlette.router.redirect_slashes = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""

        async def with_headers(message: Message) -> None:
            await send(gate.with_headers(dict(message)) if message["type"] == "http.response.start" else message)

        if scope["type"] != "http":
            return
        self._site.used = time.monotonic()
        app: ASGIApp = self._starlette
        try:
            scope = {
                **scope,
                "path": gate.check_host(self._site.options, scope["headers"], scope["path"], scope["query_string"]),
            }
        except RefusedError as error:
            app = _response(error.reply())
        await app(scope, receive, with_headers)

    def close(self) -> None:
        """Let no thread begin with a request any more."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _endpoint(self, path: str, methods: Mapping[str, Route]) -> Callable[[Request], Awaitable[Response]]:
        allowed = sorted({*methods, *(["HEAD"] if "GET" in methods else [])})

        async def endpoint(request: Request) -> Response:
            headers = {name.lower(): value for name, value in request.headers.items()}
            route = methods.get("GET" if request.method == "HEAD" else request.method)
            if route is None:
                text = f"{request.method[:20]} is not possible here"
                return self._counted(path, request, error_reply(405, "method", text, headers={"Allow": ", ".join(allowed)}))
            return self._counted(path, request, await self._answer(request, route, headers))

        return endpoint

    async def _answer(self, request: Request, route: Route, headers: Mapping[str, str]) -> Reply:
        try:
            stranger = route.role > Role.OPEN and not self._site.doorkeeper.has_credentials(headers)
            raw = b"" if route.safe or stranger else await asyncio.wait_for(_body(request, route.limit), _DEADLINE)
        except TimeoutError:
            return error_reply(408, "timeout", "the body did not come in time", headers={"Connection": "close"})
        except ClientDisconnect:  # no client reads the answer; it is counted
            return error_reply(400, "body", "the client has gone before its body had come")
        except RefusedError as error:
            return error.reply()
        client = (request.client.host, request.client.port) if request.client else None
        address = gate.address_of(self._site.options, client, headers)
        shown = safe_line(request.url.path)[:300]
        facts = _Facts(request.method, request.path_params, shown, request.url.query, headers, address, raw)
        return await asyncio.get_running_loop().run_in_executor(self._pool, self._serve, route, facts)

    def _serve(self, route: Route, facts: _Facts) -> Reply:
        principal, noted = ANONYMOUS, 0
        try:
            if route.role > Role.OPEN:
                principal = self._site.doorkeeper.principal(facts.headers, facts.address)
            reply = self._handle(route, facts, principal)
        except FlowqError as error:
            reply = reply_to(error)
            noted = 403 if isinstance(error, OutOfScopeError) else 0
        except Exception:
            log.exception("%s %s failed", route.method, facts.shown)
            reply = error_reply(500, "bug", "this is a bug of flowq: the log of the server has the traceback")
        self._note(route, facts, reply.by or principal, noted or reply.status)
        if facts.method == "HEAD" and reply.stream is not None:
            return replace(reply, content=b"", stream=None)
        return _conditional(reply, facts.headers) if route.safe else reply

    def _handle(self, route: Route, facts: _Facts, principal: Principal) -> Reply:
        if route.role > Role.OPEN and principal is ANONYMOUS:
            raise unauthorized()
        if not route.raw:
            gate.check_origin(self._site.options, route.method, facts.headers, principal)
        if principal.role < route.role:
            raise RefusedError(
                403, "forbidden", f"this takes the role {route.role.word}, {principal.name} is {principal.role.word}"
            )
        if route.changes and not route.own and self._site.options.readonly:
            raise RefusedError(403, "read_only", "this page only shows: it was started with --read-only")
        if route.changes and self._site.closing.is_set():
            raise RefusedError(503, "closing", "the server is stopping", headers={"Retry-After": "5"})
        query = read_query(route, facts.query)
        body = read_body(route, facts.raw, facts.headers.get("content-type", ""))
        target = find_target(self._site, facts.path)
        if not may(principal, Demand(route.role, not route.changes, target.flow_id, route.own, route.of_all)):
            if target.flow_id is None:
                raise RefusedError(403, "forbidden", f"{principal.name} is limited to flows: {', '.join(principal.flows)}")
            raise OutOfScopeError(
                *next((name, facts.path[name]) for name in ("run", "flow", "schedule", "backfill") if name in facts.path)
            )
        call = ApiCall(self._site, self._hub, principal, target, facts.path, query, body, facts.headers, facts.address)
        answer = route.handler(call)
        return answer if isinstance(answer, Reply) else Reply(route.status, answer)

    def _note(self, route: Route, facts: _Facts, principal: Principal, status: int) -> None:
        """Note in the audit log what a user changed, or tried to without the right to."""
        if not route.changes or route.raw or (status >= 400 and status not in {401, 403, 429}):
            return
        fields = {"name": principal.name, "role": principal.role.word, "address": facts.address, "action": facts.method}
        fields |= {"path": facts.shown, "status": str(status)}
        log.info(
            "%s %s by %s from %s: %d", facts.method, facts.shown, safe_line(principal.name), safe_line(facts.address), status
        )
        if status == 401 or status == 429:  # noqa: PLR1714 - strangers do not write into the store
            return
        try:
            self._site.store.accesses.note(fields)
        except FlowqError as error:
            log.error("the audit log cannot be written: %s", error)  # noqa: TRY400 - the sentence says it all

    async def _elsewhere(self, request: Request, _error: Exception) -> Response:
        """Answer for a path that is none of the API: the page, its files, or that there is nothing."""
        path = request.url.path
        if path == API or path.startswith(f"{API}/") or request.method not in {"GET", "HEAD"}:
            reply = error_reply(404, "not_found", f"there is nothing at {safe_line(path)[:200]}")
        else:
            takes_gzip = "gzip" in request.headers.get("accept-encoding", "")
            reply = pages.answer(self._site.options, path, takes_gzip=takes_gzip)
        return self._counted(_ELSEWHERE, request, reply)

    def _counted(self, route: str, request: Request, reply: Reply) -> Response:
        """Return an answer that has been counted."""
        self._site.meter.answered(route, request.method if request.method in _METHODS else "other", reply.status)
        return _response(reply)


async def _body(request: Request, limit: int) -> bytes:
    """Return the body of a request, refusing it as soon as it is known to be too large."""
    refusal = RefusedError(413, "too_large", f"a body may have {limit:,} bytes", headers={"Connection": "close"})
    length = request.headers.get("content-length", "")
    if length.isdigit() and int(length) > limit:
        raise refusal
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit:
            raise refusal
    return bytes(body)


def _conditional(reply: Reply, headers: Mapping[str, str]) -> Reply:
    """Return a document with its tag, or that the client has it already."""
    if reply.status != 200 or reply.stream is not None or not reply.cached or reply.media_type != JSON:
        return reply
    content = reply.encoded()
    tag = f'"{hashlib.sha256(content).hexdigest()[:20]}"'
    sent = {**reply.headers, "ETag": tag}
    if tag in {item.strip().removeprefix("W/") for item in headers.get("if-none-match", "").split(",")}:
        return replace(reply, status=304, content=b"", headers=sent)
    if len(content) < _WORTH or "gzip" not in headers.get("accept-encoding", ""):
        return replace(reply, content=content, headers=sent)
    sent |= {"Content-Encoding": "gzip", "Vary": "Accept-Encoding"}
    return replace(reply, content=gzip.compress(content, 4, mtime=0), headers=sent)


def _response(reply: Reply) -> Response:
    if reply.stream is not None:
        return StreamingResponse(reply.stream(), reply.status, headers=dict(reply.headers), media_type=reply.media_type)
    body = b"" if reply.status in {204, 304} else reply.encoded()
    media_type: Any = None if reply.status in {204, 304} else reply.media_type
    response = Response(body, reply.status, headers=dict(reply.headers), media_type=media_type)
    for cookie in reply.cookies:
        response.headers.append("Set-Cookie", cookie)
    return response
