"""`Run`: a run of a flow from Python, with the same parts that the command line uses."""

import json
import shlex
import sys
import time
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from flowq.exceptions import InvalidJobOperation, NoSuchJobError, ServerUnavailableError
from flowq.flows.actions import approval, retry
from flowq.flows.actions.cancellation import cancel_run
from flowq.flows.actions.retry import plan_rerun
from flowq.flows.actions.selection import find_cell, find_jobs
from flowq.flows.actions.submit import queue_of
from flowq.flows.local_worker.messages import await_messages
from flowq.flows.local_worker.missing_secrets import absent_on_resume, absent_on_retry, refuse_absent
from flowq.flows.local_worker.worker import LocalWorker, stored_queues
from flowq.flows.views.artifacts import JobArtifact, every_artifact, extract, with_artifacts
from flowq.flows.views.follow import Follower
from flowq.flows.views.job_result import result_of
from flowq.flows.views.run_view import RunView
from flowq.flows.views.snapshot import read_output, read_plan, read_view
from flowq.ids import member_id
from flowq.plan import Json, Plan
from flowq.states import JobStatus
from flowq.store.schema.outcomes import Outcome
from flowq.store.schema.records import Event

if TYPE_CHECKING:
    from flowq.store import Store


_LOOK: Final = 2.0  # s between looks for workers, while a run is waited for


