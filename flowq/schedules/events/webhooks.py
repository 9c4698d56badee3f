"""Events that are requests: a delivery is verified before anything in it is read, and starts one run however often it is sent."""

import hashlib
import hmac
import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from flowq.exceptions import FlowqError
from flowq.expr import EvalError
from flowq.plan import Json
from flowq.schedules.events.event_runs import EventRun, KnownTrigger, start_run
from flowq.schedules.slot_runs import Maker
from flowq.store.schedules import EventClaim
from flowq.store.schema.outcomes import Outcome
from flowq.worker.secrets.resolve import SecretError, resolve

MOST: Final = 256 * 1024
"""Bytes of a delivery."""

NOT_VERIFIED: Final = "there is no such webhook, the signature is wrong, or the time of the delivery is too long ago"
"""What strangers are told, whichever it is."""

_LATE: Final = 300  # s by which the time of a delivery may differ, where its scheme has one
_AGAIN: Final = 600_000  # ms within which the same content without an id is the same delivery
_LONGEST: Final = 200  # characters of an id
_HIDDEN: Final = frozenset(
    {"authorization", "cookie", "x-gitlab-token", "proxy-authorization"}
)  # secrets: no expression sees them

log: Final = logging.getLogger("flowq.schedules")


class NotVerifiedError(FlowqError):
    """A delivery that is not signed with the trigger's secret, or was signed too long ago."""


class NotReadyError(FlowqError):
    """A delivery that cannot be dealt with here: its content is no JSON, or not what the trigger reads."""


@dataclass(frozen=True, slots=True)
class HookDelivery:
    """A request: headers by their names in small letters, the bytes of the body, and when it came (ms)."""

    headers: Mapping[str, str]
    body: bytes
    at_ms: int


def deliver(maker: Maker, known: KnownTrigger, delivery: HookDelivery) -> EventRun:
    """Start the run of a delivery.

    Args:
        maker: where runs are submitted.
        known: the trigger.
        delivery: the request.

    Returns:
        What became of it. `CONFLICT`, `WRONG_STATE`: its run is being uploaded by another process, which may have died, or deleted.

    Raises:
        NotVerifiedError: it is not signed as the trigger wants.
        NotReadyError: it cannot be dealt with.
        FlowqError: as of `flowq.schedules.events.event_runs.start_run`.
    """
    _verify(known, delivery)
    schedules = maker.store.schedules
    (stored,) = schedules.get_many([known.id])
    if known.trigger.paused or (stored is not None and stored.pause is not None):
        return EventRun(Outcome.SUSPENDED)
    data = _data_of(delivery)
    key, before = _keys(known, delivery)
    if before is not None and not schedules.unseen(known.id, [before]):
        key = before
    schedules.see_events(known.id, [])  # forgets those of a month ago
    claim = EventClaim(known.id, delivery.at_ms, key, overlap=known.trigger.overlap)
    try:
        found = start_run(maker, known, claim, {"id": key, **data})
    except EvalError as error:  # not noted as dealt with: the same delivery may run once the flow reads it
        raise NotReadyError(f"{known.id}: {error}") from error
    if found.outcome is Outcome.CONFLICT and not found.run and not schedules.unseen(known.id, [key]):
        return EventRun(Outcome.DONE, repeated=True)
    return found


def _verify(known: KnownTrigger, delivery: HookDelivery) -> None:
    """Check the signature of a delivery, in constant time, before its content is read.

    Raises:
        NotVerifiedError: it is wrong, or the secret is not available in this process, which the log says and no stranger is told.
    """
    try:
        secret = resolve({"webhook": known.trigger.secret or {}})["webhook"].encode("utf-8", "surrogateescape")
    except (SecretError, KeyError) as error:
        log.error("%s: deliveries cannot be verified: %s", known.id, error)  # noqa: TRY400 - the sentence says it all
        raise NotVerifiedError(NOT_VERIFIED) from error
    if not _SCHEMES[known.trigger.scheme](secret, delivery):
        raise NotVerifiedError(NOT_VERIFIED)


def _same(wanted: str, given: str) -> bool:
    return hmac.compare_digest(wanted.encode(), given.encode("utf-8", "replace"))


