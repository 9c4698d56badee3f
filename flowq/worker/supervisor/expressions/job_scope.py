"""The parts of a job of a run: its place in the plan, and the scope in which its expressions are evaluated.

A plan is read once for each run. Values that change during a run (its status, its failed jobs) are read again where an expression uses them.
"""

import json
import os
import time
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from flowq import signing
from flowq.exceptions import CorruptRecordError, FlowqError, NoSuchRunError, SignatureError, UsageError
from flowq.expr import EvalError, parse
from flowq.ids import member_id
from flowq.plan import Cell, Json, Node, Plan, PlanVersionError, bulk
from flowq.plan.foreach import foreach_groups, member_name, with_foreach_cells
from flowq.plan.shipment import signed_parts
from flowq.slots.timezones import date_in
from flowq.states import JobStatus
from flowq.store.schema.records import RunRecord
from flowq.worker.ipc.platform import PRIVATE
from flowq.worker.supervisor.expressions.job_outputs import Shape, read_upstream

if TYPE_CHECKING:
    from flowq.bundles.cache import BundleCache
    from flowq.store import Store

LEFT_TO_OTHERS: Final = 60.0  # s in which others may take the jobs of a run that this flowq does not know
_PLANS: Final = 32  # runs whose plan is kept
_CHANGING: Final = ("attempt", "status", "failed_jobs")


class UnpreparableError(FlowqError):
    """A job that cannot be prepared: an expression without a value, a plan that cannot be read. It ends failed with this text."""


@dataclass(frozen=True, slots=True)
class PlannedRun:
    """A run with its plan. `changing`: by node, what it uses of the run's attempt, status and failed jobs. `cell_reads`: by node with `foreach`, the nodes whose values a cell uses."""

    record: RunRecord
    shape: Shape
    changing: Mapping[str, frozenset[str]]
    cell_reads: Mapping[str, tuple[str, ...]]
    files: str = ""  # where the files that travelled with it are on this machine

    @property
    def plan(self) -> Plan:
        """The plan of the run."""
        return self.shape.plan

    def import_path(self, node: Node | None) -> tuple[str, ...]:
        """Return where modules are found: the directory of the run, that of the job's flow file, that of the whole flow."""
        files = (self.plan.file_of(node), self.plan.file) if node is not None else (self.plan.file,)
        candidates = (self.home, *(self.here(os.path.dirname(file)) for file in files))
        return tuple(dict.fromkeys(entry for entry in candidates if entry))

    def flow_directory(self, node: Node) -> str:
        """Return the directory of the flow file that a job stands in; that of the run, if the flow is no file."""
        return self.here(os.path.dirname(self.plan.file_of(node))) or self.home

    @property
    def home(self) -> str:
        """The directory of the run: where it was submitted; if its files travelled, the same directory among them, else their root."""
        return self.here(self.record.directory)

    def here(self, path: str) -> str:
        """Return the path on this machine of one where the run was submitted."""
        if not self.files or not path:
            return path
        below = os.path.relpath(path, self.record.bundle_root)
        return self.files if below == "." or below.startswith("..") else os.path.join(self.files, below)

    def there(self, path: str) -> str:
        """Return the path where the run was submitted of one on this machine."""
        below = os.path.relpath(path, self.files) if self.files else ".."
        return path if below.startswith("..") else os.path.normpath(os.path.join(self.record.bundle_root, below))


@bulk.record
class JobPlace:
    """A job in its run; a cell of a foreach has the ordinal of its group and its index there."""

    run: PlannedRun
    cell: Cell
    node: Node
    group: int | None = None
    index: int = 0

    @property
    def where(self) -> str:
        """File, line and name, as messages show them."""
        return self.run.plan.where(self.node)


class NewerPlanError(UnpreparableError):
    """The plan of a run is of a newer flowq: the job is left to workers that know it, for a while."""


