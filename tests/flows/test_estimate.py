"""Critical path and durations, computed by hand and compared with measured runs."""

import os
from dataclasses import dataclass, replace
from heapq import heappop, heappush
from pathlib import Path

import pytest

from benchmarks.graph2flow import Options, convert, read
from flowq.cli.follow.live_display import frame
from flowq.cli.render.gantt import gantt_lines
from flowq.cli.terminal import Terminal
from flowq.compiler import compile_text
from flowq.flows.actions.submit import submit
from flowq.flows.forecast.duration import critical_path, forecast
from flowq.flows.forecast.history import NOTHING, History, PastRun, read_history, summarize
from flowq.flows.forecast.makespan import makespan, overhead_of
from flowq.flows.forecast.outcomes import predict_ends
from flowq.flows.forecast.outlook import Outlook, outlook
from flowq.flows.forecast.ranks import expected_ranks
from flowq.flows.forecast.ranks import ranks as ranks_of
from flowq.flows.render.gantt import bars
from flowq.flows.views.snapshot import read_view
from flowq.plan import Plan
from flowq.states import JobStatus, RunStatus
from flowq.store import Store
from flowq.store.schema.records import JobRecord
from tests.cli import golden, samples
from tests.examples.corpora import graph_file
from tests.examples.running import ROOT
from tests.support.graphs import Extra, plan
from tests.support.server import PrivateServer
from tests.support.slot_driver import Driver
from tests.support.workers import WorkerProcess, ended

DIAMOND = plan({"a": [], "b": ["a"], "c": ["a"], "d": ["b", "c"]})


def names(made: Plan, ordinals: tuple[int, ...]) -> list[str]:
    return [made.cells[ordinal].name for ordinal in ordinals]


def test_the_critical_path_is_the_longest_by_time() -> None:
    assert names(DIAMOND, critical_path(DIAMOND, (1.0, 5.0, 1.0, 1.0))) == ["a", "b", "d"]
    assert names(DIAMOND, critical_path(DIAMOND, (1.0, 5.0, 9.0, 1.0))) == ["a", "c", "d"]
    single = plan({"a": []})
    assert names(single, critical_path(single, (3.0,))) == ["a"]
    cells = plan({"a": [], "m": ["a"], "z": ["m"]}, cells={"m": 3})
    assert names(cells, critical_path(cells, (1.0, 1.0, 7.0, 1.0, 0.0, 1.0))) == ["a", "m[n=1]", "z"]
    assert critical_path(Plan("empty", (), ()), ()) == ()


@pytest.mark.parametrize(("slots", "seconds"), [(1, 8.0), (2, 7.0), (3, 7.0)])
def test_the_duration_for_a_number_of_workers(slots: int, seconds: float) -> None:
    assert makespan(DIAMOND, (1.0, 5.0, 1.0, 1.0), slots) == seconds


@pytest.mark.parametrize(("slots", "seconds"), [(1, 14.0), (9, 11.0)])
def test_delays_and_approvals_take_time_and_no_slot(slots: int, seconds: float) -> None:
    text = "jobs: {a: {run: x, delay: 5}, ok: {approval: sure}, b: {run: x}, c: {depends_on: [a, ok], run: x, delay: 3}, d: {run: x}}"
    made = compile_text(text).plan
    assert made is not None
    taken = {"a": 1.0, "ok": 7.0, "b": 4.0, "c": 1.0, "d": 5.0}
    times = tuple(taken[cell.name] for cell in made.cells)
    assert makespan(made, times, slots) == seconds
    found = forecast(made, predict_ends(made), History(1, taken, taken))
    assert found is not None
    assert (found.names(), found.path_seconds) == (["ok", "c"], 11.0)


@pytest.mark.parametrize(("slots", "seconds"), [(1, 8.0), (2, 6.0), (9, 6.0)])
def test_jobs_of_a_concurrency_group_take_turns(slots: int, seconds: float) -> None:
    limit = "concurrency: {group: one, max: 1}"
    made = compile_text(f"jobs: {{a: {{matrix: {{n: [1, 2]}}, {limit}, run: x}}, b: {{{limit}, run: x}}, c: {{run: x}}}}").plan
    assert made is not None
    assert makespan(made, [0.0 if cell.group else 2.0 for cell in made.cells], slots) == seconds