def _sent(header: str) -> bytes:
    """Return the bytes of a header, of which HTTP makes text by Latin-1: a secret may have letters of any language, in UTF-8."""
    return header.encode("latin-1", "replace")


def _digest(secret: bytes, content: bytes) -> str:
    return hmac.new(secret, content, hashlib.sha256).hexdigest()


def _github(secret: bytes, delivery: HookDelivery) -> bool:
    return _same(f"sha256={_digest(secret, delivery.body)}", delivery.headers.get("x-hub-signature-256", ""))


def _gitlab(secret: bytes, delivery: HookDelivery) -> bool:
    return hmac.compare_digest(secret, _sent(delivery.headers.get("x-gitlab-token", "")))


def _slack(secret: bytes, delivery: HookDelivery) -> bool:
    time = delivery.headers.get("x-slack-request-timestamp", "")
    signed = f"v0={_digest(secret, b'v0:' + time.encode('utf-8', 'replace') + b':' + delivery.body)}"
    return _same(signed, delivery.headers.get("x-slack-signature", "")) and _is_recent(time, delivery)


def _hmac(secret: bytes, delivery: HookDelivery) -> bool:
    """Check `X-Flowq-Signature: sha256=…` over the body, or where `X-Flowq-Timestamp` is there, over `<time>.<id>.<body>`, without an id `<time>.<body>`.

    So a delivery with a time cannot be sent again under another id; one without a time can, as with the schemes that sign the body alone.
    """
    time, given = delivery.headers.get("x-flowq-timestamp"), delivery.headers.get(_IDS["hmac-sha256"])
    signed_before = [] if time is None else [part for part in (time, given) if part is not None]
    content = b"".join(part.encode("utf-8", "replace") + b"." for part in signed_before) + delivery.body
    signed = _same(f"sha256={_digest(secret, content)}", delivery.headers.get("x-flowq-signature", ""))
    return signed and (time is None or _is_recent(time, delivery))


def _token(secret: bytes, delivery: HookDelivery) -> bool:
    kind, _, token = delivery.headers.get("authorization", "").partition(" ")
    return kind.lower() == "bearer" and hmac.compare_digest(secret, _sent(token.strip()))


_SCHEMES: Final[Mapping[str, Callable[[bytes, HookDelivery], bool]]] = {
    "github": _github,
    "gitlab": _gitlab,
    "slack": _slack,
    "hmac-sha256": _hmac,
    "token": _token,
}

_IDS: Final = {
    "github": "x-github-delivery",
    "gitlab": "x-gitlab-event-uuid",
    "hmac-sha256": "x-flowq-delivery",
    "token": "x-flowq-delivery",
}


def _is_recent(time: str, delivery: HookDelivery) -> bool:
    return time.isascii() and time.isdigit() and len(time) < 16 and abs(delivery.at_ms / 1000 - int(time)) <= _LATE


def _keys(known: KnownTrigger, delivery: HookDelivery) -> tuple[str, str | None]:
    """Return the key of a delivery, and where it has no id, the key that the same content had ten minutes before."""
    given = delivery.headers.get(_IDS.get(known.trigger.scheme, ""), "")
    if given and given.isprintable():
        return given[:_LONGEST], None
    content, period = hashlib.sha256(delivery.body).hexdigest()[:32], delivery.at_ms // _AGAIN
    return f"{content}.{period}", f"{content}.{period - 1}"


def parse_json(content: str | bytes) -> Json:
    """Return JSON as all programs read it: Python would take NaN for a number, and of doubled keys the last.

    Raises:
        ValueError: it is none.
        RecursionError: it is too deep.
    """
    document: Json = json.loads(content, parse_constant=_no_number, object_pairs_hook=_no_doubles)
    return document


def _no_number(name: str) -> Json:
    raise ValueError(f"{name} is no number of JSON")


def _no_doubles(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key is there twice")
    return found


def _data_of(delivery: HookDelivery) -> dict[str, Json]:
    try:
        body = parse_json(delivery.body) if delivery.body else None
    except (ValueError, RecursionError) as error:
        raise NotReadyError(f"the body is not JSON: {str(error)[:200]}") from error
    return {"body": body, "headers": {name: value for name, value in delivery.headers.items() if name not in _HIDDEN}}
