"""Schedules and backfills."""

from itertools import islice, takewhile

from flowq.exceptions import InvalidRunOperation
from flowq.flows.actions.cancellation import cancel_run
from flowq.flows.views.text import plural
from flowq.plan import Json
from flowq.schedules.backfill import Range
from flowq.schedules.coming import coming_slots
from flowq.schedules.requests import Asked, BackfillWish, known_schedule, plan_backfill, trigger
from flowq.schedules.users.history import read_history
from flowq.schedules.views import ScheduleView, backfill_json, entry_json, local_ms, outcome_text, read_schedules, schedule_json
from flowq.serve.http.calls import ApiCall
from flowq.serve.http.lists import in_parts, part
from flowq.serve.http.principals import Role
from flowq.serve.http.replies import RefusedError, Reply, no_such
from flowq.serve.http.route import API, Route
from flowq.serve.http.schemas import (
    COUNT,
    DONE,
    FLAG,
    MAP,
    PARAMS,
    TEXT,
    TIME,
    array,
    body,
    document,
    integer,
    one_of,
    page,
    text,
)
from flowq.slots.timezones import time_in
from flowq.store.schema.documents import iso
from flowq.store.schema.outcomes import Outcome

_SCHEDULE = f"{API}/schedules/{{schedule}}"
_BACKFILL = f"{API}/backfills/{{backfill}}"
_TIME = text(40)
_AHEAD = 366 * 86_400_000  # ms
_COUNTED = 2_000  # further slots of an answer
_LATEST = 221_845_392_000_000  # ms: the year 9000


def _moment(given: str, timezone: str, name: str) -> int:
    """Return a time (ms) of the body.

    Raises:
        RefusedError: it is none.
    """
    try:
        found = local_ms(given, timezone)
    except (ValueError, OverflowError) as error:
        wanted = "2026-01-31, 2026-01-31T06:00 or 2026-01-31T06:00+01:00"
        raise RefusedError(400, "body", f"{name}: expected {wanted}, found {given!r}") from error
    if not 0 <= found < _LATEST:
        raise RefusedError(400, "body", f"{name}: expected a year from 1970 to 8999, found {given!r}")
    return found


def _view(call: ApiCall) -> ScheduleView:
    found = read_schedules(call.store, [call.target.schedule])
    if not found:
        raise no_such("schedule", call.target.schedule)
    return found[0]


def _schedules(call: ApiCall) -> Json:
    names = [name for name in call.store.schedules.names() if call.principal.covers(name.rpartition(":")[0])]
    known = (view for view in read_schedules(call.store, names) if call.query["all"] or not view.gone)
    views, after = part(call.query, known, lambda view: (view.record.id,))
    items = [schedule_json(view) for view in views]
    return {"items": items, "next": after, "schedulers": len(call.store.schedules.schedulers())}


def _schedule(call: ApiCall) -> Json:
    return schedule_json(_view(call))


def _history(call: ApiCall) -> Json:
    log = read_history(call.store, call.target.schedule, call.query["limit"])
    statuses = call.store.schedules.existing([item.run for item in log])
    items = [entry_json(item) | {"text": outcome_text(item), "status": statuses.get(item.run)} for item in log]
    return {"items": items, "next": None}


def _next(call: ApiCall) -> Json:
    known, _ = known_schedule(call.store, call.target.schedule)
    begin = call.store.now_ms()
    if "from" in call.query:
        begin = _moment(call.query["from"], known.entry.timezone, "from")
    coming = coming_slots(known.entry, begin)
    found = islice(coming, call.query["n"])
    items = [{"slot": iso(item.slot), "local": time_in(item.slot, known.entry.timezone), "note": item.note} for item in found]
    more = None
    if "until" in call.query:
        end = _moment(call.query["until"], known.entry.timezone, "until")
        more = sum(1 for _ in takewhile(lambda item: item.slot < end, islice(coming, _COUNTED)))
    return {"items": items, "next": None, "timezone": known.entry.timezone, "more": more}


