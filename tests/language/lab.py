"""The lab: runs flows on the server and worker of this folder's tests, and reads their ends."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from flowq.compiler import Compilation, compile_file, compile_text, render
from flowq.flows.actions.retry import plan_retry
from flowq.flows.actions.submit import submit
from flowq.flows.run import Run
from flowq.flows.views.run_view import JobView, RunView
from flowq.flows.views.snapshot import read_view
from flowq.plan import Json, Plan
from flowq.states import JobStatus
from flowq.store import Store
from tests.support.wait import until

FLOWS: Final = Path(__file__).parent / "flows"
MODULES: Final = Path(__file__).parent / "modules"
DATE: Final = "2026-01-31"
TIMEOUT: Final = 40.0  # s; a flow of these tests takes well under one


def plan_of(compilation: Compilation) -> Plan:
    """Return the plan, which must exist."""
    assert compilation.plan is not None, "\n".join(map(render, compilation.diagnostics))
    return compilation.plan


@dataclass
class Started:
    """A run of a flow, active or ended."""

    store: Store
    id: str

    @property
    def view(self) -> RunView:
        """The current view of the run."""
        return read_view(self.store, self.id)

    def job(self, name: str) -> JobView:
        """The current view of a job."""
        return next(job for job in self.view.jobs if job.name == name)

    def until_job(self, name: str, *states: str) -> JobView:
        """Wait until a job is in one of these states ("queued", "deferred/approval")."""

        def there() -> JobView | None:
            found = [job for job in self.view.jobs if job.name == name and states_of(job) & set(states)]
            return found[0] if found else None

        found = until(there, timeout=TIMEOUT, message=lambda: f"{name} to be {' or '.join(states)} in {self.states()}")
        assert found is not None
        return found

    def ended(self) -> "Started":
        """Wait for the end of the run."""

        def done() -> bool:
            return self.store.runs.require(self.id).ended

        try:
            until(done, timeout=TIMEOUT)
        except AssertionError:
            raise AssertionError(f"the run does not end: {self.states()}") from None
        return self

    @property
    def status(self) -> str:
        """The status of the run."""
        return str(self.store.runs.require(self.id).status)

    @property
    def warnings(self) -> int:
        """The number of warnings of the run."""
        return self.store.runs.require(self.id).warnings

    def states(self) -> dict[str, str]:
        """Return the state of each job, such as `finished`, `failed/error`, `allowed/error` or `skipped/if_false`."""
        return {job.name: state_of(job) for job in self.view.jobs}

    def result(self, job: str) -> Json:
        """Return a job's result."""
        return Run(self.store, self.id).result(job)

    def log(self, job: str | None = None) -> str:
        """Return the output of a job, or of all."""
        wanted = None if job is None else self.job(job).id
        entries = self.store.runs.logs(self.id)
        return b"".join(entry.data for entry in entries if wanted in {None, entry.job}).decode()

    def retry(self) -> "Started":
        """Retry the failed jobs."""
        plan_retry(self.store, self.id).apply(self.store)
        return self


def state_of(job: JobView) -> str:
    """Return a job's status and, unless it is finished or running, its reason."""
    status = "allowed" if job.allowed else str(job.status)
    return f"{status}/{job.reason}" if job.reason and job.status is not JobStatus.FINISHED else status


def states_of(job: JobView) -> set[str]:
    """Return the state with and without its reason."""
    return {state_of(job), state_of(job).partition("/")[0]}


@dataclass(frozen=True)
class Lab:
    """The server and worker for flows. `directory` is that of the runs, with the modules that jobs call."""

    store: Store
    directory: Path

    def start(self, text: str, params: Mapping[str, Json] | None = None) -> Started:
        """Submit a flow."""
        compiled = compile_text(text, params=params or {}, date=DATE, file=str(FLOWS / "inline.yaml"), root="/")
        return self.submit(plan_of(compiled))

    def start_file(self, path: Path, params: Mapping[str, Json] | None = None) -> Started:
        """Submit a flow file."""
        return self.submit(plan_of(compile_file(path, params=params or {}, date=DATE)))

    def submit(self, plan: Plan) -> Started:
        """Submit a plan."""
        return Started(self.store, submit(self.store, plan, directory=self.directory))

    def run(self, text: str, params: Mapping[str, Json] | None = None) -> Started:
        """Run a flow to its end."""
        return self.start(text, params).ended()
