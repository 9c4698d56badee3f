"""The transitions of the model, under the names of their Lua files. A mutant is a subclass that overrides one rule."""

from collections.abc import Iterator
from typing import Any

from flowq.states import ENDED
from tests.model.state import ABSENT, ADMIT, HOLDING, Call, Job, Move, Shape, State

WAITING = frozenset({"queued", "scheduled"})
OUTCOMES = ("finished", "failed")


class Step:
    """One call under way: a state that is being changed, and the moves made."""

    def __init__(self, state: State, by: str) -> None:
        self.before, self.by = state, by
        self.jobs, self.queue, self.outbox = list(state.jobs), list(state.queue), list(state.outbox)
        self.waiters = list(state.waiters)
        self.slot, self.decided = state.slot, list(state.decided)
        self.faults, self.requests = state.faults, state.requests
        self.moves: list[Move] = []
        self.reply = "done"

    def state(self) -> State:
        return State(
            tuple(self.jobs),
            tuple(self.queue),
            tuple(self.outbox),
            tuple(self.waiters),
            self.slot,
            tuple(self.decided),
            self.faults,
            self.requests,
        )

    def set(self, job: int, **fields: Any) -> Job:
        """Change fields of a job; return it as it is now."""
        self.jobs[job] = self.jobs[job]._replace(**fields)
        return self.jobs[job]

    def move(self, job: int, status: str, *, front: bool = False, by: str = "") -> None:
        """Change a status, and with it the job's places: in the queue, among the waiting jobs, and below the limit."""
        before = self.jobs[job].status
        self.moves.append(Move(by or self.by, job, before, status))
        if before == "queued" and job in self.queue:
            self.queue.remove(job)
        if status == "queued":
            self.queue.insert(0 if front else len(self.queue), job)
        if before in HOLDING and status not in HOLDING and self.waiters:
            self.outbox.append(ADMIT)
        if job in self.waiters:
            self.waiters.remove(job)
        self.set(job, status=status)

    def outcome(self, job: int, outcome: str) -> None:
        """Note how the latest execution has ended."""
        self.set(job, executions=(*self.jobs[job].executions[:-1], outcome))


