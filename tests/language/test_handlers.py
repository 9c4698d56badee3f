"""on_success, on_failure, on_cancel, on_exit."""

import pytest

from tests.language.lab import Lab, Started

HANDLERS = """
on_success:
  tell: {call: 'language_jobs:give', args: ["${{ run.status }}"]}
on_failure:
  tell: {call: 'language_jobs:give', args: ["${{ run.status }}"]}
on_cancel:
  tell: {call: 'language_jobs:give', args: ["${{ run.status }}"]}
on_exit:
  clean: {call: 'language_jobs:give', args: [["${{ run.status }}", "${{ run.failed_jobs }}", "${{ jobs.a.status }}"]]}
"""


def ran(run: Started) -> set[str]:
    return {name for name, state in run.states().items() if name.startswith("on_") and state == "finished"}


@pytest.mark.parametrize(
    ("jobs", "status", "handler", "failed"),
    [
        ("a: {run: 'true'}", "finished", "on_success", []),
        ("a: {run: exit 1}", "failed", "on_failure", ["a"]),
        ("a: {run: exit 1, allow_failure: true}", "finished", "on_success", []),
        ("a: {if: false, run: x}", "finished", "on_success", []),
        ("a: {foreach: range(3), run: 'exit ${{ index }}'}", "failed", "on_failure", ["a[1]", "a[2]"]),
    ],
)
def test_the_handlers_for_the_status_run(lab: Lab, jobs: str, status: str, handler: str, failed: list[str]) -> None:
    run = lab.run(f"jobs:\n  {jobs}\n{HANDLERS}")
    assert run.status == status
    assert ran(run) == {f"{handler}/tell", "on_exit/clean"}
    assert run.result(f"{handler}/tell") == status
    found = run.result("on_exit/clean")
    assert isinstance(found, list)
    assert found[:2] == [status, failed]
    assert {state for name, state in run.states().items() if name.startswith("on_") and name not in ran(run)} == {
        "skipped/not_selected"
    }


def test_after_a_cancel(lab: Lab) -> None:
    run = lab.start("jobs:\n  a: {call: 'language_jobs:wait_for', args: [never]}\n" + HANDLERS)
    run.until_job("a", "started")
    lab.store.runs.cancel(run.id)
    run.ended()
    assert run.status == "canceled"
    assert ran(run) == {"on_cancel/tell", "on_exit/clean"}
    assert run.result("on_exit/clean") == ["canceled", [], "canceled"]


def test_a_failed_handler_is_a_warning(lab: Lab) -> None:
    run = lab.run(
        """
        jobs: {a: {run: 'true'}}
        on_success:
          bad: {run: exit 1}
          after: {depends_on: bad, run: 'true'}
          always: {depends_on: {bad: done}, run: 'true'}
        on_exit: {clean: {run: 'true'}}
        """
    )
    assert run.status == "finished"
    assert run.warnings == 1
    states = run.states()
    assert states["on_success/bad"] == "failed/error"
    assert states["on_success/after"] == "skipped/upstream_failed"
    assert {states["on_success/always"], states["on_exit/clean"]} == {"finished"}


def test_handlers_with_everything_jobs_have(lab: Lab) -> None:
    run = lab.run(
        """
        jobs:
          a: {call: 'language_jobs:give', args: [[1, 2]]}
        on_success:
          each: {foreach: jobs.a.result, call: 'language_jobs:give', args: ["${{ item }}"]}
          grid: {matrix: {v: [3, 4]}, call: 'language_jobs:give', args: ["${{ matrix.v }}"]}
          not: {if: run.status == 'failed', run: exit 1}
          retried: {retry: 1, call: 'language_jobs:fail_until', args: [count, 1]}
          all: {depends_on: {each: success, grid: success, not: skipped}, call: 'language_jobs:give', args: [["${{ jobs.each.result }}", "${{ jobs.grid.result }}"]]}
        """
    )
    assert run.status == "finished"
    assert run.warnings == 0
    assert run.result("on_success/all") == [[1, 2], [3, 4]]
    assert run.result("on_success/retried") == 2


def test_a_retry_runs_the_handlers_again(lab: Lab) -> None:
    run = lab.run(
        """
        jobs:
          a: {call: 'language_jobs:fail_until', args: [count, 1]}
        on_failure: {tell: {run: echo failed >> told}}
        on_success: {tell: {run: echo finished >> told}}
        on_exit: {tell: {run: echo exit >> told}}
        """
    )
    assert run.status == "failed"
    run.retry().ended()
    assert run.status == "finished"
    assert (lab.directory / "told").read_text().split() == ["failed", "exit", "finished", "exit"]


def test_handlers_are_outside_the_fail_fast_and_the_timeout(lab: Lab) -> None:
    run = lab.run(
        """
        timeout: 1
        fail_fast: true
        jobs: {a: {run: exit 1}, b: {run: 'true', delay: 1h}}
        on_failure:
          bad: {run: exit 1}
          slow: {run: sleep 1.2}
        """
    )
    states = run.states()
    assert states["on_failure/slow"] == "finished"
    assert states["b"] == "skipped/fail_fast"
