"""Deliveries of webhooks. Their signature is the only credential: cookies and tokens are not looked at."""

from flowq.schedules.directory.catalog import FlowChangedError
from flowq.schedules.events.event_runs import EventRun, KnownTrigger
from flowq.schedules.events.webhooks import MOST, NOT_VERIFIED, HookDelivery, NotReadyError, NotVerifiedError, deliver
from flowq.serve.http.calls import ApiCall
from flowq.serve.http.handlers.flows import maker_of
from flowq.serve.http.principals import Role
from flowq.serve.http.replies import RefusedError, Reply
from flowq.serve.http.route import Route
from flowq.serve.http.schemas import TEXT, document
from flowq.serve.http.segments import named
from flowq.store.schema.outcomes import Outcome


def _deliver(call: ApiCall) -> Reply:
    delivery = HookDelivery(call.headers, call.body, call.store.now_ms())
    try:
        known = _known(call)
        return _reply(known, deliver(maker_of(call), known, delivery))
    except NotVerifiedError as error:
        # Forged deliveries do not keep out users, or deliveries that are signed.
        sender = f"{call.path['hook'][:200]}/{call.path['trigger'][:200]} {call.address}"
        call.site.doorkeeper.check(sender)
        call.site.doorkeeper.attempts.fail(sender)
        raise RefusedError(401, "signature", str(error)) from error
    except NotReadyError as error:
        raise RefusedError(422, "delivery", str(error)) from error
    except FlowChangedError as error:
        raise RefusedError(503, "flow_changed", str(error), headers={"Retry-After": "5"}) from error


def _known(call: ApiCall) -> KnownTrigger:
    """Return the trigger that the path names.

    Raises:
        NotVerifiedError: there is none, which strangers are not told.
    """
    name = named(call.path["hook"], call.site.flows)
    flow = None if name is None else call.site.flows[name]
    triggers = () if flow is None else flow.compilation.triggers
    trigger = next((item for item in triggers if item.kind == "webhook" and item.name == call.path["trigger"]), None)
    if name is None or flow is None or trigger is None:
        raise NotVerifiedError(NOT_VERIFIED)
    return KnownTrigger(f"{call.site.flow_id(name)}:{trigger.name}", flow, trigger)


def _reply(known: KnownTrigger, found: EventRun) -> Reply:
    if found.reason == "if_false":
        return Reply(204)
    if found.run:
        return Reply(200 if found.repeated else 202, {"id": found.run})
    if found.outcome is Outcome.BUSY:
        raise RefusedError(503, "busy", f"{known.id}: ten runs wait already", headers={"Retry-After": "60"})
    if found.outcome is Outcome.SUSPENDED:
        raise RefusedError(409, "paused", f"{known.id} is paused")
    if found.outcome in {Outcome.CONFLICT, Outcome.WRONG_STATE}:
        # As long as the upload of a process that died is kept: the same delivery starts the run afterwards.
        text = f"{known.id}: the run of this delivery is not complete yet"
        raise RefusedError(503, "not_complete", text, headers={"Retry-After": "60"})
    if found.outcome is Outcome.DONE and found.repeated:  # dealt with before, without a run
        return Reply(200, {"id": None})
    raise RefusedError(422, "refused", f"{known.id}: {found.reason or found.outcome}")


ROUTES = (
    Route(
        method="POST",
        path="/hooks/{hook}/{trigger}",
        role=Role.OPEN,
        status=202,
        raw=True,
        limit=MOST,
        summary="A delivery for a trigger `webhook`: 202 with the run, 200 for a repeat, 204 where its `if` is false",
        answer=document({"id": TEXT}),
        errors=(401, 409, 422, 429),
        handler=_deliver,
    ),
)
