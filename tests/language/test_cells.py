"""Matrix and foreach: cells, limits and results."""

import json

import pytest

from flowq.compiler import compile_text
from flowq.flows.actions.retry import plan_retry
from flowq.flows.actions.selection import select
from flowq.flows.render.gantt import bars
from flowq.flows.views.snapshot import read_plan
from flowq.ids import member_id
from flowq.plan import Selection
from tests.language.lab import MODULES, Lab, plan_of


def test_foreach_over_a_result(lab: Lab) -> None:
    run = lab.run(
        """
        jobs:
          list: {call: 'language_jobs:give', args: [[{name: a, n: 1}, {name: b, n: 2}]]}
          each:
            depends_on: list
            foreach: ${{ jobs.list.result }}
            env: {NAME: "${{ item.name }}"}
            workdir: "${{ index == 0 ? '.' : '..' }}"
            run: |
              echo "text=$NAME ${{ item.n }} ${{ index }}" >> "$FLOWQ_OUTPUT"
              echo "here=$(basename "$PWD")" >> "$FLOWQ_OUTPUT"
          join: {depends_on: each, call: 'language_jobs:give', args: ["${{ jobs.each.result[*].text }}"]}
        """
    )
    assert run.states() == {"list": "finished", "each[0]": "finished", "each[1]": "finished", "join": "finished"}
    assert run.result("join") == ["a 1 0", "b 2 1"]
    found = run.result("each")
    assert isinstance(found, list)
    assert found[0]["here"] == lab.directory.name
    assert found[1]["here"] == lab.directory.parent.name
    assert {bar.job.name for bar in bars(read_plan(lab.store, run.id), run.view)} == {"list", "each[0]", "each[1]", "join"}


def test_an_empty_foreach_succeeds_with_an_empty_list(lab: Lab) -> None:
    run = lab.run(
        """
        jobs:
          list: {call: 'language_jobs:give', args: [[]]}
          each: {depends_on: list, foreach: jobs.list.result, run: exit 1}
          next: {depends_on: each, call: 'language_jobs:give', args: ["${{ jobs.each.result }}"]}
        """
    )
    assert run.status == "finished"
    assert run.result("next") == []


def test_a_foreach_over_a_value_that_is_not_a_list(lab: Lab) -> None:
    run = lab.run(
        """
        jobs:
          list: {call: 'language_jobs:give', args: [7]}
          each: {depends_on: list, foreach: jobs.list.result, run: 'true'}
        """
    )
    assert run.states()["each"] == "failed/error"
    assert run.status == "failed"
    error = run.job("each").error or ""
    assert "expected a list" in error
    assert "inline.yaml:4" in error


@pytest.mark.parametrize(
    ("given", "more"),
    [
        ("{result: 1}", "foreach: jobs.list.result.nope"),
        ("{result: 1}", "foreach: jobs.list.result"),
        ("text", "foreach: jobs.list.result"),
        ("{result: 1}", "foreach: '[1]', if: jobs.list.result.nope"),
        ("'[1'", "foreach: from_json(jobs.list.result)"),
        ("200000", "foreach: range(jobs.list.result)"),
    ],
)
@pytest.mark.parametrize("allowed", [True, False])
def test_a_list_that_fails_is_a_failure_that_can_be_allowed(lab: Lab, given: str, more: str, *, allowed: bool) -> None:
    rule = "true" if allowed else "{exit_codes: [1]}"
    run = lab.run(
        f"""
        jobs:
          list: {{call: 'language_jobs:give', args: [{given}]}}
          each: {{depends_on: list, {more}, allow_failure: {rule}, run: 'true'}}
          next: {{depends_on: each, run: 'true'}}
          only: {{depends_on: {{each: failure}}, run: 'true'}}
        """
    )
    assert run.states() == {
        "list": "finished",
        "each": "allowed/error" if allowed else "failed/error",
        "next": "finished" if allowed else "skipped/upstream_failed",
        "only": "skipped/upstream_finished" if allowed else "finished",
    }
    assert (run.status, run.warnings) == (("finished", 1) if allowed else ("failed", 0))
    assert "inline.yaml:4" in (run.job("each").error or "")
    if not allowed:
        run.retry().ended()
        assert run.states()["each"] == "failed/error"


def test_what_is_allowed_of_a_foreach_is_not_of_its_group(lab: Lab) -> None:
    run = lab.run(
        """
        timeout: 1s
        jobs:
          list: {call: 'language_jobs:give', args: [[1, 2]]}
          each: {depends_on: list, foreach: jobs.list.result, allow_failure: true, run: 'test ${{ item }} = 1 && exit 1; exec sleep 30'}
        """
    )
    assert run.states() == {"list": "finished", "each[0]": "allowed/error", "each[1]": "failed/run_timeout"}
    group = run.store.jobs.get(member_id(run.id, 1))
    assert group is not None
    assert group.status == "failed"
    assert (run.status, run.warnings) == ("failed", 1)


def test_a_cell_without_a_result_is_null(lab: Lab) -> None:
    run = lab.run(
        """
        jobs:
          each: {foreach: "[1, 2, 3]", allow_failure: true, run: 'if [ "${{ item }}" = 2 ]; then exit 1; fi; echo n=${{ item }} >> $FLOWQ_OUTPUT'}
          grid: {matrix: {v: [1, 2]}, if: matrix.v == 2, call: 'language_jobs:give', args: ["${{ matrix.v }}"]}
          next: {depends_on: {each: success, grid: ok}, call: 'language_jobs:give', args: [["${{ jobs.each.result[*].n }}", "${{ jobs.grid.result }}"]]}
        """
    )
    assert run.result("next") == [["1", None, "3"], [None, 2]]
    assert run.warnings == 1