def test_the_outlook_of_a_delayed_job(store: Store, tmp_path: Path) -> None:
    made = compile_text("jobs: {a: {run: x, delay: 1h}, b: {depends_on: a, run: x, delay: 10}}").plan
    assert made is not None
    run = read_view(store, submit(store, made, directory=tmp_path))
    known = outlook(made, History(1, {"a": 1.0, "b": 1.0}, {}), 1)
    assert known is not None
    assert known.left(run) == pytest.approx(3612, abs=5)


def test_a_cached_result_does_not_count_for_the_duration_of_a_job() -> None:
    single = plan({"a": []})
    ran = samples.job(0, JobStatus.FINISHED, at=0.0, took=8.0)
    cached = replace(samples.job(0, JobStatus.FINISHED, at=0.0, took=0.01), reason="cached")
    runs = [PastRun(single, [ran]), PastRun(single, [cached]), PastRun(single, [cached])]
    assert summarize(runs).cells == {"a": pytest.approx(8.0)}


def test_the_time_between_jobs_is_learnt_from_a_run() -> None:
    """A chain on one slot: 1 s each, and 0.1 s from the end of one to the start of the next."""
    chain = plan({"a": [], "b": ["a"], "c": ["b"]})
    records = [replace(samples.job(index, JobStatus.FINISHED, at=index * 1.1, took=1.0), ordinal=index) for index in range(3)]
    # Three jobs have two gaps: spread over three jobs, 0.0667 s each.
    assert overhead_of(chain, records) == pytest.approx(0.2 / 3, abs=0.001)
    assert overhead_of(chain, [None, None, None]) == 0.0
    assert makespan(DIAMOND, (1.0, 5.0, 1.0, 1.0), 2, 0.5) == 8.5


def test_a_matrix_waits_for_slots() -> None:
    cells = plan({"a": [], "m": ["a"], "z": ["m"]}, cells={"m": 4})
    seconds = (1.0, 2.0, 2.0, 2.0, 2.0, 0.0, 1.0)
    assert [makespan(cells, seconds, slots) for slots in (1, 2, 3, 4, 9)] == [10.0, 6.0, 6.0, 4.0, 4.0]


def test_medians_of_earlier_runs() -> None:
    made = samples.report_plan()
    rows = [[None] * len(made.cells) for _ in range(3)]
    for row, took in zip(rows, (1.0, 9.0, 2.0), strict=True):
        row[0] = samples.job(0, JobStatus.FINISHED, at=0, took=took)  # type: ignore[call-overload]
        row[2] = samples.job(2, JobStatus.FINISHED, at=0, took=took * 10)  # type: ignore[call-overload]
        row[7] = samples.job(7, JobStatus.FAILED, at=0, took=500)  # type: ignore[call-overload]
    history = summarize([PastRun(made, row, whole=False) for row in rows])
    assert history.expected(made, made.cells[0]) == 2.0
    assert history.expected(made, made.cells[3]) == 20.0  # another cell of the same job
    assert history.expected(made, made.cells[6]) == 0.0  # a group
    assert history.expected(made, made.cells[7]) is None  # the duration of a failure does not count
    expected = forecast(made, predict_ends(made), history)
    assert expected is not None
    assert expected.unknown == 4
    assert forecast(made, predict_ends(made), NOTHING) is None


GRAPHS = [("montage-chameleon-2mass-005d-001.json", 4), ("dax-cybershake_50.json", 2)]


