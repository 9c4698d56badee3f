"""The tools of the benchmarks. `make bench` does the comparisons."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import bare, contestants, engines, fan, floors, history, patterns, whole
from benchmarks.__main__ import selected
from benchmarks.blocks import BLOCKS, Block, Line, Ratio, Task
from benchmarks.contestants import FLOWQ, FLOWQ_2_FLOW, FLOWQ_RUN, FLOWQ_SIMPLE, OWN, RQ, Worker
from benchmarks.driver import MISSING
from benchmarks.marks import Marks, MissingMarkError
from benchmarks.measure import figures, key
from benchmarks.metg import smallest_granularity
from benchmarks.process import MeasurementError, NotThereError
from benchmarks.table import render
from flowq.compiler import compile_text

SINGLES = Task("singles")
FIRST_AND_LAST = (
    "import os, time; from benchmarks.noop import mark; m = lambda: mark(os.environ['BENCHMARK_MARKS']); m(); {}; m()"
)


def python(code: str) -> Worker:
    """Return a worker that runs this code; the queue is filled for flowq, and no worker reads it."""
    return Worker("a script", "flowq", "", OWN, (sys.executable, "-c", code))


def test_the_rate_is_jobs_by_the_time_between_the_marks() -> None:
    assert 0 < figures(python(FIRST_AND_LAST.format("time.sleep(0.1)")), SINGLES, 9)["rate"] <= 100


def test_the_counts_of_the_server_are_those_of_the_jobs() -> None:
    asking = "from redis import Redis; c = Redis.from_url(os.environ['BENCHMARK_URL']); [c.ping() for _ in range(40)]; time.sleep(0.1)"
    found = figures(python(FIRST_AND_LAST.format(asking)), SINGLES, 19)
    assert found["trips"] == pytest.approx(2, abs=0.5)  # 40 for 20 jobs, plus the client's handshake
    assert found["connections"] == pytest.approx(1 / 20)


def test_a_failed_worker_is_reported_with_its_last_output() -> None:
    with pytest.raises(MeasurementError, match="found 0 marks: the reason"):
        figures(python("raise SystemExit('the reason')"), SINGLES, 2)


def test_incomplete_work_has_no_rate() -> None:
    with pytest.raises(MeasurementError, match="found 1 marks"):
        figures(python(FIRST_AND_LAST.format("raise SystemExit")), SINGLES, 2)


def test_a_missing_feature_is_not_a_failure() -> None:
    worker = replace(python(""), library="saq", command=())
    with pytest.raises(NotThereError, match=r"^saq is not installed$"):
        figures(worker, replace(SINGLES, standing=True), 2)
    with pytest.raises(NotThereError, match=r"^x has no y$"):
        figures(python(f"raise SystemExit('{MISSING}: x has no y')"), SINGLES, 2)


@pytest.mark.slow
@pytest.mark.parametrize("worker", [FLOWQ, FLOWQ_SIMPLE], ids=lambda worker: worker.name)
def test_flowq_needs_one_round_trip_and_no_connection_for_a_job(worker: Worker) -> None:
    """This does not depend on time, so it can be asserted here."""
    found = figures(worker, SINGLES, 100)
    assert found["trips"] < 1.3
    assert found["connections"] == 0


@pytest.mark.slow
@pytest.mark.parametrize("task", [Task("chain", 3, standing=True), Task("span", 3, standing=True)], ids=lambda task: task.name)
def test_a_standing_worker_is_timed_by_the_driver(task: Task) -> None:
    assert figures(FLOWQ_2_FLOW, task, 0)["ms"] > 0


@pytest.mark.slow
def test_a_run_is_measured_from_its_command_to_its_end() -> None:
    assert 0 < figures(FLOWQ_RUN, Task("whole", 40, standing=True), jobs=1)["s"] < 60


def test_every_floor_is_measured(capsys: pytest.CaptureFixture[str]) -> None:
    assert floors.main(["--rounds", "1", "--calls", "2"]) == 0
    rows = [line.rsplit(maxsplit=3) for line in capsys.readouterr().out.splitlines()[3:]]
    assert all(float(wall.replace(",", "")) > 0 for _, wall, _, _ in rows)
    assert [name for name, *_ in rows if "commands of an enqueue" in name] != ["the 0 commands of an enqueue"]
    assert len(rows) == 11


def test_every_prototype_is_measured(capsys: pytest.CaptureFixture[str]) -> None:
    assert bare.main(["--rounds", "1", "--jobs", "40"]) == 0
    rows = [line.rsplit(maxsplit=1) for line in capsys.readouterr().out.splitlines()[2:]]
    assert all(float(value.replace(",", "")) > 0 for _, value in rows)
    assert len(rows) == 12


def test_marks_are_read_one_by_one_and_missing_after_the_last_process(tmp_path: Path) -> None:
    pipe = tmp_path / "marks"
    with Marks(str(pipe)) as marks:
        pipe.write_text("1\n2\n", encoding="ascii")
        assert [marks.read(), marks.read(lambda: True)] == [1, 2]
        with pytest.raises(MissingMarkError):
            marks.read(lambda: True)


def test_a_stencil_waits_for_its_neighbours() -> None:
    nodes = {node.name: list(node.parents) for node in patterns.stencil(3, 2, (), ())}
    assert nodes["s0-c1"] == []
    assert nodes["s1-c0"] == ["s0-c0", "s0-c1"]
    assert nodes["s1-c1"] == ["s0-c0", "s0-c1", "s0-c2"]
    assert nodes["last"] == ["s1-c0", "s1-c1", "s1-c2"]


@pytest.mark.parametrize("overhead", [0.0003, 0.003, 0.02])
def test_the_granularity_at_one_half_is_twice_the_overhead(overhead: float) -> None:
    """Simulate a machine of two cores with this overhead for each task."""
    found = smallest_granularity(lambda duration: (duration + overhead) * 100 / 2, tasks=100, cores=2)
    assert found == pytest.approx(2 * overhead, rel=0.15)


def test_an_unreachable_efficiency_has_no_granularity() -> None:
    with pytest.raises(ValueError, match="do not reach half"):
        smallest_granularity(lambda duration: duration * 100, tasks=100, cores=2.5)


def test_lines_of_a_block_have_one_figure_and_begin_with_flowq() -> None:
    for block in BLOCKS:
        assert block.lines[0].worker.environment == OWN, block.title
        assert len({line.worker for line in block.lines}) == len(block.lines), block.title


def test_every_library_has_a_module() -> None:
    folder = Path(contestants.__file__).parent / "libraries"
    assert {line.worker.library for block in BLOCKS for line in block.lines} <= {path.stem for path in folder.glob("*.py")}


def test_only_takes_whole_blocks_by_title_and_lines_by_name() -> None:
    assert [block.title for block in selected("METG")] == [block.title for block in BLOCKS if "METG" in block.title]
    blocks = selected("rq SimpleWorker")
    assert blocks
    assert all([line.worker.name for line in block.lines[1:]] == ["rq SimpleWorker"] for block in blocks)
    assert selected("no such thing") == []


def test_the_table_has_medians_ratios_dashes_and_reasons() -> None:
    line, peer = Line(FLOWQ, SINGLES, "rate"), Line(RQ, SINGLES, "rate", ">= 12 x")
    dash = Line(FLOWQ_SIMPLE, SINGLES, "rate")
    own, other, none = (key(item.worker, SINGLES) for item in (line, peer, dash))
    measured = {own: [{"rate": 1500.0}], other: [{"rate": rate} for rate in (90.0, 100.0, 1000.0)]}
    table = render([Block("no-op jobs", (line, peer, dash))], measured, {none: "not installed"})
    assert [text.split() for text in table.splitlines()[2:6]] == [
        ["no-op", "jobs"],
        ["flowq", "worker", "process", "per", "job", "1,500"],
        ["rq", "worker", "process", "per", "job", "100", "15.0", "x", ">=", "12", "x"],
        ["flowq", "SimpleWorker", "the", "worker", "itself", "-", "-"],
    ]
    assert table.splitlines()[-1] == "- flowq SimpleWorker, singles: not installed"
    assert max(len(text) for text in table.splitlines()) <= 100


def test_ratios_of_times_say_how_many_times_faster_or_slower() -> None:
    line, peer = Line(FLOWQ, SINGLES, "ms"), Line(RQ, SINGLES, "ms")
    measured = {key(FLOWQ, SINGLES): [{"ms": 50.0}], key(RQ, SINGLES): [{"ms": 10.0}]}
    ratios = [
        render([Block("", (line, peer), kind)], measured, {}).splitlines()[4].split()[-2] for kind in (Ratio.LESS, Ratio.COST)
    ]
    assert ratios == ["0.20", "5.0"]


@pytest.mark.slow
def test_a_whole_run_is_measured_by_process() -> None:
    took, usage = whole.measure(whole.foreach(200), 2)  # so many that the fork server is there at some looks
    assert 0 < usage["command"].seconds < 2 * took
    for role in ("command", "supervisor", "server"):
        assert usage[role].peak > 4_000_000, role
    assert usage["supervisor"].seconds > 0
    assert usage["fork servers"].peak > 0


@pytest.mark.parametrize("shape", sorted(whole.SHAPES.keys() - {"foreach"}))
def test_shapes_of_whole_runs_have_as_many_jobs_as_asked_for(shape: str) -> None:
    plan = compile_text(whole.SHAPES[shape](150)).plan
    assert plan is not None
    assert len(list(plan.jobs())) == 150


@pytest.mark.slow
def test_a_run_after_others_costs_the_server_as_many_commands() -> None:
    first, second = history.measure([0, 20])
    assert second.commands == pytest.approx(first.commands, rel=0.02)
    assert second.view == first.view


@pytest.mark.slow
def test_a_job_of_a_large_fan_costs_the_server_as_many_commands() -> None:
    small, large = fan.measure([1200, 6000])
    assert large.commands == pytest.approx(small.commands, rel=0.03)


def test_an_executor_has_a_line_of_figures(capsys: pytest.CaptureFixture[str]) -> None:
    assert engines.main(["--only", "fork", "--jobs", "20", "--flight", "4"]) == 0
    header, _, row = capsys.readouterr().out.splitlines()[-3:]
    name, *cells, driver, end = (cell.strip() for cell in row.split("|")[1:])
    assert (name, driver, end) == ("none (forks)", "", "")
    assert row.count("|") == header.count("|")
    assert all(float(cell) > 0 for cell in cells[:6])
