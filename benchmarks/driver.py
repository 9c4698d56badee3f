"""The client side of a measurement: submits jobs with a library, in that library's own environment.

    python -m benchmarks.driver LIBRARY TASK N

LIBRARY is a module of `benchmarks.libraries`, TASK a function below. Some tasks only fill a queue; the others print their figures as one
JSON object. The server is `BENCHMARK_URL`; `BENCHMARK_MARKS` is a pipe to which jobs write the time.
"""

import importlib
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Final

from benchmarks import noop, patterns
from benchmarks.marks import Marks
from benchmarks.metg import cores_to_be_had, smallest_granularity
from benchmarks.patterns import Call, Submit

MISSING: Final = "not available"  # prefix of the reason when the library lacks a feature
_MARKS: Final = os.environ.get("BENCHMARK_MARKS", "")
_MARK: Final[Call] = (noop.mark, _MARKS)
_REPEATS: Final = 5  # of measurements that take a fraction of a second, with a running worker
_REST: Final = 0.02  # s after which a worker that has just written its mark is idle again

Figures = dict[str, float]


def singles(library: ModuleType, count: int) -> None:
    """Fill the queue with jobs that do nothing, between two marks."""
    for call in (_MARK, *[(noop.noop,)] * count, _MARK):
        library.put(call)


def heavy(library: ModuleType, count: int) -> None:
    """Fill the queue with jobs whose module imports much, between two marks."""
    from benchmarks.heavy import heavy as job  # only this task pays for the import

    for call in (_MARK, *[(job,)] * count, _MARK):
        library.put(call)


def fan(library: ModuleType, count: int) -> None:
    """Fill the queue with a mark, jobs that wait for it, and a mark that waits for all of them."""
    _fan(library, _MARK, [(noop.noop,)] * count, _MARK)()


def enqueue(library: ModuleType, count: int) -> Figures:
    """Return the jobs per second that one process enqueues one by one."""
    library.put((noop.noop,))  # connects
    begun = time.perf_counter()
    for _ in range(count):
        library.put((noop.noop,))
    return {"rate": count / (time.perf_counter() - begun)}


def enqueue_many(library: ModuleType, count: int) -> Figures:
    """Return the jobs per second that one process enqueues in one call."""
    put_many = _offered(library, "put_many", "a way to enqueue many jobs at once")
    library.put((noop.noop,))
    begun = time.perf_counter()
    put_many([(noop.noop,)] * count)
    return {"rate": count / (time.perf_counter() - begun)}


def chain(library: ModuleType, count: int) -> Figures:
    """Return the milliseconds from the submission of a chain of short jobs to its last line, with running workers."""
    return _seconds(library, lambda: _chain(library, [*[(noop.short,)] * count, _MARK]))


def span(library: ModuleType, count: int) -> Figures:
    """Return the milliseconds from the submission of 1 -> count -> 1 to its last line, with running workers."""
    return _seconds(library, lambda: _fan(library, (noop.noop,), [(noop.noop,)] * count, _MARK))


def throughput(library: ModuleType, count: int) -> Figures:
    """Return the jobs per second between two marks, with running workers: for libraries without a queue to fill beforehand."""
    with Marks(_MARKS) as marks:
        _ready(library, marks)
        submit = _fan(library, _MARK, [(noop.noop,)] * count, _MARK)
        submit()
        first = marks.read()
        return {"rate": (count + 1) * 1e9 / (marks.read() - first)}


def latency(library: ModuleType, count: int) -> Figures:
    """Return the milliseconds from enqueueing a job for an idle worker to its first line, as median and 99th percentile."""
    with Marks(_MARKS) as marks:
        _ready(library, marks)
        times: list[float] = []
        for _ in range(count):
            time.sleep(_REST)
            library.put((noop.since, _MARKS, time.monotonic_ns()))
            times.append(marks.read() / 1e6)
    return {"p50": statistics.median(times), "p99": statistics.quantiles(times, n=100, method="inclusive")[98]}


