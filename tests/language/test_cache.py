"""`cache`: a job with unchanged files, values and code takes over its earlier result."""

import os
from pathlib import Path

import pytest

from flowq.compiler import compile_text
from flowq.flows.actions.retry import plan_rerun, plan_retry
from flowq.flows.run import Run
from flowq.flows.views.run_view import CacheView
from tests.language.lab import FLOWS, Lab, Started, plan_of
from tests.support.leases import lapse
from tests.support.wait import until
from tests.support.workers import WorkerProcess

BUILD = """
params: {day: {default: one}, level: {default: low}}
jobs:
  build:
    cache: {inputs: [src], key: params.day, outputs: [out/*]}
    run: |
      mkdir -p out; cat src/* > out/all
      echo ran >> times
      echo "day=${{ params.day }}" >> "$FLOWQ_OUTPUT"
  use: {depends_on: build, run: 'echo "got=${{ jobs.build.result.day }}" >> "$FLOWQ_OUTPUT"'}
"""


def cache_of(run: Started, job: str = "build") -> CacheView:
    found = run.job(job).cache
    assert found is not None
    return found


def times(lab: Lab, name: str = "times") -> int:
    path = lab.directory / name
    return len(path.read_text().splitlines()) if path.exists() else 0


@pytest.fixture
def sources(lab: Lab) -> Path:
    (lab.directory / "src").mkdir()
    (lab.directory / "src" / "a").write_text("a")
    return lab.directory / "src"


def other_worker(lab: Lab, queue: str) -> WorkerProcess:
    """Start a second worker on the server of the lab, and kill it at the end of the block."""
    path = lab.store.client.connection_pool.connection_kwargs["path"]
    return WorkerProcess(f"unix://{path}", queue, "-c", "2", "--log-level", "warning", namespace=lab.store.namespace)


def test_a_job_runs_again_only_after_a_change(lab: Lab, sources: Path) -> None:
    first = lab.run(BUILD)
    assert cache_of(first) == CacheView(hit=False, reason="no earlier result", run=None)
    assert "cache miss" not in first.log()
    second = lab.run(BUILD)
    assert cache_of(second) == CacheView(hit=True, reason='key "one" and 1 input file unchanged', run=first.id)
    assert f'cache hit: key "one" and 1 input file unchanged since run {first.id}\n' in second.log()
    job = second.job("build")
    assert (str(job.status), job.reason, job.attempts) == ("finished", "cached", 1)
    assert second.result("build") == {"day": "one"}
    assert second.result("use") == {"got": "one"}
    assert times(lab) == 1
    (sources / "b").write_text("b")
    assert cache_of(lab.run(BUILD)).reason == "inputs changed: src/b (new)"
    assert cache_of(lab.run(BUILD, {"day": "two"})).reason == "key, values in the script changed"
    third = lab.run(BUILD, {"day": "one"})
    assert cache_of(third).hit, "more than one result is kept"
    (lab.directory / "out" / "all").unlink()
    assert cache_of(lab.run(BUILD)).reason == "outputs missing: out/all"
    assert times(lab) == 4


def test_a_changed_flow_is_another_job(lab: Lab, sources: Path) -> None:
    lab.run(BUILD)
    assert cache_of(lab.run(BUILD.replace("echo ran", "echo again"))).reason == "script changed"
    assert (
        cache_of(lab.run(BUILD.replace("jobs:", "env: {LEVEL: '${{ params.level }}'}\njobs:"))).reason
        == "script, variable LEVEL changed"
    )
    assert cache_of(lab.run(BUILD.replace("build", "make"), {}), "make").reason == "no earlier result"


def test_directories_have_separate_caches(lab: Lab, sources: Path) -> None:
    """The state of `outputs` belongs to one directory."""
    lab.run(BUILD)
    other = lab.directory / "other"
    (other / "src").mkdir(parents=True)
    (other / "src" / "a").write_text("a")
    assert not cache_of(Lab(lab.store, other).run(BUILD)).hit
    inside = BUILD.replace("    cache:", "    workdir: other\n    cache:")
    assert cache_of(lab.run(inside)).hit, "the same job in the same place, whatever the run says where that is"


