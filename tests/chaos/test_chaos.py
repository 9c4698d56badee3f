"""A round of chaos, and the teeth of its checks."""

import json
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from flowq.compiler import compile_text
from flowq.ids import member_id
from flowq.plan.foreach import foreach_groups, with_foreach_cells
from flowq.store.schedules import RunEnd, SlotEntry
from tests.chaos import mutants
from tests.chaos.cast import SUBMITTERS, Setting, Strike
from tests.chaos.checks import CHECKS
from tests.chaos.evidence import Change, Evidence, Line
from tests.chaos.recovery import after_lost_horses, after_lost_workers, quantile
from tests.chaos.report import ZEROS, document, late, problems
from tests.chaos.rounds import Findings, play
from tests.chaos.schedule import NETWORK, PROCESSES, SERVICES, schedule
from tests.chaos.served import FOLLOWED, FOLLOWER, HOOK, HOUR, PAST
from tests.chaos.workload import workload
from tests.support import graphs
from tests.support.invariants import Picture

only_linux = pytest.mark.skipif(sys.platform != "linux", reason="finds its victims in /proc")
MUTANT = Setting(seed=1, seconds=20.0, calm=10.0)
ROUNDS = 8  # until a mutant is found


@only_linux
@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_round_of_chaos_breaks_no_guarantee(request: pytest.FixtureRequest) -> None:
    findings = play(Setting(seed=278, seconds=15.0, server=request.config.getoption("--server")))
    assert not findings.broken, problems(findings)
    assert set(findings.problems) == set(ZEROS)
    assert findings.faults.total() > 30  # a busy machine has fewer requests that faults could hit
    assert findings.executions > 100


@only_linux
@pytest.mark.chaos
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("name", mutants.MUTANTS)
def test_a_mutant_is_found(name: str, tmp_path: Path) -> None:
    setting = replace(MUTANT, package=mutants.seed(mutants.MUTANTS[name], tmp_path))
    found: set[str] = set()
    for number in range(ROUNDS):
        if not found & set(mutants.MUTANTS[name].checks):
            findings = play(replace(setting, seed=setting.seed + number))
            found |= {check for check, texts in findings.problems.items() if texts}
    assert found & set(mutants.MUTANTS[name].checks), found


@pytest.mark.parametrize("name", mutants.MUTANTS)
def test_mutants_are_mistakes_of_the_present_text(name: str) -> None:
    assert mutants.MUTANTS[name].wrong in mutants.texts(mutants.MUTANTS[name])[mutants.MUTANTS[name].file]
    assert set(mutants.MUTANTS[name].checks) <= set(ZEROS)


def test_every_check_finds_a_mutant() -> None:
    assert {check for mutant in mutants.MUTANTS.values() for check in mutant.checks} >= {*CHECKS, "stuck", "orphan keys"}


def test_the_seed_decides_faults_and_workload() -> None:
    assert schedule(1, 60, 2) == schedule(1, 60, 2) != schedule(2, 60, 2)
    assert workload(1, 60, SUBMITTERS) == workload(1, 60, SUBMITTERS) != workload(2, 60, SUBMITTERS)


def test_all_kinds_of_faults_and_jobs_occur() -> None:
    assert {fault.kind for seed in range(5) for fault in schedule(seed, 60, 2)} == {*NETWORK, *PROCESSES, *SERVICES}
    items = [item for seed in range(5) for part in workload(seed, 60, SUBMITTERS) for item in part]
    keys = {key for item in items for job in item.flow.get("jobs", {}).values() for key in job}
    assert keys >= {"matrix", "foreach", "retry", "allow_failure", "if", "flow", "concurrency", "timeout", "fail_fast", "delay"}
    assert {key for item in items for key in item.flow} >= {"fail_fast", "concurrency", "on_cancel", "on_exit", "timeout"}
    assert {bool(item.delay) for item in items} == {item.unique for item in items} == {bool(item.after) for item in items}


# -- the checks, on evidence that is made up


def run(*texts: str) -> list[Change]:
    """Return changes of plain jobs, each written as "<at> <job> <old> <new> <execution>"."""
    rows = (text.split() for text in texts)
    return [Change(int(at), "-", job, old, new, "", int(number)) for at, job, old, new, number in rows]


def log(*texts: str) -> list[Line]:
    """Return lines of the execution log, each written as "<what> <job> <execution>"."""
    rows = (text.split() for text in texts)
    return [Line(what, job, int(number), 7, float(index)) for index, (what, job, number) in enumerate(rows)]


def found(check: str, evidence: Evidence) -> list[str]:
    return list(CHECKS[check](evidence))