def _pause(call: ApiCall) -> Json:
    until = call.given("until")
    end = None if until is None else _moment(until, _view(call).timezone, "until")
    if end is not None and end <= call.store.now_ms():
        raise RefusedError(400, "body", f"until: {until} has passed")
    call.store.schedules.pause(call.target.schedule, call.principal.name, call.given("note", ""), end)
    return {"done": True}


def _resume(call: ApiCall) -> Json:
    outcome = call.store.schedules.resume(call.target.schedule, catch_up=call.given("catch_up", False))
    if outcome is not Outcome.DONE:
        entry = _view(call).entry
        by_file = entry is not None and entry.paused
        hint = "paused by its file, remove `paused: true` there" if by_file else "not paused"
        raise InvalidRunOperation(f"{call.target.schedule}: {hint}")
    return {"done": True}


def _skip(call: ApiCall) -> Json:
    view = _view(call)
    call.store.schedules.skip(view.record.id, view.first_ms, view.backlog)
    return {"done": True, "left_out": view.backlog}


def _trigger(call: ApiCall) -> Reply:
    zone = known_schedule(call.store, call.target.schedule)[0].entry.timezone
    slot = call.given("slot")
    at = None if slot is None else _moment(slot, zone, "slot")
    if at is not None and at > call.store.now_ms() + _AHEAD:
        raise RefusedError(400, "body", f"slot: {slot} is more than a year ahead")
    asked = Asked(call.principal.name, "api", call.idempotency_key)
    run = trigger(call.store, call.target.schedule, at, call.given("params", {}), asked)
    return Reply(201, {"id": run})


def _backfill(call: ApiCall) -> Json:
    zone = known_schedule(call.store, call.target.schedule)[0].entry.timezone
    first, end = (_moment(call.body[name], zone, name) for name in ("from", "to"))
    if end <= first:
        raise RefusedError(400, "body", "to must be later than from")
    part = Range(first, end, call.given("mode", "missing"), call.given("newest_first", False))
    slots = plan_backfill(call.store, call.target.schedule, part)
    wanted = sum(item.wanted for item in slots)
    rows = [{"slot": iso(item.slot), "run": item.run, "status": item.status, "runs": item.wanted} for item in slots]
    answer = {"schedule": call.target.schedule, "backfill": None, "runs": wanted, "slots": rows}
    if call.given("dry_run", False):
        return answer
    if not wanted:
        raise InvalidRunOperation(f"nothing is missing ({plural(len(slots), 'slot')} with runs)")
    wish = BackfillWish(
        call.target.schedule,
        part,
        call.given("max_open", 1),
        call.given("params", {}),
        call.given("latest_code", False),
        call.principal.name,
    )
    return answer | {"backfill": wish.begin(call.store)}


def _backfills(call: ApiCall) -> Json:
    times = call.store.backfills.times()
    names, after = part(call.query, times, lambda name: (-times[name], name))
    records = (call.store.backfills.get(name) for name in names)
    found = [backfill_json(record) for record in records if record is not None]
    return {"items": [item for item in found if call.principal.covers(item["schedule"].rpartition(":")[0])], "next": after}


def _change(call: ApiCall, state: str, *, latest_code: bool = False) -> Json:
    reason = "" if state == "running" else f"by {call.principal.name}"
    outcome, had = call.store.backfills.change(call.target.backfill, state, reason, latest_code=latest_code)
    if outcome is Outcome.WRONG_STATE:
        raise InvalidRunOperation(f"backfill {call.target.backfill} has ended: it is {had}")
    return {"done": True}


def _pause_backfill(call: ApiCall) -> Json:
    return _change(call, "paused")


def _resume_backfill(call: ApiCall) -> Json:
    return _change(call, "running", latest_code=call.given("latest_code", False))


def _cancel_backfill(call: ApiCall) -> Json:
    answer = _change(call, "canceled")
    for run in call.store.backfills.open_runs(call.target.backfill) if call.given("runs", False) else ():
        cancel_run(call.store, run, force=False)
    return answer