def test_cells_have_results_of_their_own(lab: Lab) -> None:
    text = """
        params: {langs: {type: list, default: [en, de]}}
        jobs:
          m:
            matrix: {lang: "${{ params.langs }}"}
            cache: {key: matrix.lang}
            run: 'echo "lang=${{ matrix.lang }}" >> "$FLOWQ_OUTPUT"'
        """
    lab.run(text)
    run = lab.run(text, {"langs": ["de", "fr"]})
    assert [cache_of(run, f"m[lang={lang}]").hit for lang in ("de", "fr")] == [True, False]
    assert run.result("m") == [{"lang": "de"}, {"lang": "fr"}]


def test_items_have_results_of_their_own_at_any_position(lab: Lab) -> None:
    text = """
        params: {list: {type: list}}
        jobs:
          list: {call: 'language_jobs:give', args: ["${{ params.list }}"]}
          each:
            depends_on: list
            foreach: jobs.list.result
            cache: {key: item}
            run: 'echo "item=${{ item }}" >> "$FLOWQ_OUTPUT"'
        """
    lab.run(text, {"list": ["a", "b"]})
    run = lab.run(text, {"list": ["b", "c", "a"]})
    assert [cache_of(run, f"each[{index}]").hit for index in range(3)] == [True, False, True]
    assert run.result("each") == [{"item": "b"}, {"item": "c"}, {"item": "a"}]


def test_a_callable(lab: Lab) -> None:
    """Its source counts; the result may have any type."""
    text = "jobs: {a: {call: 'counted:f', args: [2], cache: {key: 1}}}"
    module = lab.directory / "counted.py"
    module.write_text("def f(n):\n    open('times', 'a').write('x\\n')\n    return [n, None]\n")
    lab.run(text)
    run = lab.run(text)
    assert (cache_of(run, "a").hit, run.result("a"), times(lab)) == (True, [2, None], 1)
    module.write_text("def f(n):\n    return 'other'\n")
    run = lab.run(text)
    assert (cache_of(run, "a").reason, run.result("a")) == ("code of counted changed", "other")


def test_patterns_with_expressions(lab: Lab, sources: Path) -> None:
    text = "params: {name: {}}\njobs: {a: {run: 'true', cache: {inputs: 'src/${{ params.name }}'}}}"
    assert cache_of(lab.run(text, {"name": "x*"}), "a").reason == "not used: no file matches src/x*"
    lab.run(text, {"name": "a"})
    assert cache_of(lab.run(text, {"name": "a"}), "a").hit


def test_a_failure_is_not_kept(lab: Lab, sources: Path) -> None:
    text = "jobs: {a: {cache: {inputs: src}, run: 'echo x >> times; test -e good'}}"
    run = lab.run(text)
    assert (run.status, cache_of(run, "a").hit) == ("failed", False)
    assert not cache_of(lab.run(text), "a").hit
    (lab.directory / "good").touch()
    assert not cache_of(lab.run(text), "a").hit
    assert cache_of(lab.run(text), "a").hit
    assert times(lab) == 3


def test_each_attempt_has_its_cache_status(lab: Lab) -> None:
    run = lab.run("jobs: {a: {retry: 2, cache: {key: 1}, call: 'language_jobs:fail_until', args: [count, 1, temporary]}}")
    assert (run.status, run.job("a").attempts, cache_of(run, "a").reason) == ("finished", 2, "no earlier result")


def test_a_result_expires(lab: Lab) -> None:
    text = "jobs: {a: {cache: {key: 1, ttl: 0.4}, run: 'true'}}"
    first = lab.run(text)
    made = first.job("a").ended_ms
    assert made is not None
    until(lambda: lab.store.now_ms() > made + 500, message="the result to be old")
    reason = cache_of(lab.run(text), "a").reason
    assert reason in {"expired", "no earlier result"}, "its key may be gone already"
    longer = text.replace("0.4", "1h")
    lab.run(longer)
    assert cache_of(lab.run(longer), "a").hit


def test_an_old_result_with_an_existing_key_is_expired(lab: Lab) -> None:
    text = "jobs: {a: {cache: {key: 1, ttl: 1h}, run: 'true'}}"
    lab.run(text)
    made = lab.run(text).job("a").ended_ms
    assert made is not None
    until(lambda: lab.store.now_ms() > made + 100, message="the result to be 0.1 s old")
    assert cache_of(lab.run(text.replace("1h", "0.1")), "a").reason == "expired"


