"""Each rule of the model is needed: without it a check fails, and tells the trace."""

import pytest

from tests.model.explore import BrokenError, explore
from tests.model.shapes import SHAPES
from tests.model.state import ADMIT, Call, Job
from tests.model.transitions import Model, Step


class NoFence(Model):
    """Any execution may end a started job."""

    def standing(self, job: Job, execution: int) -> str | None:
        return None if job.status == "started" else super().standing(job, execution)


class EndsTwice(Model):
    """The end of an execution that has reported is accepted again."""

    def standing(self, job: Job, execution: int) -> str | None:
        found = super().standing(job, execution)
        return None if found == "duplicate" and execution == len(job.executions) else found


class ForgetsTheClaim(Model):
    """A claim that is repeated gets another job if there is one."""

    def is_repeated(self, step: Step, call: Call) -> bool:
        return not step.queue and super().is_repeated(step, call)


class ReleasesEarly(Model):
    """A job with one undecided edge is queued."""

    def is_ready(self, job: Job) -> bool:
        return job.pending <= 1


class LosesAnEntry(Model):
    """The end of a job leaves nothing in the outbox."""

    def end(self, step: Step, job: int, status: str) -> None:
        super().end(step, job, status)
        step.outbox = list(step.before.outbox)


class SkipsAnEdge(Model):
    """Only the first edge of an entry is decided."""

    def release_dependents(self, step: Step, call: Call) -> None:
        super().release_dependents(step, call)
        if step.outbox and step.outbox[0][1] == 1:
            step.outbox[0] = (step.outbox[0][0], len(self.shape.below[step.outbox[0][0]]))


class DecidesTwice(Model):
    """The cursor of an entry moves too late, so that each edge is decided again."""

    def decide(self, step: Step, edge: int) -> None:
        super().decide(step, edge)
        super().decide(step, edge)


class ReapsTheLiving(Model):
    """A lease is not looked at."""

    def reap_expired_lease(self, step: Step, call: Call) -> None:
        super().reap_expired_lease(step, call._replace(outcome=""))


class CountsNoAttempt(Model):
    """A claim charges no attempt."""

    def charged(self, job: Job) -> int:
        return job.attempt


class KeepsTheEpoch(Model):
    """A retry does not begin a new epoch."""

    def reset(self, step: Step, job: int, pending: int) -> None:
        before = step.jobs[job]
        super().reset(step, job, pending)
        step.set(job, epoch=before.epoch, attempt=before.attempt, ends=before.ends)


class KeepsTheToken(Model):
    """A requeued job may be given back to an execution from before."""

    def regain(self, step: Step, number: int, execution: int) -> bool:
        if not 0 < execution == len(step.jobs[number].executions):
            return False
        attempt = step.jobs[number].attempt
        step.set(number, attempt=max(attempt, 1))
        regained = super().regain(step, number, execution)
        step.set(number, attempt=attempt)
        return regained


class CancelForgetsDependents(Model):
    """The dependents of a canceled job are not decided."""

    def cancel(self, step: Step, call: Call) -> None:
        super().cancel(step, call)
        step.outbox = list(step.before.outbox)


class LossForgetsTheCancel(Model):
    """A job that was to be killed is retried when its worker is lost."""

    def reap_expired_lease(self, step: Step, call: Call) -> None:
        step.set(call.job, canceling=False)
        super().reap_expired_lease(step, call)


class PromotesToNowhere(Model):
    """A job that is due is queued, but is in no queue."""

    def promote_scheduled(self, step: Step, call: Call) -> None:
        super().promote_scheduled(step, call)
        step.queue.remove(call.job)


class ArmsTooMuch(Model):
    """A retry waits for an edge that no end decides."""

    def reset(self, step: Step, job: int, pending: int) -> None:
        super().reset(step, job, pending + 1 if pending else 0)


class LimitsNothing(Model):
    """Every job has room."""

    def has_room(self, step: Step, number: int) -> bool:
        return number < len(step.jobs)


class ForgetsTheWaiting(Model):
    """A place that becomes free is given to no job."""

    def release_dependents(self, step: Step, call: Call) -> None:
        step.outbox = [entry for entry in step.outbox if entry != ADMIT] or step.outbox
        super().release_dependents(step, call)


class AdmitsOutOfTheList(Model):
    """A job that is admitted stays in the list."""

    def admit(self, step: Step) -> None:
        waiters = list(step.waiters)
        super().admit(step)
        step.waiters = waiters


MUTANTS = [
    (NoFence, "chain", "fence"),
    (EndsTwice, "chain", "a repeated call changes nothing"),
    (ForgetsTheClaim, "diamond", "a repeated call changes nothing"),
    (ReleasesEarly, "diamond", "dependents wait"),
    (LosesAnEntry, "chain", "nothing is lost"),
    (SkipsAnEdge, "diamond", "nothing is lost"),
    (DecidesTwice, "diamond", "each edge is decided once"),
    (ReapsTheLiving, "chain", "leases"),
    (CountsNoAttempt, "chain", "attempts are"),
    (KeepsTheEpoch, "chain", "one end"),
    (KeepsTheToken, "a plain job", "fence"),
    (CancelForgetsDependents, "any end", "nothing is lost"),
    (LossForgetsTheCancel, "one job, waiting retries", "a canceled job ends"),
    (PromotesToNowhere, "one job, waiting retries", "nothing is lost"),
    (ArmsTooMuch, "chain", "nothing is stuck"),
    (LimitsNothing, "a limit", "the limit holds"),
    (ForgetsTheWaiting, "a limit", "nothing is lost"),
    (AdmitsOutOfTheList, "a limit", "nothing is lost"),
]


@pytest.mark.parametrize(("mutant", "shape", "check"), MUTANTS, ids=[mutant.__name__ for mutant, _, _ in MUTANTS])
def test_a_mutant_is_caught(mutant: type[Model], shape: str, check: str) -> None:
    with pytest.raises(BrokenError) as caught:
        explore(mutant(SHAPES[shape]))
    problem, *trace = str(caught.value).splitlines()
    assert problem.startswith(check)
    assert len(trace) > 1
