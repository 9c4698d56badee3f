"""The blocks of the table: which workers execute which task, and which figures are compared."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import Enum
from typing import Final

from benchmarks import contestants as who
from benchmarks.contestants import ALONE, OWN, Worker


@dataclass(frozen=True, slots=True)
class Task:
    """A workload: a task of `benchmarks.driver`.

    `count` is its number of jobs; without it, the number of the command line divided by `share`. With `standing` the worker runs first
    and the driver measures; otherwise the driver only fills the queue, and the marks of the jobs time the worker.
    """

    name: str
    count: int | None = None
    share: int = 1
    standing: bool = False

    def jobs(self, asked: int) -> int:
        """Return the number of jobs of the task; `asked` is that of the command line."""
        return self.count or max(asked // self.share, 2)


class Ratio(Enum):
    """The way in which a figure is compared with that of the first line of its block."""

    MORE = "more is better: the first line divided by this one"
    LESS = "less is better: this line divided by the first one"
    COST = "less is better, and never less than the baseline: the first line divided by this one"


@dataclass(frozen=True, slots=True)
class Line:
    """One figure of one contestant. `goal` is for the figure in lines of flowq, else for the ratio."""

    worker: Worker
    task: Task
    figure: str
    goal: str = ""


@dataclass(frozen=True, slots=True)
class Block:
    """Lines that are compared with the first one, which is flowq's."""

    title: str
    lines: tuple[Line, ...]
    ratio: Ratio = Ratio.MORE


Goals = dict[Worker, str]


def _lines(task: Task, figure: str, workers: Iterable[Worker], goals: Goals | None = None) -> tuple[Line, ...]:
    # Dask has no queue to fill before its workers start: its driver submits the same jobs while they run.
    stream = Task("throughput", task.count, standing=True)
    return tuple(
        Line(worker, task if worker.command or task.standing else stream, figure, (goals or {}).get(worker, ""))
        for worker in workers
    )


def _commands() -> tuple[Block, ...]:
    task = Task("startup", 5, standing=True)
    compared = (
        ("flowq --help", "python -c pass", "<= 8 x"),
        ("flowq status", "import redis", "<= 2 x"),
        ("flowq run, one job, no server yet", "import redis", "<= 3 x"),
    )
    workers = {name: Worker(name, "flowq", "", OWN) for names in compared for name in names[:2]}
    return tuple(
        Block(f"a command: {own}, ms", (Line(workers[own], task, own), Line(workers[other], task, other, goal)), Ratio.COST)
        for own, other, goal in compared
    )


_SINGLES: Final = Task("singles")
_HEAVY: Final = Task("heavy")
_FAN_300, _FAN_1200 = Task("fan", 300), Task("fan", 1200)
_LATENCY: Final = Task("latency", 100, standing=True)
_METG: Final = (who.FLOWQ_2_FLOW, who.FLOWQ_BATCH_2_FLOW, who.FLOWQ_SIMPLE_2, who.DASK_2)
_METG_GOALS: Final = {who.FLOWQ_2_FLOW: "<= 4 ms", who.FLOWQ_BATCH_2_FLOW: "<= 1 ms"}
_POOLS: Final = (who.CELERY, who.CELERY_SOLO, who.DRAMATIQ, who.HUEY, who.SAQ, who.DASK)
_REUSED: Final = (who.CELERY, who.DRAMATIQ, who.HUEY, who.SAQ, who.DASK)
_REUSED_4: Final = (who.CELERY_4, who.DRAMATIQ_4, who.HUEY_4, who.SAQ_4, who.DASK_4)
_ON_REDIS: Final = (who.FLOWQ, who.FLOWQ_SIMPLE, who.RQ, who.RQ_SIMPLE, who.CELERY, who.DRAMATIQ, who.HUEY, who.SAQ)
_TWO_SLOTS: Final = (who.FLOWQ_2_FLOW, who.FLOWQ_2, who.RQ_2, who.CELERY_2, who.DRAMATIQ_2, who.HUEY_2, who.DASK_2)
_IDLE: Final = (who.FLOWQ, who.RQ, who.CELERY, who.DRAMATIQ, who.HUEY, who.SAQ, who.DASK)