def test_a_cell_that_a_part_of_the_flow_leaves_out_is_null(lab: Lab) -> None:
    flow = """
        jobs:
          grid: {matrix: {v: [1, 2, 3]}, call: 'language_jobs:give', args: [{n: "${{ matrix.v }}"}]}
          next: {depends_on: grid, call: 'language_jobs:give', args: [["${{ jobs.grid.result[*].n }}", "${{ jobs.grid.result[2].n }}"]]}
        """
    plan = plan_of(compile_text(flow, file="inline.yaml"))
    run = lab.submit(select(plan, Selection(without=("grid[v=2]",)))).ended()
    assert run.result("next") == [[1, None, 3], 3]
    assert run.result("grid") == [{"n": 1}, None, {"n": 3}]


def test_only_failed_cells_run_again(lab: Lab) -> None:
    run = lab.run(
        """
        jobs:
          list: {call: 'language_jobs:give', args: [[0, 1, 2]]}
          each: {depends_on: list, foreach: jobs.list.result, call: 'language_jobs:fail_until', args: ["count-${{ item }}", "${{ item == 1 ? 1 : 0 }}"]}
          next: {depends_on: each, call: 'language_jobs:give', args: ["${{ jobs.each.result }}"]}
        """
    )
    assert run.states() == {
        "list": "finished", "each[0]": "finished", "each[1]": "failed/error", "each[2]": "finished",
        "next": "skipped/upstream_failed",
    }  # fmt: skip
    run.retry().ended()
    assert run.status == "finished"
    assert run.result("next") == [1, 2, 1], "the others were not run a second time"


def test_foreach_in_foreach_order_and_names(lab: Lab) -> None:
    run = lab.run(
        """
        jobs:
          each: {foreach: range(12), call: 'language_jobs:give', args: ["${{ index }}"]}
        """
    )
    assert list(run.states()) == [f"each[{number}]" for number in range(12)]
    assert run.result("each") == list(range(12))
    assert run.result("each[11]") == 11


@pytest.mark.parametrize("many", ["matrix: {v: [1, 2, 3, 4, 5, 6]}", "foreach: range(6)"])
def test_max_parallel(lab: Lab, many: str) -> None:
    run = lab.run(
        f"""
        jobs:
          each: {{{many}, max_parallel: 2, call: 'language_jobs:concurrent', args: [here]}}
        """
    )
    assert run.status == "finished"
    found = run.result("each")
    assert isinstance(found, list)
    assert max(found) <= 2
    assert len(found) == 6


@pytest.mark.slow
def test_a_foreach_over_ten_thousand_items(large_lab: Lab) -> None:
    """The cells wait for an hour, so this tests only the engine: expansion, release and cancel in bounded steps."""
    items = json.dumps([{"n": number} for number in range(10_000)])
    run = large_lab.start(
        """
        params: {items: {type: list}}
        jobs:
          each: {foreach: params.items, depends_on: start, delay: 1h, run: 'true'}
          start: {run: 'true'}
        """,
        {"items": items},
    )
    run.until_job("each[9999]", "scheduled", "queued")
    view = run.view
    assert len(view.jobs) == 10_001
    large_lab.store.runs.cancel(run.id)
    assert run.ended().status == "canceled"


@pytest.mark.chaos
@pytest.mark.timeout(300)
def test_ten_thousand_cells_are_executed_and_their_results_are_in_order(
    large_lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.language.lab.TIMEOUT", 250.0)
    for module in MODULES.glob("[a-z]*"):
        (large_lab.directory / module.name).symlink_to(module)
    run = large_lab.run(
        """
        jobs:
          each: {foreach: range(10000), max_parallel: 100, call: 'language_jobs:fail_at_first', args: ["${{ item }}", "${{ run.attempt }}"]}
          total: {depends_on: {each: done}, call: 'language_jobs:give', args: ["${{ jobs.each.result }}"]}
        """
    )
    assert run.result("total") == [None if number % 1000 == 7 else number for number in range(10_000)]
    assert [name for name, _ in plan_retry(large_lab.store, run.id).jobs] == [
        *(f"each[{n}]" for n in range(7, 10_000, 1000)),
        "total",
    ]
    run.retry().ended()
    assert run.status == "finished"
    assert run.result("total") == list(range(10_000))


def test_matrix_with_include_and_exclude(lab: Lab) -> None:
    run = lab.run(
        """
        params: {langs: {type: list, default: [en, de]}}
        jobs:
          build:
            matrix:
              fmt: [pdf, html]
              lang: ${{ params.langs }}
              exclude: [{fmt: pdf, lang: de}]
              include: [{fmt: html, theme: dark}, {fmt: epub, lang: fr}]
            call: language_jobs:give
            args: ["${{ matrix.fmt }}-${{ matrix.lang }}-${{ matrix.theme ?? 'plain' }}"]
        """
    )
    assert run.result("build") == ["pdf-en-plain", "html-en-dark", "html-de-dark", "epub-fr-plain"]