class JobScopes:
    """The jobs in plans and their scopes. It reads the store, so its methods may raise `ServerError`: repeat the call later."""

    def __init__(self, store: "Store") -> None:
        self._store = store
        self._runs: OrderedDict[str, PlannedRun] = OrderedDict()
        self._newer: OrderedDict[str, float] = OrderedDict()  # runs of a newer flowq: when they were seen first
        # What expressions see as `env`, and a copy: reading os.environ decodes each variable every time.
        self._environment = {name: value for name, value in os.environ.items() if name not in PRIVATE}

    def run(self, run_id: str, since: str | None = None) -> PlannedRun:
        """Return a run with its plan. `since`: the attempt with which the run got it, if that is known from a job to be executed.

        Raises:
            UnpreparableError: there is no such run, or its plan is not signed as it must be, or this flowq does not know plans as this one.
            NewerPlanError: the same, and other workers have not had the time yet to take its jobs.
        """
        known = self._runs.get(run_id)
        if known is not None and since in {None, known.record.plan_attempt}:
            self._runs.move_to_end(run_id)
            return known
        try:
            record = self._store.runs.require(run_id)
            stored = self._store.runs.plan(run_id)
            shipped = signed_parts(record.bundle, record.bundle_root, record.bundle_requires)
            signing.verify(stored, record.signature, "plan of run", run_id, record.directory, *shipped)
            plan = Plan.from_json(stored)
        except PlanVersionError as error:
            raise self._refused(run_id, error) from error
        except (NoSuchRunError, SignatureError) as error:
            raise UnpreparableError(str(error)) from error
        except CorruptRecordError as error:
            raise UnpreparableError(f"run {run_id}: {error}") from error
        changing = {node.name: used for node in plan.nodes if (used := _uses_of_run(node))}
        cell_reads = {node.name: _reads_of_cells(node) for node in plan.nodes if node.foreach is not None}
        run = PlannedRun(record, Shape.of(run_id, plan), changing, cell_reads, _files_of(record))
        self._runs[run_id] = run
        while len(self._runs) > _PLANS:
            self._runs.popitem(last=False)
        return run

    def _refused(self, run_id: str, error: PlanVersionError) -> UnpreparableError:
        """Return the error for a run of a newer flowq: while an upgrade goes from worker to worker, others take its jobs."""
        first = self._newer.setdefault(run_id, time.monotonic())
        while len(self._newer) > _PLANS:
            self._newer.popitem(last=False)
        if time.monotonic() - first < LEFT_TO_OTHERS:
            return NewerPlanError(f"{error}; left to other workers for now")
        return UnpreparableError(str(error))

    def flow_of(self, run_id: str) -> str:
        """Return the flow of a run whose plan was read, "" for others."""
        known = self._runs.get(run_id)
        return "" if known is None else known.plan.name

    def fetch(self, run: PlannedRun) -> None:
        """Get the files that travel with a run, if this machine has not got them.

        Raises:
            UnpreparableError: they are not in the store, or cannot be kept here.
        """
        from flowq.bundles.archive import digest_in
        from flowq.bundles.cache import BundleCache

        cache, name = BundleCache(), run.record.bundle
        if os.path.exists(cache.archive(name)):
            return
        archive = self._store.bundles.get(name)
        if archive is None:
            raise UnpreparableError(f"the files that travel with run {run.record.id} are not in the store any more")
        try:
            if digest := digest_in(archive):
                self._note_place(cache, run, digest)
            else:
                cache.add(name, archive)
        except (OSError, UsageError) as error:
            raise UnpreparableError(f"the files that travel with run {run.record.id} cannot be kept here: {error}") from error

    def _note_place(self, cache: "BundleCache", run: PlannedRun, digest: str) -> None:
        url = self._store.artifacts.file_store()
        if not url:
            raise UnpreparableError(
                f"the files that travel with run {run.record.id} are in a file store, and this worker has none: set FLOWQ_STORE as"
                " where the run was submitted"
            )
        cache.add_place(run.record.bundle, url, digest)

    def find(self, run_id: str, ordinal: int, fields: Mapping[str, str]) -> JobPlace:
        """Return the place of a job; of a cell of a foreach, which is not in the plan, by the fields of its record.

        Raises:
            UnpreparableError: as `run`, or there is no such job.
        """
        run = self.run(run_id, fields.get("plan", ""))
        if ordinal < len(run.plan.cells):
            cell = run.plan.cells[ordinal]
            return JobPlace(run, cell, run.plan.node_of(cell))
        if "cell_of" not in fields:
            raise UnpreparableError(f"job {member_id(run_id, ordinal)} is not in the plan of its run")
        group = run.plan.cells[int(fields["cell_of"])]
        index = int(fields["index"])
        cell = Cell(ordinal, member_name(run.plan, group, index), group.node, group.parents, phase=group.phase)
        return JobPlace(run, cell, run.plan.node_of(group), group.ordinal, index)

    def scope(self, place: JobPlace, attempt: int) -> dict[str, Json]:
        """Return the names and values that the expressions of a job may use.

        Raises:
            EvalError: a value that the job needs is not in the store any more.
        """
        run, node = place.run, place.node
        scope: dict[str, Json] = {
            "params": run.plan.params_of(node),
            "env": self._environment_of(run.plan),
            "run": self._run_scope(run, node),
            "jobs": read_upstream(self._store, run.shape, node, None if place.group is None else run.cell_reads[node.name]),
            "matrix": place.cell.matrix or {},
            "job": {"name": place.cell.name, "attempt": attempt},
        }
        if place.group is not None:
            item = self._store.jobs.item(member_id(run.record.id, place.group), place.index)
            if item is None:
                raise EvalError("the item of this cell is gone from the store")
            scope |= {"item": json.loads(item), "index": place.index}
        return scope

    def _environment_of(self, plan: Plan) -> dict[str, str]:
        """Return the part of this process's environment that expressions may see: nothing that holds a secret."""
        if not plan.withheld:
            return self._environment
        return {name: value for name, value in self._environment.items() if name not in plan.withheld}

    def _run_scope(self, run: PlannedRun, node: Node) -> dict[str, Json]:
        record = run.record
        used = run.changing.get(node.name, frozenset())
        if used:
            record = self._store.runs.get(record.id) or record
        return {
            "id": record.id,
            "name": run.plan.name,
            "date": record.date or _date(record.created_ms, run.plan.timezone),
            "scheduled_at": record.scheduled_at or None,
            "schedule": record.entry or None,
            "flow_dir": run.flow_directory(node),
            "attempt": record.attempt,
            "status": str(record.outcome or record.status),
            "failed_jobs": self._failed_jobs(run) if "failed_jobs" in used else [],
        }

    def _failed_jobs(self, run: PlannedRun) -> list[str]:
        """Return the names of the graph's jobs that failed and were not allowed to, in the order of the plan."""
        plan = with_foreach_cells(run.plan, self._store.runs.members(run.record.id, foreach_groups(run.plan)))
        cells = [cell for cell in plan.jobs() if not cell.phase]
        records = self._store.runs.jobs(run.record.id, [cell.ordinal for cell in cells])
        failing = {JobStatus.FAILED, JobStatus.STOPPED}
        return [
            cell.label
            for cell, record in zip(cells, records, strict=True)
            if record is not None and record.status in failing and not record.allowed
        ]