def metg_stencil(library: ModuleType, count: int) -> Figures:
    """Return METG(50 %) of a stencil with four columns, in milliseconds."""
    return _metg(library, count, lambda job: patterns.stencil(4, count // 4, job, _MARK))


def metg_fan(library: ModuleType, count: int) -> Figures:
    """Return METG(50 %) of a fan, in milliseconds."""
    return _metg(library, count, lambda job: patterns.fan((noop.noop,), [job] * count, _MARK))


def startup(_library: ModuleType, count: int) -> Figures:
    """Return the durations of flowq's commands and of their baselines, in milliseconds."""
    from benchmarks.startup import startup as measured

    return measured(count)


def whole(_library: ModuleType, count: int) -> Figures:
    """Return the seconds of `flowq run --workers 2` of a grid of jobs that do nothing, from the command to its end, on a server of its own."""
    from benchmarks.whole import measure, stencil  # nothing that the peers' environments have

    return {"s": measure(stencil(count), 2)[0]}


def _metg(library: ModuleType, count: int, nodes_with: Callable[[Call], Sequence[patterns.Node]]) -> Figures:
    graph = _offered(library, "graph", "graphs")
    with Marks(_MARKS) as marks:
        _ready(library, marks)

        def wall(duration: float) -> float:
            return _timed(graph(nodes_with((noop.spin, duration))), marks)

        cores = cores_to_be_had(os.cpu_count() or 1)
        try:
            return {"metg": smallest_granularity(wall, tasks=count, cores=cores) * 1000, "cores": cores}
        except ValueError as error:  # caused by the load of the machine, not by the library
            sys.exit(f"{MISSING}: {error}")


def _seconds(library: ModuleType, prepare: Callable[[], Submit]) -> Figures:
    with Marks(_MARKS) as marks:
        _ready(library, marks)
        return {"ms": statistics.median(_timed(prepare(), marks) for _ in range(_REPEATS)) * 1000}


def _timed(submit: Submit, marks: Marks) -> float:
    time.sleep(_REST)
    begun = time.monotonic_ns()
    submit()
    return (marks.read() - begun) / 1e9


def _ready(library: ModuleType, marks: Marks) -> None:
    """Wait until a worker executes jobs."""
    library.put(_MARK)
    marks.read()


def _chain(library: ModuleType, calls: Sequence[Call]) -> Submit:
    if hasattr(library, "graph"):
        return library.graph(patterns.chain(calls))  # type: ignore[no-any-return]
    return _offered(library, "chain", "chains")(calls)


def _fan(library: ModuleType, first: Call, middle: Sequence[Call], last: Call) -> Submit:
    if hasattr(library, "graph"):
        return library.graph(patterns.fan(first, middle, last))  # type: ignore[no-any-return]
    return _offered(library, "fan", "one job, many that depend on it, and one that depends on those")(first, middle, last)


def _offered(library: ModuleType, name: str, what: str) -> Callable[..., Submit]:
    found: Callable[..., Submit] | None = getattr(library, name, None)
    if found is None:
        sys.exit(f"{MISSING}: {library.__name__.rpartition('.')[2]} has no {what}")
    return found


_TASKS: Final = (
    singles,
    heavy,
    fan,
    enqueue,
    enqueue_many,
    chain,
    span,
    throughput,
    latency,
    metg_stencil,
    metg_fan,
    startup,
    whole,
)


def main(name: str, task: str, count: int) -> None:
    """Execute one task with one library."""
    try:
        library = importlib.import_module(f"benchmarks.libraries.{name}")
    except ModuleNotFoundError as error:
        sys.exit(f"{MISSING}: {error.name} is not installed")
    figures = {function.__name__: function for function in _TASKS}[task](library, count)
    if figures is not None:
        print(json.dumps(figures), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