def test_a_run_with_the_cache_disabled(lab: Lab, sources: Path) -> None:
    lab.run(BUILD)
    plan = plan_of(compile_text(BUILD, file=str(FLOWS / "inline.yaml"))).without_cache()
    run = lab.submit(plan).ended()
    assert cache_of(run) == CacheView(hit=False, reason="without the cache, as asked", run=None)
    assert cache_of(lab.run(BUILD)).run == run.id, "its result is kept"
    assert times(lab) == 2


def test_a_named_job_runs_and_its_dependents_may_use_the_cache(lab: Lab, sources: Path) -> None:
    text = BUILD + "  below: {depends_on: build, run: 'true', cache: {key: jobs.build.result.day}}\n"
    lab.run(text)
    run = lab.run(text)
    assert cache_of(run).hit
    chosen = {run.job("build").ordinal}
    plan_rerun(lab.store, run.id, chosen, only=False).apply(lab.store)
    run.ended()
    assert cache_of(run).reason == "without the cache, as asked"
    assert cache_of(run, "below").hit
    assert times(lab) == 2


def test_a_retry_uses_the_cache_unless_it_is_disabled(lab: Lab) -> None:
    text = """
        jobs:
          a: {run: test -e good}
          b: {depends_on: a, run: echo x >> times, cache: {key: 1}}
        """
    (lab.directory / "good").touch()
    lab.run(text)
    (lab.directory / "good").unlink()
    for disabled, expected in ((False, 1), (True, 2)):
        run = lab.run(text)
        assert run.status == "failed"
        (lab.directory / "good").touch()
        retry = plan_retry(lab.store, run.id)
        (retry.without_cache() if disabled else retry).apply(lab.store)
        run.ended()
        assert (run.status, cache_of(run, "b").hit, times(lab)) == ("finished", not disabled, expected)
        (lab.directory / "good").unlink()


def test_cells_created_by_a_retry_obey_no_cache(lab: Lab) -> None:
    """The list of a foreach is evaluated after the reset; its cells inherit the setting of the job."""
    text = """
        jobs:
          gate: {run: test -e good}
          each: {depends_on: gate, foreach: "[1, 2]", run: echo x >> times, cache: {key: item}}
        """
    (lab.directory / "good").touch()
    lab.run(text)
    (lab.directory / "good").unlink()
    run = lab.run(text)
    assert run.states()["each"] == "skipped/upstream_failed"
    (lab.directory / "good").touch()
    plan_retry(lab.store, run.id).without_cache().apply(lab.store)
    run.ended()
    assert [cache_of(run, f"each[{index}]").reason for index in range(2)] == ["without the cache, as asked"] * 2
    plan_rerun(lab.store, run.id, {run.job("each[1]").ordinal}, only=False).apply(lab.store)
    run.ended()
    assert times(lab) == 5


def test_a_sub_flow_and_a_handler(lab: Lab) -> None:
    (lab.directory / "part.yaml").write_text(
        "outputs: {x: '${{ jobs.a.result.x }}'}\njobs: {a: {run: 'echo x=1 >> $FLOWQ_OUTPUT', cache: {key: 1}}}"
    )
    text = "jobs: {p: {flow: part.yaml}}\non_exit: {h: {run: 'true', cache: {key: 1}}}"

    def run() -> Started:
        compiled = compile_text(text, name=str(lab.directory / "whole.yaml"), file=str(lab.directory / "whole.yaml"))
        return lab.submit(plan_of(compiled)).ended()

    run()
    again = run()
    assert [cache_of(again, name).hit for name in ("p/a", "on_exit/h")] == [True, True]
    assert Run(lab.store, again.id).result("p/a") == {"x": "1"}


