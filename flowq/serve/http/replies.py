"""Answers, and errors as answers: each with the words that the command line has for it."""

import json
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from flowq.exceptions import (
    AmbiguousRunError,
    FlowqError,
    InvalidFlowError,
    InvalidJobOperation,
    InvalidRunOperation,
    NoSuchJobError,
    NoSuchRunError,
    NoSuchWorkerError,
    ServerError,
    SignatureError,
    TooLargeError,
    UsageError,
)
from flowq.plan import Json
from flowq.schedules.directory.catalog import FlowChangedError
from flowq.serve.http.principals import Principal

JSON: Final = "application/json"


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer.

    Attributes:
        status: of HTTP.
        content: a document, or bytes that are sent as they are.
        media_type: of the content.
        headers: further ones; names and values from tables, never from users.
        cookies: values of `Set-Cookie`.
        stream: what yields the content, in place of `content`.
        cached: the content may be asked for again with `If-None-Match`.
        by: the user who has just signed in.
    """

    status: int = 200
    content: Json | bytes = None
    media_type: str = JSON
    headers: Mapping[str, str] = field(default_factory=dict)
    cookies: tuple[str, ...] = ()
    stream: Callable[[], AsyncIterator[bytes]] | None = None
    cached: bool = True
    by: Principal | None = None

    def encoded(self) -> bytes:
        """Return the content as bytes."""
        return self.content if isinstance(self.content, bytes) else encoded(self.content)


class RefusedError(FlowqError):
    """A request that is refused, with the status and the code of the answer."""

    def __init__(self, status: int, code: str, text: str, *, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(text)
        self.status = status
        self.code = code
        self.headers = headers or {}

    def reply(self) -> Reply:
        """Return it as an answer."""
        return error_reply(self.status, self.code, str(self), headers=self.headers)


class OutOfScopeError(RefusedError):
    """A request about something that this user may not see: the answer is as if it were not there, the audit log tells more."""

    def __init__(self, what: str, name: str) -> None:
        super().__init__(404, "not_found", _missing(what, name))


def no_such(what: str, name: str) -> RefusedError:
    """Return the refusal of a name that stands for nothing, or for nothing that this user may see."""
    return RefusedError(404, "not_found", _missing(what, name))


def _missing(what: str, name: str) -> str:
    return f"there is no {what} {name[:200]!r}"


def encoded(document: Json) -> bytes:
    """Return a document as JSON. Characters that are half of one, as in names of files that are not UTF-8, are replaced."""
    text = json.dumps(document, ensure_ascii=False, separators=(",", ":"))
    return text.encode("utf-8", "replace")


def error_reply(status: int, code: str, text: str, details: Json = None, *, headers: Mapping[str, str] | None = None) -> Reply:
    """Return an error."""
    return Reply(status, {"error": {"code": code, "message": text, "details": details}}, headers=headers or {})


_KINDS: Final[tuple[tuple[type[FlowqError], int, str], ...]] = (  # the first that fits
    (NoSuchRunError, 404, "not_found"),
    (NoSuchJobError, 404, "not_found"),
    (NoSuchWorkerError, 404, "not_found"),
    (AmbiguousRunError, 400, "ambiguous"),
    (FlowChangedError, 409, "flow_changed"),
    (InvalidRunOperation, 409, "wrong_state"),
    (InvalidJobOperation, 409, "wrong_state"),
    (InvalidFlowError, 422, "invalid_flow"),
    (TooLargeError, 413, "too_large"),
    (SignatureError, 409, "not_signed"),
    (ServerError, 503, "store"),
    (UsageError, 400, "usage"),
)


def reply_to(error: FlowqError) -> Reply:
    """Return an error of flowq as an answer."""
    if isinstance(error, RefusedError):
        return error.reply()
    for kind, status, code in _KINDS:
        if isinstance(error, kind):
            return error_reply(status, code, str(error), _details(error), headers={"Retry-After": "2"} if status == 503 else {})
    return error_reply(500, "error", str(error))


def _details(error: FlowqError) -> Any:
    if isinstance(error, InvalidFlowError):
        return [item.to_json() for item in error.diagnostics]
    return None
