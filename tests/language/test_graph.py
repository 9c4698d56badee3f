"""Stages, match, fail_fast and the timeout of a run."""

import pytest

from tests.language.lab import Lab


def test_stages(lab: Lab) -> None:
    run = lab.run(
        """
        stages: [build, lint, test, deploy]
        jobs:
          compile: {stage: build, run: "echo path=x >> $FLOWQ_OUTPUT"}
          docs: {stage: build, matrix: {fmt: [html, pdf]}, run: 'true'}
          unit: {stage: test, run: ["echo", "${{ jobs.compile.result.path }}"]}
          early: {stage: test, depends_on: [compile], run: 'true'}
          ship: {stage: deploy, run: 'true'}
        """
    )
    assert set(run.states().values()) == {"finished"}
    jobs = {job.name: job for job in run.view.jobs}
    assert set(jobs) == {"compile", "docs[fmt=html]", "docs[fmt=pdf]", "unit", "early", "ship"}, "stages are no jobs"
    first = max(jobs[name].ended_ms or 0 for name in ("compile", "docs[fmt=html]", "docs[fmt=pdf]"))
    assert (jobs["unit"].started_ms or 0) >= first
    assert (jobs["ship"].started_ms or 0) >= max(jobs["unit"].ended_ms or 0, jobs["early"].ended_ms or 0)


def test_a_stage_that_fails_stops_the_next(lab: Lab) -> None:
    run = lab.run(
        """
        stages: [build, test, deploy]
        jobs:
          good: {stage: build, run: 'true'}
          bad: {stage: build, run: exit 1}
          test: {stage: test, run: 'true'}
          own: {stage: test, depends_on: [good], run: 'true'}
          deploy: {stage: deploy, run: 'true'}
        """
    )
    assert run.states() == {
        "good": "finished", "bad": "failed/error", "test": "skipped/upstream_failed", "own": "finished",
        "deploy": "skipped/upstream_skipped",
    }  # fmt: skip


def test_match_waits_for_equal_cells_only(lab: Lab) -> None:
    run = lab.run(
        """
        jobs:
          build: {matrix: {lang: [en, de], fmt: [a, b]}, run: "${{ matrix.lang == 'de' ? 'false' : 'true' }} && true"}
          spell: {depends_on: {build: {match: lang}}, matrix: {lang: [en, de]}, run: 'true'}
          repair: {depends_on: {build: {when: failure, match: [lang]}}, matrix: {lang: [en, de]}, run: 'true'}
          exact: {depends_on: {build: {when: done, match: [lang, fmt]}}, matrix: {lang: [en, de], fmt: [b]}, run: 'true'}
        """.replace("\"${{ matrix.lang == 'de' ? 'false' : 'true' }} && true\"", "'test ${{ matrix.lang }} = en'")
    )
    states = run.states()
    assert {name: state for name, state in states.items() if not name.startswith("build")} == {
        "spell[lang=en]": "finished", "spell[lang=de]": "skipped/upstream_failed",
        "repair[lang=en]": "skipped/upstream_finished", "repair[lang=de]": "finished",
        "exact[lang=en,fmt=b]": "finished", "exact[lang=de,fmt=b]": "finished",
    }  # fmt: skip


def test_match_does_not_wait_for_other_cells(lab: Lab) -> None:
    run = lab.start(
        """
        jobs:
          build: {matrix: {v: [fast, slow]}, call: 'language_jobs:wait_for', args: ["${{ matrix.v }}"]}
          next: {depends_on: {build: {match: v}}, matrix: {v: [fast, slow]}, run: 'true'}
        """
    )
    (lab.directory / "fast").touch()
    run.until_job("next[v=fast]", "finished")
    assert run.states()["build[v=slow]"] == "started"
    assert run.states()["next[v=slow]"].startswith("deferred")
    (lab.directory / "slow").touch()
    assert set(run.ended().states().values()) == {"finished"}


def test_fail_fast_of_a_run(lab: Lab) -> None:
    run = lab.start(
        """
        fail_fast: true
        jobs:
          bad: {depends_on: [gate], run: exit 1}
          gate: {call: 'language_jobs:wait_for', args: [gate]}
          running: {call: 'language_jobs:wait_for', args: [never]}
          later: {run: 'true', delay: 1h}
          below: {run: 'true', depends_on: running}
        """
    )
    run.until_job("running", "started")
    (lab.directory / "gate").touch()
    states = run.ended().states()
    assert run.status == "failed"
    assert states["bad"] == "failed/error"
    assert states["running"] == "canceled/fail_fast"
    assert states["later"] == "skipped/fail_fast"
    assert states["below"].startswith("skipped/")


@pytest.mark.parametrize("many", ["matrix: {index: [0, 1, 2]}", "foreach: range(3)"])
def test_fail_fast_of_cells(lab: Lab, many: str) -> None:
    index = "matrix.index" if "matrix" in many else "index"
    run = lab.start(
        f"""
        jobs:
          cells:
            {many}
            fail_fast: true
            run: 'if [ ${{{{ {index} }}}} = 0 ]; then until test -e go; do sleep 0.01; done; exit 1; fi; until test -e never; do sleep 0.01; done'
            workdir: .
          other: {{run: 'true', depends_on: {{cells: done}}}}
        """
    )
    names = [f"cells[{'index=' if 'matrix' in many else ''}{number}]" for number in range(3)]
    for name in names:
        run.until_job(name, "started")
    (lab.directory / "go").touch()
    states = run.ended().states()
    assert [states[name] for name in names] == ["failed/error", "canceled/fail_fast", "canceled/fail_fast"]
    assert states["other"] == "finished", "fail_fast of a job is about its cells"
    assert run.status == "failed"


def test_the_timeout_of_a_run(lab: Lab) -> None:
    run = lab.run(
        """
        timeout: 1
        jobs:
          slow: {call: 'language_jobs:wait_for', args: [never]}
          next: {run: 'true', depends_on: slow}
          late: {run: 'true', delay: 1h}
        on_failure:
          tell: {run: ["echo", "${{ run.status }}"]}
        """
    )
    states = run.states()
    assert states["slow"] == "failed/run_timeout"
    assert states["late"] == "failed/run_timeout"
    assert states["next"] == "skipped/upstream_failed"
    assert states["on_failure/tell"] == "finished"
    assert run.status == "failed"