BLOCKS: Final = (
    Block(
        "no-op jobs, one slot, jobs/s",
        (
            *_lines(_SINGLES, "rate", (who.FLOWQ, who.RQ), {who.RQ: ">= 14 x"}),
            *_lines(
                replace(_SINGLES, share=200), "rate", (who.CELERY_FORK,)
            ),  # its pool replaces children only every five seconds
            *_lines(_SINGLES, "rate", _POOLS),
        ),
    ),
    Block(
        "no-op jobs, four slots, jobs/s",
        _lines(
            _SINGLES,
            "rate",
            (who.FLOWQ_4, who.RQ, who.RQ_4, who.CELERY_4, who.DRAMATIQ_4, who.HUEY_4, who.SAQ_4, who.DASK_4),
            {who.RQ: ">= 16 x"},
        ),
    ),
    Block(
        "no-op jobs, one slot, a process for many jobs, jobs/s",
        _lines(_SINGLES, "rate", (who.FLOWQ_BATCH, *_REUSED), dict.fromkeys(_REUSED, ">= 1 x") | {who.HUEY: ">= 0.9 x"}),
    ),
    Block(
        "no-op jobs, four slots, a process for many jobs, jobs/s",
        _lines(
            _SINGLES,
            "rate",
            (who.FLOWQ_BATCH_4, who.FLOWQ_SIMPLE_4, *_REUSED_4),
            dict.fromkeys(_REUSED_4, ">= 1 x") | {who.HUEY_4: ">= 0.9 x"},
        ),
    ),
    Block(
        "no-op jobs, a worker in your own program, jobs/s",
        _lines(_SINGLES, "rate", (who.FLOWQ_WORK, who.RQ_WORK), {who.RQ_WORK: ">= 8 x"}),
    ),
    Block(
        "no-op jobs, one slot, without isolation, jobs/s",
        _lines(_SINGLES, "rate", (who.FLOWQ_SIMPLE, who.RQ_SIMPLE, *_POOLS), {who.RQ_SIMPLE: ">= 12 x"}),
    ),
    Block("round trips per job", _lines(_SINGLES, "trips", _ON_REDIS, {who.FLOWQ: "1"}), Ratio.LESS),
    Block("new connections per job", _lines(_SINGLES, "connections", _ON_REDIS, {who.FLOWQ: "0"}), Ratio.LESS),
    Block("CPU time of the server per job, us", _lines(_SINGLES, "server", _ON_REDIS), Ratio.LESS),
    Block(
        "a job whose module imports numpy, jobs/s",
        (
            *_lines(_HEAVY, "rate", (who.FLOWQ_PRELOAD, who.FLOWQ)),
            *_lines(replace(_HEAVY, share=20), "rate", (who.RQ,), {who.RQ: ">= 50 x"}),
        ),
    ),
    Block("1 -> 300 -> 1, a process per job, jobs/s", _lines(_FAN_300, "rate", (who.FLOWQ, who.RQ))),
    Block("1 -> 300 -> 1, without isolation, jobs/s", _lines(_FAN_300, "rate", (who.FLOWQ_SIMPLE, who.RQ_SIMPLE))),
    Block(
        "1 -> 1200 -> 1, one slot, jobs/s",
        _lines(
            _FAN_1200,
            "rate",
            (who.FLOWQ_SIMPLE, who.FLOWQ, who.RQ_SIMPLE, who.CELERY, who.DASK),
            {who.RQ_SIMPLE: ">= 60 x"},
        ),
    ),
    Block(
        "1 -> 200 -> 1, two slots, from submission to the last line, ms",
        _lines(
            Task("span", 200, standing=True),
            "ms",
            (who.FLOWQ_2_FLOW, who.FLOWQ_2, who.RQ_2, who.CELERY_2, who.DASK_2),
            {who.FLOWQ_2_FLOW: "<= 150 ms"},
        ),
        Ratio.LESS,
    ),
    Block(
        "a chain of 40 short jobs, two slots, from submission to the last line, ms",
        _lines(Task("chain", 40, standing=True), "ms", _TWO_SLOTS, {who.FLOWQ_2_FLOW: "<= 50 ms"}),
        Ratio.LESS,
    ),
    Block(
        "idle worker, from submission to the job's first line, p50, ms",
        _lines(_LATENCY, "p50", _IDLE, {who.FLOWQ: "<= 1 ms"}),
        Ratio.LESS,
    ),
    Block(
        "idle worker, from submission to the job's first line, p99, ms",
        _lines(_LATENCY, "p99", _IDLE, {who.FLOWQ: "<= 3 ms"}),
        Ratio.LESS,
    ),
    Block(
        "METG(50 %), stencil of 4 x 50 jobs, ms",
        _lines(Task("metg_stencil", 200, standing=True), "metg", _METG, _METG_GOALS),
        Ratio.LESS,
    ),
    Block(
        "METG(50 %), 1 -> 200 -> 1, ms", _lines(Task("metg_fan", 200, standing=True), "metg", _METG, _METG_GOALS), Ratio.LESS
    ),
    Block("enqueue, one call each, jobs/s", _lines(Task("enqueue", standing=True), "rate", ALONE, {ALONE[1]: ">= 3 x"})),
    Block(
        "enqueue many at once, jobs/s",
        _lines(Task("enqueue_many", standing=True), "rate", ALONE[:2], {ALONE[0]: ">= 50,000"}),
    ),
    *_commands(),
    Block(
        "10,000 jobs of a flow, from the command to its end, s",
        _lines(Task("whole", 10_000, standing=True), "s", (who.FLOWQ_RUN,), {who.FLOWQ_RUN: "<= 12 s"}),
        Ratio.LESS,
    ),
)
