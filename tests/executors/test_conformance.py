"""What a job may rely on, wherever it is executed: one set of cases for all engines. Faults are in `test_faults`."""

from pathlib import Path

import pytest

from flowq.flows.actions.cancellation import cancel_run
from tests.executors.bench import Bench, alive
from tests.executors.engines import ENGINES
from tests.support.wait import until

pytestmark = [pytest.mark.parametrize("bench", ENGINES, indirect=True)]


def test_the_result_of_a_call(bench: Bench) -> None:
    ran = bench.run("jobs: {a: {call: 'jobs:echo', args: [1, two]}}")
    assert ran.result() == {"values": [1, "two"], "home": str(bench.directory)}
    assert ran.output() == "called with 1 two\n"


def test_a_script_with_outputs_environment_and_directory(bench: Bench) -> None:
    script = 'pwd; echo "$MINE $FLOWQ_JOB_NAME"; echo rows=12 >> "$FLOWQ_OUTPUT"'
    ran = bench.run(f"jobs: {{a: {{run: '{script}', env: {{MINE: own}}, workdir: /tmp}}}}")
    assert ran.result() == {"rows": "12"}
    assert ran.output() == "/tmp\nown a\n"


def test_an_argv_without_a_last_newline(bench: Bench) -> None:
    assert bench.run(r'jobs: {a: {run: [printf, "%s", "a b"]}}').output() == "a b"


def test_an_exit_code(bench: Bench) -> None:
    ran = bench.run("jobs: {a: {run: 'exit 4'}}")
    assert (ran.status, ran.job.reason, ran.error) == ("failed", "error", "exit code 4")


def test_an_exception_with_its_traceback(bench: Bench) -> None:
    ran = bench.run("jobs: {a: {call: 'jobs:fail'}}")
    assert ran.job.reason == "error"
    assert "LookupError: as asked" in ran.error
    assert "flowq" not in ran.output("err").replace(str(bench.directory), "")


def test_results_of_one_job_are_arguments_of_the_next(bench: Bench) -> None:
    second = "b: {depends_on: a, call: 'jobs:echo', args: ['${{ jobs.a.result.values[0] }}']}"
    ran = bench.run(f"jobs: {{a: {{call: 'jobs:echo', args: [5]}}, {second}}}")
    assert ran.result(1)["values"] == [5]


def test_artifacts_of_one_job_are_files_of_the_next(bench: Bench) -> None:
    first = "a: {run: 'mkdir -p made; echo rows > made/t.csv; rm -rf got', artifacts: {table: 'made/*.csv'}}"
    second = "b: {depends_on: a, fetch: {a.table: got/}, run: 'cat got/made/t.csv'}"
    ran = bench.run(f"jobs: {{{first}, {second}}}")
    assert (ran.status, ran.output()) == ("finished", "artifacts table: 1 file, 5 bytes\nrows\n")


def test_the_order_of_both_streams(bench: Bench) -> None:
    ran = bench.run("jobs: {a: {call: 'jobs:alternate', args: [2000]}}")
    assert ran.output() == "".join(f"{number}\n" for number in range(2000))
    assert ran.output("err").startswith("1\n3\n5\n")


def test_much_output(bench: Bench) -> None:
    ran = bench.run(f"jobs: {{a: {{call: 'jobs:flood', args: [{4 * 1024 * 1024}]}}}}", timeout=60)
    assert ran.output() == ("x" * 1023 + "\n") * 4096


def test_the_limit_of_results(bench: Bench) -> None:
    ran = bench.run("jobs: {a: {call: 'jobs:big', args: [9000000]}, b: {call: 'jobs:big', args: [1000000]}}")
    assert ran.job.reason == "invalid_result"
    assert len(ran.result(1)) == 1_000_000


def test_a_soft_timeout(bench: Bench) -> None:
    ran = bench.run("jobs: {a: {call: 'jobs:sleep', timeout: 300ms}}")
    assert ran.job.reason == "timeout"
    pid = bench.begun(ran.run)
    until(lambda: not alive(pid))


def test_a_hard_timeout(bench: Bench) -> None:
    ran = bench.run("jobs: {a: {call: 'jobs:refuse', timeout: 300ms}}")
    assert ran.job.reason == "timeout"
    assert "ignored" in ran.output()
    pid = bench.begun(ran.run)
    until(lambda: not alive(pid))


def test_a_timeout_of_a_command(bench: Bench) -> None:
    ran = bench.run("jobs: {a: {run: \"trap 'echo bye; exit 3' TERM; sleep 60 & wait\", timeout: 300ms}}")
    assert ran.job.reason == "timeout"
    assert ran.output().startswith("bye\n")


def test_cancel_while_it_runs(bench: Bench) -> None:
    run = bench.submit("jobs: {a: {run: \"trap 'echo bye; exit 3' TERM; echo $$ > pid; sleep 60 & wait\"}}")
    pid = bench.begun(run)
    cancel_run(bench.store, run, force=False)
    ran = bench.ended(run)
    assert (ran.status, str(ran.job.status)) == ("canceled", "canceled")
    assert ran.output().startswith("bye\n")
    until(lambda: not alive(pid))


def test_cancel_of_one_that_does_not_listen(bench: Bench) -> None:
    run = bench.submit("jobs: {a: {call: 'jobs:refuse'}}")
    pid = bench.begun(run)
    cancel_run(bench.store, run, force=False)
    assert bench.ended(run).status == "canceled"
    until(lambda: not alive(pid))


def test_a_job_that_is_killed(bench: Bench) -> None:
    ran = bench.run("jobs: {a: {call: 'jobs:die'}}")
    assert ran.job.reason == "killed"
    assert "SIGKILL" in ran.error


def test_what_a_job_has_detached_ends_with_it(bench: Bench) -> None:
    ran = bench.run("jobs: {a: {call: 'jobs:daemon'}}")
    assert ran.status == "finished"
    pid = bench.begun(ran.run, "daemon")
    until(lambda: not alive(pid))


def test_secrets_are_masked_and_in_no_other_process(bench: Bench) -> None:
    (bench.directory / "token").write_text("t0p-s3cret-value")
    text = "secrets: {TOKEN: {file: token}, OWN: {env: WORKER_SECRET}}\njobs: {a: {call: 'jobs:secret', secrets: [TOKEN]}}"
    ran = bench.run(text)
    assert ran.result() == {"secret": "***", "worker": ""}
    assert ran.output().count("the secret is ***\n") == 2
    assert "s3cret" not in ran.output()
    for pid in bench.processes("flowq.worker.node"):
        for part in ("environ", "cmdline"):
            assert b"s3cret" not in Path(f"/proc/{pid}/{part}").read_bytes()


def test_many_at_once(bench: Bench) -> None:
    ran = bench.run(f"jobs: {{a: {{matrix: {{n: {list(range(40))}}}, run: 'echo ${{{{ matrix.n }}}}'}}}}", timeout=60)
    assert ran.status == "finished"
    assert sorted(map(int, ran.output().split())) == list(range(40))
