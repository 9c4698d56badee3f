"""The guarantees of docs/guarantees.md, as properties of each step and each state of the model."""

from collections.abc import Callable, Iterator

from flowq.states import ENDED, TRANSITIONS
from tests.model.state import ADMIT, HOLDING, Call, Shape, State
from tests.model.transitions import Model, Step, holds

REPEATABLE = frozenset({"job/claim", "job/finish", "job/return_claim", "worker/heartbeat"})
NEW_EPOCH = frozenset({"job/requeue", "run/retry", "job/delete"})


def broken_by_step(model: Model, call: Call, step: Step, after: State) -> Iterator[str]:
    """Yield the guarantees that a step breaks."""
    for move in step.moves:
        if (move.before, move.after) not in TRANSITIONS.get(move.by, ()):
            yield f"legal moves: {move.by} takes job {move.job} from {move.before} to {move.after}"
        if move.before in ENDED and move.by not in NEW_EPOCH:
            yield f"one end: job {move.job} had ended ({move.before}), and is {move.after} now"
        if move.after == "started":
            yield from _started(model.shape, step.before, move.job)
        if move.before == "started" and step.before.jobs[move.job].canceling and move.after in {"queued", "scheduled"}:
            yield f"a canceled job ends: job {move.job} was to be canceled, and is {move.after}"
        if call.outcome == "too early":
            yield f"leases: job {move.job} is {move.after}, although its lease has not expired"
    if call.name in {"job/finish", "job/return_claim"} and step.reply == "done":
        yield from _accepted(step.before, call)
    if call.name in REPEATABLE and after != step.before:
        yield from _repeated(model, call, step, after)


def broken_in_state(shape: Shape, state: State) -> Iterator[str]:
    """Yield the guarantees that a state breaks."""
    for check in STATE_CHECKS:
        yield from check(shape, state)


def _started(shape: Shape, before: State, job: int) -> Iterator[str]:
    for edge in shape.above[job]:
        parent, _, condition = shape.edges[edge]
        status = before.jobs[parent].status
        if before.decided[edge] != 1 or status not in ENDED or not holds(status, condition):
            yield f"dependents wait: job {job} starts, its edge {condition} on job {parent} ({status}) is not decided in its favour"


def _accepted(before: State, call: Call) -> Iterator[str]:
    job = before.jobs[call.job]
    if not 0 < call.execution == len(job.executions) or job.ended or job.attempt == 0:
        yield f"fence: the end of execution {call.execution} is accepted of job {call.job}, which it does not hold"


def _repeated(model: Model, call: Call, step: Step, after: State) -> Iterator[str]:
    again = Call("job/claim", *after.slot) if call == Call("job/claim") and after.slot else call
    if model.apply(after, again).state() != after:
        yield f"a repeated call changes nothing: {again}, answered {step.reply}, changes the state when it is repeated"


def _ends(_shape: Shape, state: State) -> Iterator[str]:
    for number, job in enumerate(state.jobs):
        if job.ends > 1 or job.ended != (job.ends == 1):
            yield f"one end: job {number} is {job.status} and has ended {job.ends} times in epoch {job.epoch}"


def _edges(_shape: Shape, state: State) -> Iterator[str]:
    for edge, count in enumerate(state.decided):
        if count > 1:
            yield f"each edge is decided once: edge {edge} was decided {count} times"


def _attempts(shape: Shape, state: State) -> Iterator[str]:
    for number, job in enumerate(state.jobs):
        charged = sum(outcome != "unclaimed" for outcome in job.executions)
        if not 0 <= job.attempt <= shape.retries + 1 or charged > (shape.retries + 1) * (job.epoch + 1):
            yield f"attempts are bounded: job {number} is at attempt {job.attempt}, of {charged} executions in epoch {job.epoch}"
        if job.status == "started" and job.attempt == 0:
            yield f"attempts are counted: job {number} is started without an attempt"


def _executions(_shape: Shape, state: State) -> Iterator[str]:
    for number, job in enumerate(state.jobs):
        running = [execution for execution, outcome in enumerate(job.executions, 1) if outcome == ""]
        if running != ([len(job.executions)] if job.status == "started" else []):
            yield f"one holder: job {number} is {job.status}, executions {running} have no outcome"


def _places(_shape: Shape, state: State) -> Iterator[str]:
    queued = sorted(number for number, job in enumerate(state.jobs) if job.status == "queued")
    if sorted(state.queue) != queued:
        yield f"nothing is lost: jobs {queued} are queued, the queue has {list(state.queue)}"


def _undecided(shape: Shape, state: State) -> Iterator[str]:
    """Each undecided edge of a waiting job is still to come: its parent has not ended, or the outbox has it."""
    for edge, (parent, child, _) in enumerate(shape.edges):
        if state.jobs[child].status != "deferred" or state.decided[edge]:
            continue
        place = shape.below[parent].index(edge)
        listed = any(entry == parent and cursor <= place for entry, cursor in state.outbox)
        if state.jobs[parent].ended and not listed:
            yield f"nothing is lost: job {parent} has ended, its edge to the waiting job {child} is in no entry of the outbox"


def _limit(shape: Shape, state: State) -> Iterator[str]:
    """No more jobs than allowed have a place; each job that waits is in the list, which is looked at when a place is free."""
    if not shape.limit:
        return
    holders = [number for number, job in enumerate(state.jobs) if job.status in HOLDING]
    waiting = [number for number, job in enumerate(state.jobs) if job.status == "deferred" and job.pending == 0]
    if len(holders) > shape.limit:
        yield f"the limit holds: jobs {holders} are queued or started, {shape.limit} may be"
    if sorted(state.waiters) != waiting:
        yield f"nothing is lost: jobs {waiting} wait for a place, the list has {list(state.waiters)}"
    if waiting and len(holders) < shape.limit and ADMIT not in state.outbox:
        yield f"nothing is lost: jobs {waiting} wait, and a place is free, but no entry of the outbox admits one"


STATE_CHECKS: tuple[Callable[[Shape, State], Iterator[str]], ...] = (
    _ends,
    _edges,
    _attempts,
    _executions,
    _places,
    _undecided,
    _limit,
)

PROGRESS = frozenset({"job/claim", "job/finish", "job/release_dependents", "job/promote_scheduled", "job/reap_expired_lease"})
"""What workers do by themselves; a run ends without any request of a user."""
