"""Flows as parts of flows."""

from flowq.compiler import compile_file
from tests.flows_language.lab import FLOWS, Lab


def test_params_in_and_outputs_out(lab: Lab) -> None:
    run = lab.run(
        """
        params: {days: {type: list, default: [mon, tue]}}
        env: {WORD: outer}
        jobs:
          list: {call: 'language_jobs:give', args: [outer]}
          part: {depends_on: list, flow: parts/backfill.yaml, params: {days: "${{ params.days }}"}}
          use: {depends_on: part, call: 'language_jobs:give', args: ["${{ jobs.part.result }}"]}
          status: {depends_on: part, call: 'language_jobs:give', args: ["${{ jobs.part.status }}"]}
        """
    )
    assert run.states() == dict.fromkeys(["list", "part/list", "part/load[0]", "part/load[1]", "use", "status"], "finished")
    assert run.result("use") == {
        "total": ["rows of mon in part/load[0]", "rows of tue in part/load[1]"], "word": "rows",
    }  # fmt: skip
    assert run.result("status") == "finished"
    assert run.result("part/load") == ["rows of mon in part/load[0]", "rows of tue in part/load[1]"]
    assert run.job("part/list").queue == "cpu", "the defaults of its own file"


def test_the_same_flow_twice_and_a_flow_in_a_flow(lab: Lab) -> None:
    run = lab.run(
        """
        jobs:
          a: {flow: parts/backfill.yaml, params: {days: [x], word: one}}
          b: {flow: ./parts/nested.yaml}
          c: {depends_on: [a, b], call: 'language_jobs:give', args: [["${{ jobs.a.result.total }}", "${{ jobs.b.result.text }}"]]}
        """
    )
    assert run.result("c") == [["one of x in a/load[0]"], "deep of mon in b/inner/load[0]"]


def test_a_skipped_part_is_skipped_whole(lab: Lab) -> None:
    run = lab.run(
        """
        jobs:
          a: {if: false, flow: parts/nested.yaml}
          b: {depends_on: {a: skipped}, run: 'true'}
          c: {depends_on: a, run: 'true'}
          d: {depends_on: {a: ok}, call: 'language_jobs:give', args: ["${{ jobs.a.result.text ?? 'nothing' }}"]}
        """
    )
    states = run.states()
    assert {state for name, state in states.items() if name.startswith("a/")} == {"skipped/upstream_skipped"}
    assert {name: states[name] for name in "bcd"} == {"b": "finished", "c": "skipped/upstream_skipped", "d": "finished"}
    assert run.result("d") == "nothing"
    assert run.status == "finished"


def test_a_part_waits_for_what_its_job_depends_on(lab: Lab) -> None:
    run = lab.run(
        """
        jobs:
          bad: {run: exit 1}
          part: {depends_on: bad, flow: parts/backfill.yaml, params: {days: [x]}}
          after: {depends_on: {part: done}, run: 'true'}
          fixed: {depends_on: {bad: failure}, flow: parts/backfill.yaml, params: {days: [x]}}
        """
    )
    states = run.states()
    assert states["part/list"].startswith("skipped/")
    assert states["after"] == "finished"
    assert states["fixed/load[0]"] == "finished"


def test_a_failure_inside_fails_the_part_and_a_retry_runs_what_it_must(lab: Lab) -> None:
    (lab.directory / "part.yaml").write_text(
        """
        outputs: {n: "${{ jobs.two.result }}"}
        jobs:
          one: {call: 'language_jobs:fail_until', args: [one, 0]}
          two: {depends_on: one, call: 'language_jobs:fail_until', args: [two, 1]}
        """
    )
    (lab.directory / "flow.yaml").write_text(
        """
        jobs:
          part: {flow: part.yaml}
          use: {depends_on: part, call: 'language_jobs:give', args: ["${{ jobs.part.result.n }}"]}
          repair: {depends_on: {part: failure}, run: 'true'}
        """
    )
    run = lab.start_file(lab.directory / "flow.yaml").ended()
    assert run.states() == {
        "part/one": "finished", "part/two": "failed/error", "use": "skipped/upstream_failed", "repair": "finished",
    }  # fmt: skip
    run.retry().ended()
    assert run.status == "finished"
    assert run.states()["repair"] == "skipped/upstream_finished"
    assert run.result("use") == 2
    assert (lab.directory / "one").read_text() == "x\n", "a finished job of the part keeps its result"


def test_an_error_names_the_line_of_its_own_file(lab: Lab) -> None:
    (lab.directory / "part.yaml").write_text(
        "jobs:\n  a: {run: 'true'}\n  b: {depends_on: a, if: jobs.a.result.x == 1, run: x}\n"
    )
    (lab.directory / "flow.yaml").write_text("jobs: {part: {flow: part.yaml}}")
    run = lab.start_file(lab.directory / "flow.yaml").ended()
    assert f"{lab.directory / 'part.yaml'}:3: job part/b: if: " in (run.job("part/b").error or "")


def test_modules_are_found_beside_the_file_of_the_part(lab: Lab) -> None:
    (lab.directory / "deep").mkdir()
    (lab.directory / "deep" / "only_here.py").write_text("def answer():\n    return 42\n")
    (lab.directory / "deep" / "part.yaml").write_text("jobs: {a: {call: 'only_here:answer'}}")
    (lab.directory / "flow.yaml").write_text("jobs: {part: {flow: deep/part.yaml}}")
    run = lab.start_file(lab.directory / "flow.yaml").ended()
    assert run.result("part/a") == 42


def test_a_part_alone_is_the_same_flow(lab: Lab) -> None:
    compiled = compile_file(FLOWS / "parts" / "backfill.yaml", params={"days": ["x"]})
    assert compiled.plan is not None
    assert lab.submit(compiled.plan).ended().result("load") == ["rows of x in load[0]"]
