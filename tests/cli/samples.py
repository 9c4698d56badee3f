"""Constructed runs for the tests of views and layouts: every status, every kind of note, hostile names."""

from collections.abc import Mapping
from pathlib import Path

from flowq.flows.views.run_view import RunView, Snapshot, run_view
from flowq.ids import member_id
from flowq.plan import Action, Cell, Edge, Node, Plan, RetryPolicy, cell_name
from flowq.states import JobStatus, RunStatus
from flowq.store.schema.records import JobRecord, RunRecord

RUN = "7k2m9x0d"
START = 1_769_839_200_123  # 2026-01-31T06:00:00.123Z
NOW = START + 12_300

_SHELL = Action(kind="shell", script="true")


def file() -> str:
    """Return the path of the flow file, in the working directory: output names it as it is typed there."""
    return str(Path.cwd() / "nightly.yaml")


def node(name: str, line: int, *, queue: str = "default", retries: int = 0, matrix: bool = False) -> Node:
    """Return a node with the fields that views read."""
    retry = RetryPolicy(retries) if retries else None
    return Node(name=name, line=line, action=_SHELL, queue=queue, timeout=600.0, retry=retry, matrix=matrix)


def matrix_cells(first: int, node_index: int, name: str, axes: list[dict[str, str]], parents: tuple[Edge, ...]) -> list[Cell]:
    """Return the cells of a matrix and the group that counts them."""
    cells = [
        Cell(first + index, cell_name(name, values), node_index, parents, matrix=values) for index, values in enumerate(axes)
    ]
    edges = tuple(Edge(cell.ordinal, "done") for cell in cells)
    return [*cells, Cell(first + len(cells), name, node_index, edges, group=True)]


def report_plan() -> Plan:
    """Return the plan of a small flow with a matrix of four cells."""
    nodes = (
        node("list-files", 12),
        node("fetch", 18, retries=2),
        node("build", 24, queue="cpu", retries=1, matrix=True),
        node("spellcheck", 33),
        node("backfill", 38, queue="gpu"),
        node("publish", 41),
    )
    axes = [{"fmt": fmt, "lang": lang} for fmt in ("pdf", "html") for lang in ("en", "de")]
    cells = [
        Cell(0, "list-files", 0),
        Cell(1, "fetch", 1, (Edge(0),)),
        *matrix_cells(2, 2, "build", axes, (Edge(1),)),
        Cell(7, "spellcheck", 3, (Edge(1),)),
        Cell(8, "backfill", 4, (Edge(0),)),
        Cell(9, "publish", 5, (Edge(6), Edge(7, "done"), Edge(8, "ok"))),
    ]
    return Plan(name="nightly-report", nodes=nodes, cells=tuple(cells), file=file())


def job(
    ordinal: int,
    status: JobStatus,
    *,
    at: float | None = None,
    took: float | None = None,
    attempt: int = 1,
    reason: str | None = None,
    allowed: bool = False,
    queue: str = "default",
    due: float | None = None,
) -> JobRecord:
    """Return a job's record; `at`, `due` in seconds after the start of the run, `took` in seconds."""
    started = None if at is None else START + int(at * 1000)
    return JobRecord(
        id=member_id(RUN, ordinal),
        status=status,
        queue=queue,
        run=RUN,
        ordinal=ordinal,
        reason=reason,
        started_ms=started,
        ended_ms=None if started is None or took is None else started + int(took * 1000),
        due_ms=None if due is None else START + int(due * 1000),
        attempt=attempt if at is not None else 0,
        execution=attempt,
        worker="host-1.4711" if at is not None else None,
        allowed=allowed,
    )


def run_record(
    status: RunStatus, total: int, *, ended: float | None = None, local: bool = True, attempt: int = 1, timed_out: bool = False
) -> RunRecord:
    """Return a run's record; `ended` in seconds after its start."""
    return RunRecord(
        id=RUN,
        flow="nightly-report",
        status=status,
        attempt=attempt,
        created_ms=START - 40,
        started_ms=START,
        ended_ms=None if ended is None else START + int(ended * 1000),
        directory="/srv/flows",
        file=file(),
        local=local,
        params='{"day":"2026-01-31","full":false}',
        labels='{"team":"data"}',
        total=total,
        open=0 if ended is not None else 1,
        warnings=1,
        canceling=False,
        timed_out=timed_out,
        retention=86400.0,
        counts={},
    )


def view(
    plan: Plan, run: RunRecord, jobs: Mapping[int, JobRecord], errors: Mapping[int, str], unserved: frozenset[str]
) -> RunView:
    """Return a view of records by ordinal."""
    records = [jobs.get(cell.ordinal) for cell in plan.cells]
    return run_view(plan, Snapshot(run, records, errors, unserved, NOW))


TRACEBACK = (
    'Traceback (most recent call last):\n  File "/srv/flows/build.py", line 7, in build\n    raise ValueError("no template for de")\n'
    "ValueError: no template for de\n"
)


def failed_run() -> RunView:
    """Return a failed run: a matrix cell with a traceback, a job allowed to fail, a skipped one, a retried one."""
    done, failed = JobStatus.FINISHED, JobStatus.FAILED
    jobs = {
        0: job(0, done, at=0.0, took=0.12),
        1: job(1, done, at=0.15, took=3.4, attempt=2),
        2: job(2, done, at=3.6, took=0.52),
        3: job(3, failed, at=3.6, took=0.61, attempt=2, reason="error"),
        4: job(4, done, at=4.2, took=0.5),
        5: job(5, done, at=4.3, took=61.0),
        7: job(7, failed, at=3.6, took=0.2, reason="error", allowed=True),
        8: job(8, JobStatus.SKIPPED, reason="if_false", queue="gpu"),
        9: job(9, JobStatus.SKIPPED, reason="upstream_failed"),
    }
    errors = {3: TRACEBACK, 7: "exit code 2"}
    return view(report_plan(), run_record(RunStatus.FAILED, 9, ended=65.4, attempt=2), jobs, errors, frozenset())


def running_run(*, local: bool = False) -> RunView:
    """Return an active run: jobs running, queued without a worker, waiting for a retry, waiting for others."""
    jobs = {
        0: job(0, JobStatus.FINISHED, at=0.0, took=0.12),
        1: job(1, JobStatus.FINISHED, at=0.15, took=3.4),
        2: job(2, JobStatus.FINISHED, at=3.6, took=0.52, queue="cpu"),
        3: job(3, JobStatus.STARTED, at=4.0, queue="cpu", attempt=2),
        4: job(4, JobStatus.SCHEDULED, at=4.2, queue="cpu", due=16.0),
        5: job(5, JobStatus.QUEUED, queue="cpu"),
        7: job(7, JobStatus.STARTED, at=3.6),
        8: job(8, JobStatus.QUEUED, queue="gpu"),
        9: job(9, JobStatus.DEFERRED),
    }
    return view(report_plan(), run_record(RunStatus.RUNNING, 9, local=local), jobs, {4: "exit code 75"}, frozenset({"gpu"}))
