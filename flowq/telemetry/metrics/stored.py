"""Samples of what the store has counted, and of what there is at this moment."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Final

from flowq import __version__
from flowq.schedules.users.attention import is_shared
from flowq.states import RunStatus
from flowq.store.page.stats import Count
from flowq.telemetry.metrics.samples import Histogram, Sample, bounded, sample
from flowq.telemetry.metrics.schedules import schedule_samples

if TYPE_CHECKING:
    from flowq.store import Store
    from flowq.store.schema.records import WorkerRecord

_DURATION: Final = "flowq_job_duration_seconds"
_WAIT: Final = "flowq_job_wait_seconds"
_RUN: Final = "flowq_run_duration_seconds"
_ZEROED: Final = (RunStatus.FINISHED, RunStatus.FAILED)


def stored_samples(store: "Store") -> Iterator[Sample]:
    """Yield samples of all that every process sees alike.

    Raises:
        ServerError: the server cannot be used.
    """
    yield sample("flowq_info", 1, version=__version__)
    yield from _counted(store.stats.counts())
    runs = sorted(store.stats.runs().items())
    yield from bounded((sample("flowq_runs", count, flow=flow, status=status) for (flow, status), count in runs), "flow")
    workers = store.workers.live()
    yield from _workers(workers)
    yield from bounded(_queues(store, workers), "queue")
    yield from schedule_samples(store)


def _counted(counts: Iterable[Count]) -> Iterator[Sample]:
    """Yield the counters of the store; what is counted by more than the labels of a metric is added up."""
    jobs: Counter[tuple[str, str, str, str]] = Counter()
    runs: Counter[tuple[str, str, str]] = Counter()
    times: defaultdict[tuple[str, str], Histogram] = defaultdict(Histogram)
    lost = 0
    for count in counts:
        match count.kind, count.labels:
            case "job", (status, reason, took, waited):
                jobs[count.first, count.second, status, reason] += count.value
                if took:
                    times[_DURATION, count.second].add(_seconds(took), count.value)
                    times[_WAIT, count.second].add(_seconds(waited), count.value)
            case "run", (status, cause, took):
                for known in (
                    _ZEROED
                ):  # a series that begins with 1 has not increased for Prometheus: no alert would see the first failure
                    runs[count.first, known, cause] += 0
                runs[count.first, status, cause] += count.value
                if took:
                    times[_RUN, count.first].add(_seconds(took), count.value)
            case "slot", (outcome,):
                yield sample("flowq_schedule_slots_total", count.value, schedule=count.first, outcome=outcome)
            case "lost", _:
                lost += count.value
    for (flow, queue, status, reason), value in jobs.items():
        yield sample("flowq_jobs_total", value, flow=flow, queue=queue, status=status, reason=reason)
    for (flow, status, cause), value in runs.items():
        yield sample("flowq_runs_total", value, flow=flow, status=status, cause=cause)
    yield sample("flowq_leases_lost_total", lost)
    for (name, named), histogram in times.items():
        yield from histogram.samples(name, **{"flow" if name == _RUN else "queue": named})


def _seconds(bound: str) -> float:
    return float(bound) / 1000


def _workers(workers: Iterable["WorkerRecord"]) -> Iterator[Sample]:
    states = Counter({"idle": 0, "busy": 0, "away": 0, "stopping": 0})
    up: dict[str, bool] = {}
    busy = free = 0
    for worker in workers:
        states[worker.state or "idle"] += 1
        busy += worker.busy
        free += max(0, worker.slots - worker.busy)
        if worker.executor:
            up[worker.executor] = up.get(worker.executor, False) or worker.state != "away"
    for state, count in states.items():
        yield sample("flowq_workers", count, state=state)
    yield sample("flowq_slots", busy, state="busy")
    yield sample("flowq_slots", free, state="free")
    yield from bounded((sample("flowq_executor_up", value, executor=name) for name, value in sorted(up.items())), "executor")


def _queues(store: "Store", workers: Iterable["WorkerRecord"]) -> Iterator[Sample]:
    """Yield samples of queues. Those of local runs are left out: the command that started such a run serves them."""
    serving = Counter(queue for worker in workers for queue in worker.queues if is_shared(queue))
    names = sorted({*serving, *filter(is_shared, store.queues.names())})
    for state in store.stats.queues(names):
        for status, count in state.jobs.items():
            yield sample("flowq_queue_jobs", count, queue=state.name, state=str(status))
        yield sample("flowq_queue_oldest_seconds", state.oldest or 0.0, queue=state.name)
        yield sample("flowq_queue_workers", serving[state.name], queue=state.name)