def test_what_was_accepted_and_is_gone_is_lost() -> None:
    evidence = Evidence(Picture(jobs={"a": {"status": "finished"}}), [], [], [], accepted_jobs={"a", "b"}, accepted_runs={"r"})
    assert found("lost", evidence) == ["run r was accepted, and is gone", "job b was accepted, and is gone"]
    evidence.picture.runs = {"r": {"status": "staging"}}
    assert found("lost", evidence)[0] == "run r was accepted, and is gone", "its upload is left, which goes"


def test_a_job_that_its_run_has_lost_is_found() -> None:
    plan = graphs.plan({"a": [], "b": ["a"]})
    jobs = {member_id("r", 0): {"status": "finished"}}
    evidence = Evidence(Picture(jobs=jobs, runs={"r": {"status": "running"}}), [], [], [], plans={"r": plan})
    assert found("lost", evidence) == [f"job {member_id('r', 1)} of run r is gone"]


def test_the_cells_of_a_list_that_a_retry_has_evaluated_again_are_not_lost() -> None:
    text = "{jobs: {a: {call: 'os:listdir'}, b: {depends_on: a, foreach: jobs.a.result, run: echo y}}}"
    plan = compile_text(text).plan
    assert plan is not None
    (group,) = foreach_groups(plan)
    again = with_foreach_cells(plan, {group: range(len(plan.cells) + 2, len(plan.cells) + 4)})
    jobs = {member_id("r", cell.ordinal): {"status": "finished"} for cell in again.cells if cell.name}
    assert len(jobs) == len(again.cells) - 2
    evidence = Evidence(Picture(jobs=jobs, runs={"r": {"status": "running"}}), [], [], [], plans={"r": again})
    assert found("lost", evidence) == []


def test_an_execution_that_ends_twice_is_found() -> None:
    right = run("1 a queued started 1", "2 a started queued 1", "3 a queued started 2", "4 a started finished 2")
    assert found("duplicated transitions", Evidence(Picture(), right, log("begin a 1", "begin a 2", "end a 2"), [])) == []
    wrong = [*right, *run("5 a started failed 2")]
    assert found("duplicated transitions", Evidence(Picture(), wrong, log("begin a 1", "begin a 1"), [])) == [
        "execution 1 of a began 2 times",
        "execution 2 of a ended its job 2 times",
    ]


def test_a_dependent_that_begins_before_its_parent_has_ended_is_found() -> None:
    parents = {"a": [], "b": ["a"]}
    start = run("1 a - queued 0", "1 b - deferred 0", "2 a queued started 1")
    right = [*start, *run("3 a started finished 1", "3 b deferred queued 0")]
    assert found("early dependents", Evidence(Picture(), right, [], [], parents=parents)) == []
    wrong = [*start, *run("3 b deferred queued 0", "4 a started finished 1")]
    assert found("early dependents", Evidence(Picture(), wrong, [], [], parents=parents)) == [
        "b was queued before ['a'] had ended"
    ]


def test_cells_of_a_later_list_do_not_count_for_an_earlier_execution() -> None:
    rows = {"cell": {"status": "finished", "token": "1-x"}, "merge": {"status": "finished", "token": "2-x"}}
    release = run("3000 cell deferred queued 0")
    good = log("begin merge 1", "end merge 1", "begin cell 1", "end cell 1", "begin merge 2", "end merge 2")
    evidence = Evidence(Picture(jobs=rows), release, good, [], epoch=1.0)
    evidence.edges = {"merge": [("cell", "success")]}
    assert found("early dependents", evidence) == []
    evidence.log = log("begin merge 1", "end merge 1", "begin merge 2", "end merge 2", "begin cell 1", "end cell 1")
    assert found("early dependents", evidence) == ["execution 2 of merge began before ['cell'] had ended"]


def test_a_success_without_a_good_execution_is_found() -> None:
    end = run("4 a started finished 2")
    rows = {"a": {"status": "finished", "token": "2-x"}}
    right = Evidence(Picture(jobs=rows), end, log("begin a 2", "end a 2"), [], values={"a": b'"a:2"'})
    assert found("finished without a good execution", right) == []
    wrong = Evidence(Picture(jobs=rows), end, log("begin a 1", "end a 1", "begin a 2"), [], values={"a": b'"a:1"'})
    assert len(found("finished without a good execution", wrong)) == 2