@dataclass(frozen=True)
class Laboratory:
    """A runner of graphs of sleeping jobs on real workers, which measures them."""

    store: Store
    server: PrivateServer
    namespace: str
    directory: Path

    def plan(self, name: str) -> Plan:
        """Return a real workflow whose jobs sleep for the scaled durations of its tasks."""
        options = Options(action="sleep", scale=0.004, cap=0.2)
        made = compile_text(convert(read(graph_file(name)), options), date="2026-01-31").plan
        assert made is not None
        return made

    def run(self, made: Plan, slots: int) -> list[tuple[float, float]]:
        """Return start and end of every job by ordinal, in seconds since the first start."""
        environment = {"PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
        with WorkerProcess(self.server.url, "default", "-c", str(slots), namespace=self.namespace, env=environment):
            run = submit(self.store, made, directory=self.directory)
            records = ended(self.store, run, timeout=60)
        assert {record.status for record in records} == {JobStatus.FINISHED}
        times = [((record.started_ms or 0) / 1000, (record.ended_ms or 0) / 1000) for record in records]
        first = min(start for start, _end in times)
        return [(start - first, end - first) for start, end in times]


@pytest.fixture
def laboratory(store: Store, server: PrivateServer, namespace: str, tmp_path: Path) -> Laboratory:
    return Laboratory(store, server, namespace, tmp_path)


def took(times: list[tuple[float, float]]) -> float:
    return max(end for _start, end in times)


def gaps(made: Plan, times: list[tuple[float, float]], slots: int) -> list[float]:
    """Return for each job the time between its possible start, by the rules, and its real start: the overhead of the machine."""
    found = [0.0] * len(times)
    free = [0.0] * slots
    for ordinal in sorted(range(len(times)), key=lambda index: times[index]):
        released = max((times[edge.parent][1] for edge in made.cells[ordinal].parents), default=0.0)
        found[ordinal] = times[ordinal][0] - max(released, heappop(free))
        heappush(free, times[ordinal][1])
    return found


def assert_replayed(made: Plan, times: list[tuple[float, float]], count: int, ranks: list[int]) -> None:
    """Check that the rules of the prediction are those of the engine, on any machine.

    With the measured times of its jobs, and the measured time between a job's release and its start, the simulation takes as long as the
    run. The remaining difference comes from jobs of the same release that started in another order: a few of the shortest jobs.
    """
    waits = gaps(made, times, count)
    assert min(waits) > -0.002, "more jobs at once than slots, or before their parents had ended"
    seconds = [end - start + max(0.0, wait) for (start, end), wait in zip(times, waits, strict=True)]
    assert makespan(made, seconds, count, ranks=ranks) == pytest.approx(took(times), rel=0.05, abs=0.02)
    # Without the overhead of the machine it is a lower bound for all schedules of the same jobs.
    bare = [max(0.001, end - start) for start, end in times]
    assert max(sum(bare) / count, sum(bare[ordinal] for ordinal in critical_path(made, bare))) <= took(times) + 0.01


@pytest.mark.slow
@pytest.mark.parametrize(("name", "slots"), GRAPHS)
def test_predictions_hold_for_measured_runs(laboratory: Laboratory, name: str, slots: int) -> None:
    """Runs on one number of slots predict the duration on twice as many.

    A prediction assumes that the jobs take as long the next time, with the same overhead of the machine. The deviation from this is
    measured and allowed for: it is nothing on a quiet machine, and most of the difference on a busy one. For the rules themselves 15 %
    are allowed: the overhead of a job grows with the number of running jobs, and jobs of one release have no order.
    """
    made = laboratory.plan(name)
    errors: list[float] = []
    while len(errors) < 3 and sum(error < 0.15 for error in errors) < 2:  # the median of three is known after two good ones
        ranks = expected_ranks(laboratory.store, made)
        before = laboratory.run(made, slots)
        expected = forecast(made, predict_ends(made), read_history(laboratory.store, made.name))
        assert expected is not None
        predicted = expected.duration(2 * slots)
        later = expected_ranks(laboratory.store, made)
        after = laboratory.run(made, 2 * slots)
        if not errors:  # the second run knows the times of the first one, and goes by ranks
            assert later
            assert not ranks
            assert_replayed(made, before, slots, ranks)
            assert_replayed(made, after, 2 * slots, later)
        slower = abs(sum(map(seconds_of, after)) / sum(map(seconds_of, before)) - 1)
        dearer = abs(overhead_share(made, after, 2 * slots, later) - overhead_share(made, before, slots, ranks))
        errors.append(max(0.0, abs(predicted / took(after) - 1) - slower - dearer))
    assert sorted(errors)[1] < 0.15, errors


def seconds_of(time: tuple[float, float]) -> float:
    return max(0.001, time[1] - time[0])


def overhead_share(made: Plan, times: list[tuple[float, float]], slots: int, ranks: list[int]) -> float:
    """Return the share of a run that was not spent in its jobs."""
    return 1 - makespan(made, [seconds_of(time) for time in times], slots, ranks=ranks) / took(times)


@pytest.mark.parametrize(
    ("made", "seconds", "found"),
    [
        (
            DIAMOND,
            (1.0, 5.0, 1.0, 1.0),
            [26, 25, 22, 20],
        ),  # 7, 6, 2 and 1 s: twice the logarithm to the base 2 of the milliseconds
        (
            plan({"a": [], "b": ["a"], "c": []}, extra=Extra(nodes={"b": {"delay": 6.0}, "c": {"delay": 60.0}})),
            (1.0, 1.0, 1.0),
            [26, 20, 20],
        ),  # 8, 1 and 1 s: one that is queued has its own delay behind it
        (plan({"a": [], "b": []}), (1.0, 1.0), []),  # two jobs
        (plan({"a": [], "b": ["a"], "c": ["b"]}), (1.0, 1.0, 1.0), []),  # a chain
        (DIAMOND, (0.001, 0.004, 0.001, 0.001), []),  # not worth it
        (DIAMOND, (0.0, 0.0, 0.0, 0.0), []),  # nothing is known
        (plan({"a": [], "m": ["a"], "z": ["m"]}, cells={"m": 2}), (1.0, 1.0, 7.0, 0.0, 1.0), [26, 22, 26, 20, 20]),
    ],
)
def test_ranks_are_the_ways_to_the_end(made: Plan, seconds: tuple[float, ...], found: list[int]) -> None:
    assert ranks_of(made, seconds) == found


def test_a_run_goes_by_ranks_where_its_order_is_a_bad_one() -> None:
    made = plan({"a": [], "b": [], "c": [], "first": [], "then": ["first"]})
    seconds = (2.0, 2.0, 2.0, 2.0, 4.0)
    assert makespan(made, seconds, 2) == 8.0
    assert makespan(made, seconds, 2, ranks=ranks_of(made, seconds)) == 6.0


def test_the_ranks_of_a_run_are_those_of_the_last_one(
    store: Store, server: PrivateServer, namespace: str, tmp_path: Path
) -> None:
    """Also of a foreach, by its cells, and of jobs that are new."""
    text = (
        "jobs:\n  quick: {call: 'time:time'}\n  list: {call: 'json:loads', args: ['[1, 2]']}\n"
        "  each: {foreach: '${{ jobs.list.result }}', depends_on: [list], call: 'time:sleep', args: [0.2]}\n"
    )
    made, more = (compile_text(found).plan for found in (text, f"{text}  new: {{call: 'time:time'}}\n"))
    assert made is not None
    assert more is not None
    assert expected_ranks(store, made) == []
    with WorkerProcess(server.url, "default", "-c", "2", namespace=namespace):
        ended(store, submit(store, made, directory=tmp_path), timeout=60)
        of_cells = expected_ranks(store, made)[next(cell.ordinal for cell in made.cells if cell.name == "each")]
        by_name = dict(zip([cell.name for cell in more.cells], expected_ranks(store, more), strict=True))
        run = submit(store, made, directory=tmp_path)
        ended(store, run, timeout=60)
    assert by_name["list"] >= by_name["each"] >= 15  # of 200 ms
    known = sorted(by_name[name] for name in ("quick", "list", "each"))
    assert known[0] <= by_name["new"] <= known[2]
    cells = store.runs.jobs(run, range(len(made.cells), len(made.cells) + 2))
    assert {cell.fields["rank"] for cell in cells if cell} == {str(of_cells)}


@pytest.mark.parametrize(
    "stored", [b'{"version": 99}', b"{", b"\x78\x9cjunk", None], ids=["another version", "no JSON", "not packed", "gone"]
)
def test_a_last_run_that_cannot_be_read_says_nothing(store: Store, tmp_path: Path, stored: bytes | None) -> None:
    """A newer flowq may have been here before, and the record may be damaged: neither is a reason not to run the flow."""
    run = submit(store, DIAMOND, directory=tmp_path)
    driver = Driver(store)
    for _ in DIAMOND.cells:
        driver.end(driver.take())
        driver.settle()
    driver.close()
    assert store.runs.latest_finished("test") == run
    key = store.session.keys("plan", run)
    store.client.delete(key)
    if stored is not None:
        store.client.set(key, stored)
    assert expected_ranks(store, DIAMOND) == []
    assert read_history(store, "test") == NOTHING
    assert submit(store, DIAMOND, directory=tmp_path)


def test_the_remaining_time_of_a_run() -> None:
    made = samples.report_plan()
    jobs = {"list-files": 1.0, "fetch": 1.0, "build": 10.0, "spellcheck": 20.0, "backfill": 5.0, "publish": 2.0}
    history = History(1, {"list-files": 1.0}, jobs)
    left = Outlook(made, history, 2).left(samples.running_run())
    # 8.3 of 10 s have passed of one cell, 8.7 of 20 s of spellcheck; two cells wait, then publish takes 2 s.
    assert left == pytest.approx(23.7, abs=3.0)
    assert Outlook(made, history, 2).left(samples.failed_run()) == 0.0
    first = outlook(made, NOTHING, 2)
    assert first is not None
    assert first.left(samples.running_run()) is None


def left_of_a_sweep(ended: int, more: str = "", *, pause: float = 0.0) -> float | None:
    """Return what a first run of 30 cells still takes on one slot, with 0.2 s between them: of ten cells that have ended nine took 1 s, one 11 s.

    `pause`: seconds in which the run had no worker, after half of them.
    """
    made = compile_text(f"jobs: {{train: {{matrix: {{n: {list(range(30))}}}, run: x}}{more}}}").plan
    assert made is not None
    jobs: dict[int, JobRecord] = {}
    now = 0.0
    for cell in made.jobs():
        took = 11.0 if cell.ordinal % 10 == 9 else 1.0
        over = cell.ordinal < ended
        status = JobStatus.FINISHED if over else JobStatus.QUEUED
        jobs[cell.ordinal] = samples.job(cell.ordinal, status, at=now if over else None, took=took if over else None)
        now += took + 0.2 + (pause if cell.ordinal == ended // 2 else 0.0)
    run = samples.view(made, samples.run_record(RunStatus.RUNNING, len(jobs)), jobs, {}, frozenset())
    found = outlook(made, NOTHING, 1)
    assert found is not None
    return found.left(run)


def test_the_cells_of_a_first_run_tell_about_the_others() -> None:
    """On average a cell takes 2 s (the median says 1 s), and 0.2 s pass before the next one."""
    assert left_of_a_sweep(9) is None
    assert left_of_a_sweep(10) == pytest.approx(44, abs=0.5)
    assert left_of_a_sweep(20) == pytest.approx(22, abs=0.5)
    assert left_of_a_sweep(20, pause=800) == pytest.approx(22, abs=0.5)
    assert left_of_a_sweep(20, ", a: {run: x}") == pytest.approx(22, abs=0.5)
    assert left_of_a_sweep(20, ", a: {run: x}, b: {run: x}") is None  # a sixth of what is to come was never seen


def test_the_bars_of_a_gantt_chart() -> None:
    found = {bar.job.name: bar for bar in bars(samples.report_plan(), samples.failed_run())}
    assert set(found) == {job.name for job in samples.failed_run().jobs if job.started_ms is not None}
    assert [name for name, bar in found.items() if bar.critical] == ["list-files", "fetch", "build[fmt=html,lang=de]"]
    assert found["fetch"].begin == pytest.approx(0.15)
    assert found["fetch"].waited == pytest.approx(0.03)
    assert found["build[fmt=html,lang=en]"].waited == pytest.approx(0.65)
    assert found["build[fmt=html,lang=de]"].end == pytest.approx(65.3)
    assert (
        bars(
            samples.report_plan(),
            samples.view(samples.report_plan(), samples.run_record(RunStatus.RUNNING, 9), {}, {}, frozenset()),
        )
        == []
    )


@pytest.mark.parametrize("width", [80, 120])
def test_a_gantt_chart(width: int) -> None:
    lines = gantt_lines(bars(samples.report_plan(), samples.failed_run()), Terminal(width=width))
    golden.check(f"gantt-failed-{width}", golden.plain(lines))


@pytest.mark.parametrize("width", [10, 20, 37])
def test_a_gantt_chart_fits_narrow_terminals(width: int) -> None:
    lines = gantt_lines(bars(samples.report_plan(), samples.running_run()), Terminal(width=width, unicode=False))
    assert all(len(line) <= width and line.isascii() for line in golden.plain(lines).splitlines())


def test_the_progress_bar_shows_the_remaining_time() -> None:
    terminal = Terminal(width=80, height=10)
    assert "about 12s left" in golden.plain(frame(samples.running_run(), terminal, left=11.7))
    assert "about 2m05s left" in golden.plain(frame(samples.running_run(), terminal, left=125))
    assert "left" not in golden.plain(frame(samples.running_run(), terminal))
