"""Messages about runs (`notify`): what is sent for one, to which address.

The address is known by reference only, and is looked up here, in the process that sends it. It is never part of a message of flowq's own.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from itertools import islice
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from flowq import __version__, expr
from flowq.exceptions import CorruptRecordError, NoSuchRunError
from flowq.plan import Plan, PlanVersionError
from flowq.plan.foreach import foreach_groups, with_foreach_cells
from flowq.plan.notice import TIMEOUT, Notice
from flowq.states import LETTERS, JobStatus
from flowq.store.schema.documents import iso, record_json
from flowq.worker.secrets.resolve import resolve

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flowq.plan import Json
    from flowq.store import Store
    from flowq.store.schema.records import RunRecord
    from flowq.store.webhooks import NoticeDelivery

_WORDS: Final = {
    "failed": "failed",
    "finished": "has finished",
    "canceled": "was canceled",
    "skipped": "was skipped",
    "recovered": "has succeeded again",
    "slow": "takes long",
    "waiting": "waits for a decision",
    "refused": "did not run: its flow is not valid",
}
_BAD: Final = frozenset(letter for letter, status in LETTERS.items() if status in {JobStatus.FAILED, JobStatus.STOPPED}) - {
    "a",
    "A",
}
_KEY: Final = "of the signature"
_LONGEST: Final = 2000  # characters of a text
_LARGE: Final = 5000  # jobs of a run above which those that failed are not looked for: the worker beats for its jobs in between
_LISTED: Final = 20  # jobs that failed, in a document
_NAMED: Final = 3  # of these, in a text


def request_of_notice(store: Store, delivery: NoticeDelivery) -> dict[str, Any]:
    """Return the request for a message, as `sender.send` takes it.

    Raises:
        FlowqError: the notice is not signed, its address is not available here, or its text has an expression without a value.
    """
    notice = Notice.restored(delivery.spec, delivery.signed)
    run = store.runs.get(delivery.run) if delivery.run else None
    document = _document(store, delivery, run)
    document["message"] = message = _text(notice, delivery, run, document)
    return request_to(
        notice, document, message, {"X-Flowq-Delivery": quote(delivery.id, safe="|:@"), "X-Flowq-Try": str(delivery.tries)}
    )


def request_to(notice: Notice, document: Mapping[str, Json], message: str, headers: Mapping[str, str]) -> dict[str, Any]:
    """Return the request that brings a document, or only its text where the address is none of https, to the address of a notice.

    Raises:
        SecretError: the address, or the key for the signature, is not available here.
    """
    key = {} if notice.secret is None else {_KEY: notice.secret}
    values = resolve({notice.address: notice.to, **key})  # by their names in messages
    url, request = values[notice.address].strip(), {"timeout": TIMEOUT, "shown": notice.address}
    if not url.startswith(("http://", "https://")):
        return {**request, "apprise": url, "title": message.partition("\n")[0][:200], "body": message}
    body = json.dumps(document).encode()
    sent = {
        "Content-Type": "application/json",
        "User-Agent": f"flowq/{__version__}",
        "X-Flowq-Event": str(document["event"]),
        **headers,
    }
    if key:
        digest = hmac.new(values[_KEY].encode("utf-8", "surrogateescape"), body, hashlib.sha256).hexdigest()
        sent["X-Flowq-Signature"] = f"sha256={digest}"
    return {**request, "url": url, "method": "POST", "headers": sent, "body": body}


def sample(notice: Notice) -> tuple[dict[str, Json], str]:
    """Return the document and the text of a message that only tries a notice."""
    text = f"flowq: a test message for {', '.join(notice.on)}"
    return {
        "event": "test",
        "count": 1,
        "at": None,
        "flow": None,
        "run": None,
        "job": None,
        "failed_jobs": [],
        "error": None,
        "message": text,
    }, text


def _document(store: Store, delivery: NoticeDelivery, run: RunRecord | None) -> dict[str, Json]:
    return {
        "event": delivery.event,
        "count": delivery.count,
        "at": iso(delivery.at_ms),
        "flow": delivery.flow,
        "run": None if run is None else record_json(run),
        "job": _job_name(store, delivery),
        "failed_jobs": _failed_jobs(store, delivery, run),
        "slot": iso(delivery.slot_ms),
        "error": delivery.error,
    }


def _text(notice: Notice, delivery: NoticeDelivery, run: RunRecord | None, document: Mapping[str, Json]) -> str:
    if notice.message is not None and run is not None:
        scope: dict[str, Json] = {
            "run": {"id": run.id, "name": run.flow, "attempt": run.attempt, "status": str(run.status)},
            "params": json.loads(run.params or "{}"),
            "event": {"kind": delivery.event, "count": delivery.count, "job": document["job"]},
        }
        return expr.to_text(expr.render(notice.message, scope))[:_LONGEST]
    words = _WORDS.get(delivery.event, delivery.event)
    about = f" (run {delivery.run})" if delivery.run else f" ({iso(delivery.slot_ms)})" if delivery.slot_ms is not None else ""
    times = f", {delivery.count} times" if delivery.count > 1 else ""
    more = str(document["job"] or delivery.error or _list_of(document["failed_jobs"]))
    more = f": {more}" if more else ""
    return f"{delivery.flow} {words}{about}{times}{more}"[:_LONGEST]


def _list_of(names: list[str]) -> str:
    more = len(names) - _NAMED
    some = ", ".join(names[:_NAMED])
    return f"{some} and {'others' if len(names) == _LISTED else f'{more} more'}" if more > 0 else some


def _failed_jobs(store: Store, delivery: NoticeDelivery, run: RunRecord | None) -> list[str]:
    """Return the names of jobs of the graph that made a run fail, in the order of the plan; none once it is retried, or cannot be read."""
    if delivery.event != "failed" or run is None or run.total > _LARGE:
        return []
    try:
        plan = Plan.from_json(store.runs.plan(run.id))
        plan = with_foreach_cells(plan, store.runs.members(run.id, foreach_groups(plan)))
    except (CorruptRecordError, NoSuchRunError, PlanVersionError):
        return []  # that it failed is told all the same
    letters = "".join(store.runs.statuses(run.id, len(plan.cells)))
    jobs = (cell for cell in plan.cells if not (cell.group or cell.hidden or cell.phase))
    return list(islice((cell.label for cell in jobs if letters[cell.ordinal : cell.ordinal + 1] in _BAD), _LISTED))


def _job_name(store: Store, delivery: NoticeDelivery) -> str | None:
    ordinal = delivery.job.replace(":", "-").rpartition("-")[2]
    if not ordinal.isdigit():
        return None
    cells = Plan.from_json(store.runs.plan(delivery.run)).cells
    return cells[int(ordinal)].label if int(ordinal) < len(cells) else None