class Run:
    """A run of a flow.

    Args:
        store: where it is.
        run_id: its full id.
    """

    def __init__(self, store: "Store", run_id: str) -> None:
        self.id = run_id
        self._store = store
        self._queues: list[str] | None = None  # the store's names of those of the run, once they are asked for

    @classmethod
    def fetch(cls, run_id: str, connection: Any = None) -> "Run":
        """Return a handle on a run by its id or a unique prefix of it.

        Raises:
            NoSuchRunError, AmbiguousRunError: none, or several.
        """
        from flowq.connections.stores import store_for

        store = store_for(connection)
        return cls(store, store.runs.resolve(run_id))

    @classmethod
    def latest(cls, *, directory: str | Path | None = None, failed: bool = False, connection: Any = None) -> "Run | None":
        """Return the latest run, None where there is none.

        Args:
            directory: only of those that were started there.
            failed: only of those that failed or were canceled.
            connection: as for `Flow.submit`.
        """
        from flowq.connections.stores import store_for

        store = store_for(connection)
        found = store.runs.latest(None if directory is None else str(directory), failed=failed)
        return None if found is None else cls(store, found)

    @property
    def status(self) -> str:
        """The run's status: queued, running, finished, failed, canceled or skipped."""
        return str(self._store.runs.require(self.id).status)

    def view(self) -> RunView:
        """Return the whole state: what `flowq status` shows."""
        return read_view(self._store, self.id)

    def wait(self, timeout: float | None = None, *, workers: int | None = None) -> str:
        """Wait for the end; on the embedded server, execute the run meanwhile. Return the status.

        On a server of your own, a warning names the queues in which jobs wait and on which no worker listens.

        Args:
            timeout: seconds to wait at most.
            workers: jobs at once, on the embedded server.

        Raises:
            UsageError: this machine is to execute the run, and lacks a secret of a job that has not run yet.
        """
        record = self._store.runs.require(self.id)
        if record.ended:
            return str(record.status)
        worker = None
        if record.local:
            refuse_absent(absent_on_resume(self._store, self.id))
            plan = Plan.from_json(self._store.runs.plan(self.id))
            worker = LocalWorker(self.id, stored_queues(plan, self.id), directory=record.directory, slots=workers)
            worker.start()
        try:
            self._follow(None if timeout is None else time.monotonic() + timeout, worker)
        finally:
            if worker is not None:
                if self._store.runs.require(self.id).ended:
                    await_messages(self._store, self.id)
                    worker.wait(5.0)
                worker.stop()
        return self.status

    def _follow(self, deadline: float | None, worker: LocalWorker | None) -> None:
        look: float | None = time.monotonic() + _LOOK if worker is None else None
        for update in Follower(self._store, self.id, wait=0.5).updates():
            if update.ended or (deadline is not None and time.monotonic() >= deadline):
                return
            if look is not None and time.monotonic() >= look:
                look = None if self._warn_of_unserved() else time.monotonic() + _LOOK
            if worker is not None and worker.poll() is not None and not self._store.runs.require(self.id).ended:
                raise ServerUnavailableError(
                    f"the worker of run {self.id} ended with exit code {worker.poll()}: `flowq run --resume {self.id}` continues it"
                )

    def _warn_of_unserved(self) -> bool:
        """Warn of queues in which jobs of the run wait for a worker that is not there; return whether there are any."""
        record = self._store.runs.require(self.id)
        if self._queues is None:
            self._queues = stored_queues(Plan.from_json(self._store.runs.plan(self.id)), record.queue_prefix)
        unserved = set(self._queues) - self._store.workers.serving(self._queues)
        if not unserved:
            return False
        waiting = {queue_of(job.queue, record.queue_prefix) for job in self.view().jobs if not job.ended and job.selected}
        names = sorted(unserved & waiting)
        if names:
            command = (
                f"flowq serve {shlex.quote(record.directory)}" if record.queue_prefix else f"flowq worker {shlex.join(names)}"
            )
            listed = ", ".join(map(repr, names))
            text = f"no worker listens on {listed}: run {self.id} waits until one does; start one with `{command}`"
            warnings.warn(text, stacklevel=_level_of_caller())
        return bool(names)

    def events(self) -> Iterator[Event]:
        """Yield the run's changes of state from its beginning until it has ended."""
        for update in Follower(self._store, self.id, wait=0.5).updates():
            yield from update.events

    def result(self, job: str) -> Json:
        """Return the result of a job by its name; of a matrix, the list of its cells' in expansion order, null where one has none.

        Raises:
            NoSuchJobError: the flow has no such job.
        """
        plan = read_plan(self._store, self.id)
        if job in plan.targets():
            return result_of(self._store, self.id, plan, job)
        cell = find_cell(plan, job)
        if cell is None:
            raise NoSuchJobError(f"the flow {plan.name} has no job {job!r}: it has {', '.join(plan.cells_of())}")
        ((status, value),) = self._store.runs.results(self.id, [cell.ordinal])
        return json.loads(value) if status is JobStatus.FINISHED and value is not None else None

    def approve(self, job: str, *, by: str | None = None, comment: str = "", reject: bool = False) -> None:
        """Decide about an approval that waits.

        Args:
            job: its name.
            by: the name of the user who decides; by default the user of this process.
            comment: kept with the decision.
            reject: let it fail.

        Raises:
            NoSuchJobError: the flow has no such job.
            InvalidJobOperation: the job is no approval, or does not wait for a decision.
        """
        approval.decide(self._store, self.id, read_plan(self._store, self.id), job, approval.Decision(not reject, by, comment))

    def output(self, job: str) -> str:
        """Return the last output of a job's latest execution; of a matrix, of one cell after the other.

        Raises:
            NoSuchJobError: the flow has no such job.
        """
        ordinals = self._find(job)
        found = read_output(self._store, self.id, ordinals)
        return "".join(found.get(ordinal, "") for ordinal in ordinals)

    def artifacts(self, job: str | None = None) -> list[JobArtifact]:
        """Return the artifacts of the run, or of one job, in graph order; without the contents of their files.

        Raises:
            NoSuchJobError: the flow has no such job.
        """
        ordinals = None if job is None else self._find(job)
        return list(every_artifact(with_artifacts(self._store, self.view()), ordinals))

    def download(self, directory: str | Path, *, job: str | None = None, name: str | None = None) -> list[Path]:
        """Write the files of artifacts below a directory, as `flowq artifacts get` does; return their paths.

        Args:
            directory: where to; it is made if it is not there.
            job: only those of this job.
            name: only the artifacts with this name.

        Raises:
            NoSuchJobError: the flow has no such job.
            UsageError: a file is missing, was altered or cannot be written.
        """
        chosen = [item for item in self.artifacts(job) if name in {None, item.name}]
        return [Path(path) for path in extract(self._store, chosen, str(directory))]

    def retry(self, *jobs: str, only: bool = False) -> int:
        """Reset the failed jobs, or the named ones, and their dependents. `wait` then executes them.

        Args:
            *jobs: these jobs, whatever became of them; without any: what failed, was canceled or was skipped because of that.
            only: leave what depends on the named jobs as it is.

        Returns:
            The new attempt.

        Raises:
            NoSuchJobError: the flow has no such job.
            InvalidRunOperation: the run has not ended, or there is nothing to retry.
            UsageError: this machine is to execute it, and lacks a secret of a job that will run again.
        """
        if jobs:
            chosen = {ordinal for job in jobs for ordinal in self._find(job)}
            planned = plan_rerun(self._store, self.id, chosen, only=only)
        else:
            planned = retry.plan_retry(self._store, self.id)
        if self._store.runs.require(self.id).local:
            refuse_absent(absent_on_retry(self._store, planned))
        return planned.apply(self._store)

    def cancel(self, job: str | None = None, *, force: bool = False) -> None:
        """Cancel the jobs of the run that have not ended, or one job.

        Args:
            job: only this one.
            force: kill the run's handlers (`on_cancel`, `on_exit`) too, if they run already. Without it a second cancel leaves them alone.

        Raises:
            NoSuchJobError: the flow has no such job.
            InvalidRunOperation: the run has ended, or its jobs have and its handlers run.
            InvalidJobOperation: the job has ended.
        """
        if job is None:
            cancel_run(self._store, self.id, force=force)
            return
        outcomes = {self._store.jobs.cancel(member_id(self.id, ordinal)) for ordinal in self._find(job)}
        if not outcomes & {Outcome.DONE, Outcome.DUPLICATE}:
            raise InvalidJobOperation(f"cannot cancel {job!r} of run {self.id}: it has already ended")

    def _find(self, job: str) -> Sequence[int]:
        return find_jobs(read_plan(self._store, self.id), job, f"run {self.id}")

    def delete(self) -> None:
        """Delete the run, which must have ended, with its results and logs.

        Raises:
            InvalidRunOperation: the run has not ended.
        """
        self._store.runs.refuse(self.id, self._store.runs.delete(self.id), "delete")

    def __repr__(self) -> str:
        return f"Run({self.id!r})"


def _level_of_caller() -> int:
    """Return the `stacklevel` of the first frame outside flowq."""
    level, frame = 1, sys._getframe(1)  # noqa: SLF001 - as `warnings` itself does
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] == "flowq":
        level, frame = level + 1, frame.f_back
    return level