def test_too_many_holders_of_a_place_are_found() -> None:
    rows = {name: {"status": "finished", "semaphores": "1 job/red"} for name in "ab"}
    right = run("1 a queued started 1", "2 b queued started 1", "2 a started finished 1")  # the order within 1 ms is not known
    assert found("over their limits", Evidence(Picture(jobs=rows), right, [], [])) == []
    brief = run(
        "1 a queued started 1", "1 a started finished 1", "2 b queued started 1"
    )  # one that is claimed again, by its report
    assert found("over their limits", Evidence(Picture(jobs=rows), brief, [], [])) == []
    wrong = run("1 a queued started 1", "2 b queued started 1", "3 a started finished 1")
    assert found("over their limits", Evidence(Picture(jobs=rows, holders={"job/red": {"a": 1.0}}), wrong, [], [])) == [
        "['a', 'b'] were in job/red at once, which takes 1",
        "['a'] hold job/red in the end",
    ]


def slots(log: list[SlotEntry], *made: int, schedule: str = "flows/late:default") -> list[str]:
    """Return what is found of the runs of these slots, and of the log."""
    cause = "backfill" if schedule == PAST else "schedule"
    rows = {str(number): {"schedule": schedule, "slot": str(slot), "cause": cause} for number, slot in enumerate(made)}
    runs = [SlotEntry(slot, "run", "", "r", slot, 1, slot) for slot in sorted({*made})]
    return found("slots", Evidence(Picture(runs=rows), [], [], [], schedules={schedule: [*runs, *log]}))


def test_a_slot_that_was_not_dealt_with_once_is_found() -> None:
    late = "flows/late:default"
    assert slots([SlotEntry(4000, "left_out", "", "", 2000, 2, 6100)], 0, 6000) == []
    assert slots([SlotEntry(2000, "skipped", "too_many_waiting", "r", 2000, 1, 2100)], 0, 4000) == [], "ten may wait"
    assert slots([], 0, 4000) == [f"slot 2000 has 0 runs, and was 0 times left without one ({late})"]
    assert slots([], 0, 2000, 2000) == [f"slot 2000 has 2 runs, and was 0 times left without one ({late})"]
    assert slots([SlotEntry(2000, "left_out", "", "", 2000, 1, 4100)], 0, 2000, 4000) == [
        f"slot 2000 has 1 runs, and was 1 times left without one ({late})"
    ]
    assert slots([SlotEntry(2000, "left_out", "", "", 2000, 1, 2100)], 0, 4000) == [
        f"slot 2000 was left out at 2100, before another one was due ({late})"
    ]
    assert slots([SlotEntry(2000, "skipped", "running", "r", 2000, 1, 2100)], 0, 4000) == [
        f"slot 2000 was skipped (running), which is not the policy ({late})"
    ]
    assert slots([SlotEntry(2000, "run", "", "other", 2000, 1, 2100)], 0, 2000) == [
        f"slot 2000 has a run 2 times in the log ({late})"
    ]
    assert (
        slots([], HOUR, 3 * HOUR, schedule=PAST)[0] == f"slot {2 * HOUR} has 0 runs, and was 0 times left without one ({PAST})"
    )


def test_an_event_that_has_started_no_run_or_two_is_found() -> None:
    by = f"{FOLLOWED}default"
    ends = [RunEnd(f"{at}-0", "r", at, "finished", "", by) for at in (1, 2, 3)]
    ends += [RunEnd("4-0", "r", 4, "failed", "", by), RunEnd("5-0", "other", 1, "finished", "", "flows/late:default")]

    def events(*started: str, deliveries: tuple[str, ...] = ("d1",), accepted: tuple[str, ...] = ("d1",)) -> list[str]:
        rows = [(FOLLOWER, event) for event in started] + [(HOOK, event) for event in deliveries]
        runs = {str(number): {"by": whose, "params": json.dumps({"x": event})} for number, (whose, event) in enumerate(rows)}
        return found("events", Evidence(Picture(runs=runs), [], [], [], run_ends=ends, deliveries=set(accepted)))

    assert events("r 1", "r 2", "r 3") == events("r 2", "r 3") == events("r 3", deliveries=("d1", "d2")) == []
    assert events("r 1", "r 3") == ["the end of r 2 has started no run"]
    assert events() == [f"the end of r {number} has started no run" for number in (1, 2, 3)]
    assert events("r 3", "r 3", "r 4") == [
        f"event r 3 of {FOLLOWER} has 2 runs",
        "r 4 has not ended well, and has started a run",
    ]
    assert events("r 3", accepted=("d1", "d2")) == ["delivery d2 was accepted, and has no run"]


CHANGES = run("1000 a queued started 1", "8500 a started queued 1", "9000 a queued started 2")
BEGUN = [Line("begin", "a", 1, 8, 1.0), Line("begin", "a", 2, 9, 9.1), Line("end", "a", 2, 9, 9.2)]
LOST = {("a", 1): 7}  # with the worker of pid 7
KILLED = Strike("kill worker", 2.0, 2.0, frozenset({7, 8}))


