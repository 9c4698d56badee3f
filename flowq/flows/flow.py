"""`Flow`: flows from Python, with the same parts that the command line uses."""

import os
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flowq.exceptions import InvalidFlowError
from flowq.flows.actions.selection import find_jobs, select
from flowq.flows.actions.submit import submit
from flowq.flows.forecast.duration import Prediction, predict
from flowq.flows.forecast.history import read_history
from flowq.flows.forecast.outcomes import PredictedEnd, predict_ends
from flowq.flows.local_worker.missing_secrets import absent_secrets, refuse_absent
from flowq.flows.local_worker.process import default_slots
from flowq.flows.run import Run
from flowq.plan import Json, Plan, Selection
from flowq.plan.foreach import before_run
from flowq.slots.timezones import date_in

if TYPE_CHECKING:
    from flowq.compiler import Compilation


class Flow:
    """A compiled flow file.

    Example:
        >>> run = Flow.load("nightly.yaml", region="eu").run()
        >>> run.status
        'finished'
    """

    def __init__(self, plan: Plan, *, again: Callable[[datetime], Plan] | None = None) -> None:
        """Wrap a plan. `again`: compiles it again for another time of its run."""
        self.plan = plan
        self._again = again

    @classmethod
    def load(
        cls,
        path: str | os.PathLike[str],
        params: Mapping[str, Json] | None = None,
        *,
        params_file: str | os.PathLike[str] | None = None,
        root: str | os.PathLike[str] | None = None,
        **more: Json,
    ) -> "Flow":
        """Compile a flow file.

        Args:
            path: the file.
            params: values of its params, for names that are no Python names.
            params_file: a YAML or JSON file with values of its params; the others win.
            root: the directory in which the files lie that it names; by default the nearest with `flowq.toml` or `.git`.
            **more: values of its params.

        Raises:
            InvalidFlowError: with every problem of the file in its text and as `diagnostics`.
        """
        from flowq.compiler import compile_file

        given = {**(params or {}), **more}

        def compiled(when: datetime) -> Plan:
            return _plan_of(compile_file(path, params=given, params_file=params_file, date=when, root=root), os.fspath(path))

        return cls(compiled(datetime.now(UTC)), again=compiled)

    @classmethod
    def compile(
        cls, text: str, params: Mapping[str, Json] | None = None, *, file: str | os.PathLike[str] = "flow.yaml", **more: Json
    ) -> "Flow":
        """Compile the text of a flow, from wherever it comes.

        Args:
            text: YAML.
            params: values of its params, for names that are no Python names.
            file: its name in diagnostics; flows and modules that it names are looked for beside it.
            **more: values of its params.

        Raises:
            InvalidFlowError: with every problem of the text, as for `load`.
        """
        from flowq.compiler import compile_text

        name = os.fspath(file)

        def compiled(when: datetime) -> Plan:
            return _plan_of(compile_text(text, file=name, params={**(params or {}), **more}, date=when), name)

        return cls(compiled(datetime.now(UTC)), again=compiled)

    def predict_ends(self, *failing: str) -> dict[str, PredictedEnd]:
        """Return the predicted end of each job, by the rules of the engine; nothing is submitted.

        Args:
            *failing: jobs that are taken to fail; all others are taken to succeed.

        Raises:
            NoSuchJobError: there is no such job.
        """
        plan = before_run(self.plan)
        failed = {ordinal for name in failing for ordinal in find_jobs(plan, name, f"the flow {plan.name}")}
        fates = predict_ends(plan, failed)
        return {cell.name: fates[cell.ordinal] for cell in plan.shown_jobs()}

    def forecast(self, workers: int | None = None, *, connection: Any = None) -> Prediction | None:
        """Return how long a run will probably take, by the flow's earlier runs; None when there is none.

        Args:
            workers: jobs at once; as many as a run would have.
            connection: as for `submit`.
        """
        from flowq.connections.stores import store_for

        return predict(self.plan, read_history(store_for(connection), self.plan.name), workers or default_slots())

    def select(
        self, *, jobs: Iterable[str] = (), stages: Iterable[str] = (), until: Iterable[str] = (), without: Iterable[str] = ()
    ) -> "Flow":
        """Return the flow with only a part of it selected; the rest is skipped with the reason `not_selected`.

        Args:
            jobs: exactly these jobs; a matrix or one cell of it, a sub-flow or one job of it.
            stages: exactly the jobs of these stages.
            until: these jobs and everything they need.
            without: none of these jobs, of what the others say or of all; what waits for one waits for what that would have waited for.

        Raises:
            NoSuchJobError: there is no such job or stage.
            UsageError: a selected job uses the result or the status of one that is not.
        """
        wanted = Selection(tuple(jobs), tuple(stages), tuple(until), tuple(without))
        again = self._again
        return Flow(select(self.plan, wanted), again=None if again is None else lambda when: select(again(when), wanted))

    def submit(
        self,
        *,
        connection: Any = None,
        directory: str | Path | None = None,
        run_id: str | None = None,
        labels: Mapping[str, str] | None = None,
        cache: bool = True,
    ) -> "Run":
        """Submit a run and return at once.

        A flow that was loaded on another day, in its time zone, is compiled again: `run.date` is the date on which it is submitted.

        On a server of your own its workers execute it; on the embedded one, `Run.wait` (or `run`) brings a worker.

        Args:
            connection: a redis-py client; without one the configured server, else the embedded one.
            directory: where its modules are imported from and its scripts run; the current one.
            run_id: instead of a random one.
            labels: over those of the flow.
            cache: whether jobs with `cache` may take over earlier results.

        Raises:
            UsageError: this machine would execute the run, and lacks a secret of a job that will be executed.
            InvalidFlowError: it is compiled again, and has an error by now.
        """
        from flowq.connections.stores import store_for

        store = store_for(connection)
        plan = self._plan_of(datetime.now(UTC))
        plan = plan if cache else plan.without_cache()
        if store.anchor is not None:
            refuse_absent(absent_secrets(plan))
        name = submit(
            store,
            plan,
            directory=directory or Path.cwd(),
            local=store.anchor is not None,
            run_id=run_id,
            labels=labels,
            cause="api",
        )
        return Run(store, name)

    def _plan_of(self, when: datetime) -> Plan:
        """Return the plan of a run that is submitted at a time: its constants and its jobs get the same `run.date`."""
        if self._again is None or self.plan.date in {"", date_in(when.timestamp() * 1000, self.plan.timezone)}:
            return self.plan
        return self._again(when)

    def run(self, *, connection: Any = None, workers: int | None = None, timeout: float | None = None, **more: Any) -> "Run":
        """Submit a run and wait for its end, see `Run.wait`.

        Args:
            connection: as for `submit`.
            workers: jobs at once, on the embedded server.
            timeout: seconds to wait at most; the run continues where workers on a server execute it.
            **more: `directory`, `run_id`, `labels`, `cache` of `submit`.
        """
        run = self.submit(connection=connection, **more)
        run.wait(timeout, workers=workers)
        return run


def _plan_of(compilation: "Compilation", name: str) -> Plan:
    from flowq.compiler import render

    if compilation.plan is None:
        text = "\n\n".join(render(item) for item in compilation.diagnostics)
        raise InvalidFlowError(f"{name} does not compile:\n\n{text}", compilation.diagnostics)
    return compilation.plan