ROUTES = (
    Route(
        method="GET",
        path=f"{API}/schedules",
        role=Role.VIEWER,
        summary="Schedules and triggers, as `flowq schedule list --json` prints them; with `all` also those that are in no file any more",
        query={"all": {"type": "boolean", "default": False}, **in_parts()},
        answer=page(document({"id": TEXT, "when": {}, "timezone": TEXT, "next": TIME, "paused": FLAG})),
        handler=_schedules,
    ),
    Route(
        method="GET",
        path=_SCHEDULE,
        role=Role.VIEWER,
        summary="A schedule",
        answer=document({"id": TEXT, "timezone": TEXT, "next": TIME, "paused": FLAG}),
        handler=_schedule,
    ),
    Route(
        method="GET",
        path=f"{_SCHEDULE}/history",
        role=Role.VIEWER,
        summary="What became of its slots, newest first",
        query={"limit": integer(1, 1000, 100)},
        answer=page(MAP),
        handler=_history,
    ),
    Route(
        method="GET",
        path=f"{_SCHEDULE}/next",
        role=Role.VIEWER,
        summary="Its next slots; with `until`, `more` says how many follow these before that time (2,000: or more)",
        query={"n": integer(1, 500, 10), "from": _TIME, "until": _TIME},
        answer=page(MAP),
        handler=_next,
    ),
    Route(
        method="POST",
        path=f"{_SCHEDULE}/pause",
        role=Role.OPERATOR,
        summary="Let it fire nothing until it is resumed",
        body=body({"note": text(1000), "until": {"type": ["string", "null"], "maxLength": 40}}),
        answer=DONE,
        handler=_pause,
    ),
    Route(
        method="POST",
        path=f"{_SCHEDULE}/resume",
        role=Role.OPERATOR,
        summary="Let it fire again; with `catch_up` what was missed is made up as the file says",
        body=body({"catch_up": FLAG}),
        answer=DONE,
        errors=(409,),
        handler=_resume,
    ),
    Route(
        method="POST",
        path=f"{_SCHEDULE}/skip",
        role=Role.OPERATOR,
        summary="Leave out the slots that are due and have not run",
        body=body({}),
        answer=DONE,
        handler=_skip,
    ),
    Route(
        method="POST",
        path=f"{_SCHEDULE}/trigger",
        role=Role.OPERATOR,
        status=201,
        summary="Start a run of it now, or of a slot",
        needs_key=True,
        body=body({"slot": {"type": ["string", "null"], "maxLength": 40}, "params": PARAMS}),
        answer=document({"id": TEXT}),
        errors=(409, 422),
        handler=_trigger,
    ),
    Route(
        method="POST",
        path=f"{_SCHEDULE}/backfill",
        role=Role.OPERATOR,
        summary="Make runs for past slots; with `dry_run` only say which",
        body=body(
            {
                "from": _TIME,
                "to": _TIME,
                "dry_run": FLAG,
                "mode": one_of("missing", "failed", "again"),
                "newest_first": FLAG,
                "max_open": integer(1, 100),
                "params": PARAMS,
                "latest_code": FLAG,
            },
            ["from", "to"],
        ),
        answer=document({"schedule": TEXT, "backfill": {}, "runs": COUNT, "slots": array(MAP)}),
        errors=(409,),
        handler=_backfill,
    ),
    Route(
        method="GET",
        path=f"{API}/backfills",
        role=Role.VIEWER,
        summary="Backfills, newest first",
        query=in_parts(),
        answer=page(document({"id": TEXT, "schedule": TEXT, "state": TEXT})),
        handler=_backfills,
    ),
    Route(
        method="POST",
        path=f"{_BACKFILL}/pause",
        role=Role.OPERATOR,
        summary="Let a backfill make no more runs until it is resumed",
        body=body({}),
        answer=DONE,
        errors=(409,),
        handler=_pause_backfill,
    ),
    Route(
        method="POST",
        path=f"{_BACKFILL}/resume",
        role=Role.OPERATOR,
        summary="Let a backfill go on; with `latest_code` although the flow has changed",
        body=body({"latest_code": FLAG}),
        answer=DONE,
        errors=(409,),
        handler=_resume_backfill,
    ),
    Route(
        method="POST",
        path=f"{_BACKFILL}/cancel",
        role=Role.OPERATOR,
        summary="End a backfill; with `runs` its open runs too",
        body=body({"runs": FLAG}),
        answer=DONE,
        errors=(409,),
        handler=_cancel_backfill,
    ),
)