def recovered(changes: list[Change], *strikes: Strike, idle: tuple[float, float] = (0.0, 0.0)) -> list[float]:
    return list(after_lost_workers(Evidence(Picture(), changes, BEGUN, list(strikes), [idle], lost=LOST)))


def test_a_recovery_counts_from_the_later_of_fault_and_end_of_an_outage() -> None:
    assert recovered(CHANGES, KILLED) == [7.0]
    assert recovered(CHANGES, KILLED, Strike("kill server", 3.0, 6.5)) == [2.5]
    assert recovered(CHANGES, KILLED, idle=(3.0, 8.0)) == [1.0], "no worker could take the job before"
    assert recovered(CHANGES, KILLED, idle=(9.5, 10.0)) == [7.0]


def test_a_recovery_counts_from_the_fault_by_which_the_worker_lost_the_job() -> None:
    frozen = Strike("stop worker", 2.0, 8.0, frozenset({7, 8}))
    assert recovered(CHANGES, frozen) == [7.0]
    assert recovered(CHANGES, replace(frozen, until=3.0)) == [], "it went on in time, and was lost otherwise"
    assert recovered(CHANGES, replace(frozen, until=3.0), replace(KILLED, at=6.0)) == [3.0]
    assert recovered(CHANGES, replace(KILLED, at=0.5)) == [], "the worker had not started the job by then"
    assert recovered(CHANGES, replace(KILLED, at=8.6)) == [], "the job had left the worker by then"


def test_a_job_that_waits_for_a_place_is_not_recovered_late() -> None:
    waited = run("1000 a queued started 1", "4000 a started deferred 1", "8000 a deferred queued 1", "9000 a queued started 2")
    assert recovered(waited, KILLED) == []


def test_the_recovery_after_a_killed_horse_counts_while_its_worker_goes_on() -> None:
    killed = Strike("kill horse", 8.0, 8.0, frozenset({8}))
    evidence = Evidence(Picture(), CHANGES, BEGUN, [killed])
    assert list(after_lost_horses(evidence)) == [1.0]
    assert list(after_lost_horses(replace(evidence, strikes=[killed, replace(killed, kind="stop horse", at=8.2)]))) == []
    assert list(after_lost_horses(replace(evidence, lost=LOST))) == []
    assert list(after_lost_horses(replace(evidence, log=[*BEGUN, Line("end", "a", 1, 8, 3.0)]))) == []


def test_the_report_is_json() -> None:
    zeros: dict[str, list[str]] = {name: [] for name in ZEROS}
    one = Findings(1, Counter({"cut": 2}), jobs=3, problems=zeros, after_worker=[1.0, 3.0])
    two = Findings(2, Counter({"cut": 1, "delay": 1}), jobs=4, problems=zeros | {"lost": ["a"]}, after_worker=[9.0])
    shown = json.loads(json.dumps(document([one, two])))
    assert (shown["figures"]["faults"], shown["figures"]["jobs"], shown["figures"]["lost"]) == (4, 7, 1)
    assert shown["rounds"][1]["faults"] == {"cut": 1, "delay": 1}
    assert (one.broken, two.broken) == (False, True)
    assert (late([one], 2.0), late([one, two], 2.0)) == (False, True)
    assert "lost: a" in problems(two)


def test_quantiles() -> None:
    assert quantile([], 0.5) == 0
    assert quantile([3, 1, 2], 0.5) == 2
    assert quantile(list(range(100)), 0.99) == 99


def test_a_job_that_is_given_back_and_ends_in_one_step_leaves_its_group() -> None:
    """Ends and starts of one millisecond have no order between jobs, and have one for the same job."""
    steps = [
        (1, "one", "queued", "started"),
        (2, "one", "started", "queued"),
        (3, "one", "queued", "started"),
        (3, "one", "started", "finished"),
        (5, "two", "queued", "started"),
        (6, "two", "started", "finished"),
        (6, "three", "queued", "started"),
        (7, "three", "started", "finished"),
    ]
    over = CHECKS["over their limits"]
    jobs = {name: {"semaphores": "1 job/red"} for name in ("one", "two", "three")}
    changes = [Change(at, "-", job, old, new, "", 1) for at, job, old, new in steps]
    assert list(over(Evidence(Picture(jobs=jobs), changes, [], []))) == []
    changes.append(Change(5, "-", "four", "queued", "started", "", 1))
    jobs["four"] = jobs["one"]
    assert "['four', 'two'] were in job/red at once, which takes 1" in list(over(Evidence(Picture(jobs=jobs), changes, [], [])))
