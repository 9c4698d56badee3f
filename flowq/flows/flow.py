"""`Flow` and `Run`: flows from Python, with the same parts that the command line uses."""

import json
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flowq.exceptions import InvalidFlowError, NoSuchJobError, ServerUnavailableError
from flowq.flows import approvals, retry
from flowq.flows.follow import Follower
from flowq.flows.local import LocalWorker, local_queues
from flowq.flows.selecting import select
from flowq.flows.snapshot import read_plan, read_view
from flowq.flows.submit import submit
from flowq.flows.values import result_of
from flowq.flows.views import RunView
from flowq.plan import Json, Plan, Selection
from flowq.states import JobStatus
from flowq.store.records import Event

if TYPE_CHECKING:
    from flowq.store import Store


class Flow:
    """A compiled flow file.

    Example:
        >>> run = Flow.load("nightly.yaml", region="eu").run()
        >>> run.status
        'finished'
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan

    @classmethod
    def load(
        cls,
        path: str | os.PathLike[str],
        params: Mapping[str, Json] | None = None,
        *,
        params_file: str | os.PathLike[str] | None = None,
        **more: Json,
    ) -> "Flow":
        """Compile a flow file.

        Args:
            path: the file.
            params: values of its params, for names that are no Python names.
            params_file: a YAML or JSON file with values of its params; the others win.
            **more: values of its params.

        Raises:
            InvalidFlowError: with every problem of the file in its text and as `diagnostics`.
        """
        from flowq.compiler import compile_file, render

        given = {**(params or {}), **more}
        compilation = compile_file(path, params=given, params_file=params_file, date=datetime.now(UTC).date().isoformat())
        if compilation.plan is None:
            text = "\n\n".join(render(item) for item in compilation.diagnostics)
            raise InvalidFlowError(f"{os.fspath(path)} does not compile:\n\n{text}", compilation.diagnostics)
        return cls(compilation.plan)

    def select(self, *, jobs: Iterable[str] = (), stages: Iterable[str] = (), until: Iterable[str] = ()) -> "Flow":
        """Return the flow with only a part of it selected; the rest is skipped with the reason `not_selected`.

        Args:
            jobs: exactly these jobs; a matrix or one cell of it, a sub-flow or one job of it.
            stages: exactly the jobs of these stages.
            until: these jobs and everything they need.

        Raises:
            NoSuchJobError: there is no such job or stage.
            UsageError: a selected job uses the result or the status of one that is not.
        """
        return Flow(select(self.plan, Selection(tuple(jobs), tuple(stages), tuple(until))))

    def submit(
        self,
        *,
        connection: Any = None,
        directory: str | Path | None = None,
        run_id: str | None = None,
        labels: Mapping[str, str] | None = None,
    ) -> "Run":
        """Submit a run and return at once.

        On a server of your own its workers execute it; on the embedded one, `Run.work` (or `run`) brings a worker.

        Args:
            connection: a redis-py client; without one the configured server, else the embedded one.
            directory: where its modules are imported from and its scripts run; the current one.
            run_id: instead of a random one.
            labels: over those of the flow.
        """
        from flowq.binding import store_for

        store = store_for(connection)
        name = submit(
            store, self.plan, directory=directory or Path.cwd(), local=store.anchor is not None, run_id=run_id, labels=labels
        )
        return Run(store, name)

    def run(self, *, connection: Any = None, workers: int | None = None, timeout: float | None = None, **more: Any) -> "Run":
        """Submit a run and wait for its end.

        Args:
            connection: as for `submit`.
            workers: jobs at once, on the embedded server.
            timeout: seconds to wait at most; the run goes on where others execute it.
            **more: `directory`, `run_id`, `labels` of `submit`.
        """
        run = self.submit(connection=connection, **more)
        run.wait(timeout, workers=workers)
        return run


class Run:
    """A run of a flow.

    Args:
        store: where it is.
        run_id: its full id.
    """

    def __init__(self, store: "Store", run_id: str) -> None:
        self.id = run_id
        self._store = store

    @classmethod
    def fetch(cls, run_id: str, connection: Any = None) -> "Run":
        """Return a handle on a run by its id or a unique prefix of it.

        Raises:
            NoSuchRunError, AmbiguousRunError: none, or several.
        """
        from flowq.binding import store_for

        store = store_for(connection)
        return cls(store, store.runs.resolve(run_id))

    @property
    def status(self) -> str:
        """The run's status: queued, running, finished, failed or canceled."""
        return str(self._store.runs.require(self.id).status)

    def view(self) -> RunView:
        """Return the whole state: what `flowq status` shows."""
        return read_view(self._store, self.id)

    def wait(self, timeout: float | None = None, *, workers: int | None = None) -> str:
        """Wait for the end; on the embedded server, execute the run meanwhile. Return the status.

        Args:
            timeout: seconds to wait at most.
            workers: jobs at once, on the embedded server.
        """
        record = self._store.runs.require(self.id)
        if record.ended:
            return str(record.status)
        worker = None
        if record.local:
            plan = Plan.from_json(self._store.runs.plan(self.id))
            worker = LocalWorker(self.id, local_queues(plan, self.id), directory=record.directory, slots=workers)
            worker.start()
        try:
            self._follow(None if timeout is None else time.monotonic() + timeout, worker)
        finally:
            if worker is not None:
                if self._store.runs.require(self.id).ended:
                    worker.wait(5.0)
                worker.stop()
        return self.status

    def _follow(self, deadline: float | None, worker: LocalWorker | None) -> None:
        for update in Follower(self._store, self.id, wait=0.5).updates():
            if update.ended or (deadline is not None and time.monotonic() >= deadline):
                return
            if worker is not None and worker.poll() is not None and not self._store.runs.require(self.id).ended:
                raise ServerUnavailableError(
                    f"the worker of run {self.id} ended with exit code {worker.poll()}: `flowq run --resume {self.id}` goes on"
                )

    def events(self) -> Iterator[Event]:
        """Yield the run's changes of state from its beginning, and go on until it has ended."""
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
        named = next((cell.ordinal for cell in plan.jobs() if cell.name == job), None)
        if named is None:
            raise NoSuchJobError(f"the flow {plan.name} has no job {job!r}: it has {', '.join(plan.cells_of())}")
        ((status, value),) = self._store.runs.results(self.id, [named])
        return json.loads(value) if status is JobStatus.FINISHED and value is not None else None

    def approve(self, job: str, *, by: str | None = None, comment: str = "", reject: bool = False) -> None:
        """Decide about an approval that waits.

        Args:
            job: its name.
            by: who decides; the user of this process.
            comment: kept with the decision.
            reject: let it fail.

        Raises:
            NoSuchJobError: the flow has no such job.
            InvalidJobOperation: the job is no approval, or does not wait for a decision.
        """
        approvals.decide(
            self._store, self.id, read_plan(self._store, self.id), job, approvals.Decision(not reject, by, comment)
        )

    def retry(self) -> int:
        """Reset what failed and everything that depends on it; return the new attempt. `wait` then executes it.

        Raises:
            InvalidRunOperation: the run has not ended, or nothing of it failed.
        """
        return retry.plan_retry(self._store, self.id).apply(self._store)

    def cancel(self) -> None:
        """Cancel what has not ended.

        Raises:
            InvalidRunOperation: the run has ended.
        """
        self._store.runs.refuse(self.id, self._store.runs.cancel(self.id), "cancel")

    def delete(self) -> None:
        """Delete the run, which must have ended, with its results and logs.

        Raises:
            InvalidRunOperation: the run has not ended.
        """
        self._store.runs.refuse(self.id, self._store.runs.delete(self.id), "delete")

    def __repr__(self) -> str:
        return f"Run({self.id!r})"