def _date(created_ms: int, zone: str) -> str:
    try:
        return date_in(created_ms, zone)
    except UsageError as error:  # this machine lacks the zone
        raise EvalError(str(error)) from error


def _sources(node: Node) -> list[str]:
    """Return the expressions that the jobs of a node have evaluated: all but `foreach`, which makes jobs."""
    group = node.concurrency.group if node.concurrency is not None else None
    action = node.action
    values: list[Json] = [node.env, node.workdir, list(action.args), action.kwargs, action.variables, action.message, group]
    values.append(dict(node.resources))
    if node.cache is not None:
        values += [node.cache.key, *node.cache.inputs, *node.cache.outputs]
    values += [value for item in node.artifacts for value in item.path] + [item.to for item in node.fetch]
    return [source for value in values for source in _expressions(value)] + ([node.condition] if node.condition else [])


def _reads_of_cells(node: Node) -> tuple[str, ...]:
    """Return the nodes whose values the cells of a foreach use. What only `foreach` uses can be a list of all their items: it is not for each of them."""
    sources = [source for source in _sources(node) if "jobs" in source]
    paths = [reference.path for source in sources for reference in parse(source).references()]
    used = {f"{node.scope}{path[1]}" for path in paths if path[0] == "jobs"}  # the compiler lets no other use of `jobs` pass
    return tuple(name for name in node.reads if name in used)


def _uses_of_run(node: Node) -> frozenset[str]:
    """Return what the expressions of a node use of a run that is not the same from its beginning to its end."""
    used: set[str] = set()
    for source in (*_sources(node), *([node.foreach] if node.foreach else ())):
        if "run" in source:  # most do not, and parsing takes a while
            for reference in parse(source).references():
                if reference.path[:1] == ("run",):
                    used |= set(_CHANGING) if len(reference.path) == 1 else {str(reference.path[1])} & set(_CHANGING)
    return frozenset(used)


def _expressions(value: Json) -> Iterator[str]:
    if isinstance(value, Mapping):
        if "$" in value and len(value) == 1:
            yield value["$"]
            return
        for item in value.values():
            yield from _expressions(item)
    elif isinstance(value, list):
        for item in value:
            yield from _expressions(item)


def _files_of(record: RunRecord) -> str:
    if not record.bundle:
        return ""
    from flowq.bundles.cache import BundleCache

    return BundleCache().directory(record.id, record.bundle)