class Model:
    """The rules of the transitions for one graph."""

    def __init__(self, shape: Shape) -> None:
        self.shape = shape

    def start(self) -> State:
        """Return the state after the run was published, or before any plain job was created."""
        step = Step(
            State((), (), (), (), None, (0,) * len(self.shape.edges), self.shape.faults, self.shape.requests), "run/publish"
        )
        for job in range(self.shape.jobs):
            pending = len(self.shape.above[job])
            step.jobs.append(Job(ABSENT if self.shape.plain else "deferred", pending=pending))
        for job in range(0 if self.shape.plain else self.shape.jobs):
            if step.jobs[job].pending == 0:
                self.enqueue(step, job)
        return step.state()

    # -- the calls that are possible ------------------------------------------------------------------------------------------

    def calls(self, state: State) -> Iterator[Call]:
        """Yield each call that a worker, sweep or user may make. Any execution that ever began may report, any number of times."""
        if state.queue:
            yield Call("job/claim")
        if state.slot is not None:
            yield Call("job/claim", *state.slot)  # the reply was lost: the same call again
        if state.outbox:
            yield Call("job/release_dependents")
        for number, job in enumerate(state.jobs):
            yield from self._calls_of(state, number, job)
        if (
            not self.shape.plain
            and state.requests
            and state.quiet
            and any(job.status in {"failed", "canceled"} for job in state.jobs)
        ):
            yield Call("run/retry")

    def _calls_of(self, state: State, number: int, job: Job) -> Iterator[Call]:
        for execution in range(0 if job.deleted else 1, len(job.executions) + 1):
            for outcome in OUTCOMES if execution == len(job.executions) else OUTCOMES[:1]:
                yield Call("job/finish", number, execution, outcome)
            yield Call("worker/heartbeat", number, execution)
            if state.faults or job.status != "started":
                yield Call("job/return_claim", number, execution)
        if job.status == "started":
            yield Call("job/reap_expired_lease", number, outcome="too early")
            if state.faults:
                yield Call("job/reap_expired_lease", number)
        if job.status == "scheduled":
            yield Call("job/promote_scheduled", number)
        if state.requests and job.status != ABSENT and not job.ended and not job.canceling:
            yield Call("job/cancel", number)
        if self.shape.plain and state.requests:
            if job.status == ABSENT:
                yield Call("job/create", number)
            else:
                yield Call("job/delete", number)
            if job.ended:
                yield Call("job/requeue", number)

    def apply(self, state: State, call: Call) -> Step:
        """Carry one call out."""
        step = Step(state, call.name)
        getattr(self, call.name.rpartition("/")[2])(step, call)
        return step

    # -- workers --------------------------------------------------------------------------------------------------------------

    def claim(self, step: Step, call: Call) -> None:
        if call.job >= 0 and self.is_repeated(step, call):
            job = step.jobs[call.job]
            step.reply = "same" if job.status == "started" and len(job.executions) == call.execution else "none"
            return
        job_number = step.queue[0] if step.queue else None
        if job_number is None:
            step.reply = "none"
            return
        job = step.jobs[job_number]
        step.set(job_number, executions=(*self.archived(job), ""), attempt=self.charged(job))
        step.move(job_number, "started")
        step.slot = (job_number, len(step.jobs[job_number].executions))

    def is_repeated(self, step: Step, call: Call) -> bool:
        return step.slot == (call.job, call.execution)

    def archived(self, job: Job) -> tuple[str, ...]:
        return job.executions

    def charged(self, job: Job) -> int:
        return job.attempt + 1

    def standing(self, job: Job, execution: int) -> str | None:
        """Return why this execution may not end the job (any more), None if it may."""
        if job.status == ABSENT:
            return "not_found"
        outcome = "" if execution == 0 else job.executions[execution - 1]
        if execution == len(job.executions) and job.status == "started":
            return None
        return "fenced" if outcome in {"", "lost", "unclaimed"} else "duplicate"

    def regain(self, step: Step, number: int, execution: int) -> bool:
        """Give the job back to an execution that was taken for lost, if its epoch has seen no other one."""
        job = step.jobs[number]
        latest = execution > 0 and execution == len(job.executions) and job.executions[-1] == "lost"
        if not latest or job.status not in WAITING or job.attempt == 0 or job.canceling or not self.has_room(step, number):
            return False
        step.outcome(number, "")
        step.move(number, "started")
        return True

    def finish(self, step: Step, call: Call) -> None:
        self.regain(step, call.job, call.execution)
        job = step.jobs[call.job]
        standing = self.standing(job, call.execution)
        if standing is not None:
            step.reply = standing
            return
        outcome = "canceled" if job.canceling and call.outcome != "finished" else call.outcome
        if outcome == "failed" and self.retries_left(job):
            step.outcome(call.job, "retried")
            self.again(step, call.job, front=False)
        else:
            step.outcome(call.job, outcome)
            self.end(step, call.job, outcome)

    def heartbeat(self, step: Step, call: Call) -> None:
        self.regain(step, call.job, call.execution)
        job = step.jobs[call.job]
        holds = job.status == "started" and 0 < call.execution == len(job.executions)
        step.reply = ("cancel" if job.canceling else "go_on") if holds else "fenced"

    def return_claim(self, step: Step, call: Call) -> None:
        job = step.jobs[call.job]
        standing = self.standing(job, call.execution)
        if standing is not None:
            same = standing == "fenced" and 0 < call.execution == len(job.executions) and job.executions[-1] == "unclaimed"
            step.reply = "duplicate" if same else standing
            return
        step.faults -= 1
        step.set(call.job, attempt=job.attempt - 1)
        step.outcome(call.job, "unclaimed")
        if job.canceling:
            self.end(step, call.job, "canceled")
        else:
            self.enqueue(step, call.job, front=True)

    # -- time -----------------------------------------------------------------------------------------------------------------

    def reap_expired_lease(self, step: Step, call: Call) -> None:
        job = step.jobs[call.job]
        if call.outcome == "too early":
            step.reply = "wrong_state"
            return
        step.faults -= 1
        step.outcome(call.job, "lost")
        if job.canceling:
            self.end(step, call.job, "canceled")
        elif self.retries_left(job):
            self.again(step, call.job, front=True)
        else:
            self.end(step, call.job, "failed")

    def promote_scheduled(self, step: Step, call: Call) -> None:
        self.enqueue(step, call.job)

    def retries_left(self, job: Job) -> bool:
        return job.attempt <= self.shape.retries

    def again(self, step: Step, job: int, *, front: bool) -> None:
        if self.shape.waits:
            step.move(job, "scheduled")
        else:
            self.enqueue(step, job, front=front)

    # -- the limit ------------------------------------------------------------------------------------------------------------

    def has_room(self, step: Step, number: int) -> bool:
        """Return whether a job has a place below the limit, or may take one."""
        others = sum(job.status in HOLDING for other, job in enumerate(step.jobs) if other != number)
        return not self.shape.limit or others < self.shape.limit

    def enqueue(self, step: Step, number: int, *, front: bool = False, by: str = "") -> None:
        """Queue a job if there is room for it; else it waits, in no queue."""
        if self.has_room(step, number):
            step.move(number, "queued", front=front, by=by)
            return
        if step.jobs[number].status != "deferred":
            step.move(number, "deferred", by=by)
        step.waiters.insert(0 if front else len(step.waiters), number)

    def admit(self, step: Step) -> None:
        """Queue the first job that waits; when there is none, or no room, the entry of the outbox is removed."""
        if step.waiters and self.has_room(step, step.waiters[0]):
            step.move(step.waiters[0], "queued")
        else:
            step.outbox.pop(0)

    # -- ends and what follows from them --------------------------------------------------------------------------------------

    def end(self, step: Step, job: int, status: str) -> None:
        step.move(job, status)
        step.set(job, ends=step.jobs[job].ends + 1)
        if self.shape.below[job]:
            step.outbox.append((job, 0))

    def release_dependents(self, step: Step, _call: Call) -> None:
        """Decide one edge of the outbox's first entry, or admit one job; an entry without more of them is removed."""
        if step.outbox[0] == ADMIT:
            self.admit(step)
            return
        parent, cursor = step.outbox[0]
        below = self.shape.below[parent]
        if cursor == len(below):
            step.outbox.pop(0)
            return
        step.outbox[0] = (parent, cursor + 1)
        self.decide(step, below[cursor])

    def decide(self, step: Step, edge: int) -> None:
        parent, child, condition = self.shape.edges[edge]
        step.decided[edge] += 1
        job = step.jobs[child]
        if job.status != "deferred":
            return
        if not holds(step.jobs[parent].status, condition):
            self.end(step, child, "skipped")
            return
        if self.is_ready(step.set(child, pending=job.pending - 1)):
            self.enqueue(step, child)

    def is_ready(self, job: Job) -> bool:
        return job.pending == 0

    # -- requests of users ----------------------------------------------------------------------------------------------------

    def cancel(self, step: Step, call: Call) -> None:
        step.requests -= 1
        if step.jobs[call.job].status == "started":
            step.set(call.job, canceling=True)
            step.reply = "requested"
        else:
            self.end(step, call.job, "canceled")

    def create(self, step: Step, call: Call) -> None:
        step.requests -= 1
        step.move(call.job, "queued")

    def delete(self, step: Step, call: Call) -> None:
        step.requests -= 1
        job = step.jobs[call.job]
        step.move(call.job, ABSENT)
        step.jobs[call.job] = Job(epoch=job.epoch + 1, deleted=job.deleted or bool(job.executions))
        if step.slot is not None and step.slot[0] == call.job:
            step.slot = None

    def requeue(self, step: Step, call: Call) -> None:
        step.requests -= 1
        self.reset(step, call.job, 0)
        step.move(call.job, "queued")

    def reset(self, step: Step, job: int, pending: int) -> None:
        """Begin a new epoch of a job."""
        step.set(job, pending=pending, attempt=0, canceling=False, epoch=step.jobs[job].epoch + 1, ends=0)

    def retry(self, step: Step, _call: Call) -> None:
        """Reset what failed and all below it, then queue the roots. In the store these are two walks in bounded steps."""
        step.requests -= 1
        chosen = {number for number, job in enumerate(step.jobs) if job.status in {"failed", "canceled"}}
        for parent, child, _ in sorted(self.shape.edges):
            if parent in chosen:
                chosen.add(child)
        for number in sorted(chosen):
            again = [edge for edge in self.shape.above[number] if self.shape.edges[edge][0] in chosen]
            for edge in again:
                step.decided[edge] = 0
            self.reset(step, number, len(again))
            step.move(number, "deferred")
        for number in sorted(chosen):
            if step.jobs[number].pending == 0:
                self.enqueue(step, number, by="job/release_dependents")


def holds(status: str, condition: str) -> bool:
    """Return whether an edge holds below a parent with this end."""
    assert status in ENDED
    wanted = {"success": status == "finished", "failure": status in {"failed", "stopped"}, "done": True}
    return wanted[condition]