def test_secrets(lab: Lab) -> None:
    """Their names count, their values do not; the name of a file that contains a secret is stored masked, so it never matches again."""
    text = """
        secrets: {TOKEN: {file: PLACE}}
        jobs:
          a: {secrets: [TOKEN], cache: {key: 1}, run: 'echo "t=$TOKEN" >> "$FLOWQ_OUTPUT"'}
          b: {secrets: [TOKEN], cache: {key: 1, outputs: out/*}, run: 'mkdir -p out; touch "out/$TOKEN"'}
        """.replace("PLACE", str(lab.directory / "token"))
    (lab.directory / "token").write_text("first-of-the-tokens")
    lab.run(text)
    everything = b"".join(
        value
        for kind in (b"cache:*", b"job:*")
        for key in lab.store.session.client.scan_iter(match=b"*" + kind)
        for pair in lab.store.session.client.hgetall(key).items()
        for value in pair
    )
    assert b"first-of-the-tokens" not in everything
    (lab.directory / "token").write_text("second-of-the-tokens")
    run = lab.run(text)
    assert (cache_of(run, "a").hit, run.result("a")) == (True, {"t": "***"})
    assert cache_of(run, "b").reason == "outputs missing: out/***"
    assert (
        cache_of(lab.run(text.replace("secrets: [TOKEN], cache: {key: 1}, run", "cache: {key: 1}, run")), "a").reason
        == "secret TOKEN changed"
    )


def test_names_of_any_bytes(lab: Lab, sources: Path) -> None:
    text = "jobs: {a: {run: 'true', cache: {inputs: src}}}"
    lab.run(text)
    (sources / os.fsdecode(b"\xff\n")).write_text("")
    run = lab.run(text)
    assert cache_of(run, "a").reason == r"inputs changed: src/\udcff\n (new)"
    assert cache_of(lab.run(text), "a").hit


def test_hashing_is_part_of_the_attempt_and_blocks_no_other_jobs(lab: Lab) -> None:
    """While a file takes minutes to read, the job times out and other jobs run."""
    with (lab.directory / "endless").open("wb") as file:
        file.truncate(1 << 42)
    run = lab.start(
        """
        jobs:
          slow: {cache: {inputs: endless}, timeout: 1, run: 'true'}
          a: {run: 'true'}
          b: {depends_on: a, run: 'true'}
        """
    )
    assert str(run.until_job("b", "finished").status) == "finished"
    assert str(run.job("slow").status) == "started"
    run.ended()
    assert run.states()["slow"] == "failed/timeout"


@pytest.mark.slow
def test_a_killed_worker_caches_no_wrong_result(lab: Lab, sources: Path) -> None:
    """The job has written its outputs, and its worker is killed before it reports: the next execution writes them again."""
    text = """
        jobs:
          a:
            queue: fragile
            cache: {inputs: src, outputs: out}
            retry: 1
            call: language_jobs:write_and_wait
            args: [out, go]
        """
    (lab.directory / "language_jobs.py").unlink()
    (lab.directory / "language_jobs.py").write_text(
        "import os, time\n"
        "def write_and_wait(path, go):\n"
        "    open(path, 'a').write('x')\n"
        "    while not os.path.exists(go): time.sleep(0.01)\n"
    )
    (lab.directory / "out").write_text("")
    run = lab.start(text)
    with other_worker(lab, "fragile"):
        until(lambda: (lab.directory / "out").read_text() == "x", message="the outputs of the first execution")
    (lab.directory / "go").touch()
    lapse(lab.store)
    with other_worker(lab, "fragile"):
        run.ended()
        assert (run.status, run.job("a").attempts, cache_of(run, "a").reason) == ("finished", 2, "no earlier result")
        again = lab.start(text).ended()
        assert cache_of(again, "a") == CacheView(hit=True, reason="1 input file unchanged", run=run.id)
    assert (lab.directory / "out").read_text() == "xx"


def test_two_workers_and_two_runs_at_once(lab: Lab) -> None:
    """Each cell runs twice at the same time: both runs have the results, and one result is cached."""
    text = "jobs: {m: {matrix: {n: '${{ range(20) }}'}, cache: {key: matrix.n}, run: 'sleep 0.1; echo \"n=${{ matrix.n }}\" >> $FLOWQ_OUTPUT'}}"
    expected = [{"n": str(number)} for number in range(20)]
    with other_worker(lab, "default"):
        until(lambda: len([worker for worker in lab.store.workers.live() if "default" in worker.queues]) == 2, timeout=30)
        runs = [lab.start(text), lab.start(text)]
        assert [run.ended().result("m") for run in runs] == [expected, expected]
    assert len({job.worker for run in runs for job in run.view.jobs}) == 2
    third = lab.run(text)
    assert third.result("m") == expected
    assert all(job.cache is not None and job.cache.hit for job in third.view.jobs)
