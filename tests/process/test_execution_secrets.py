"""Secrets in slots and horses: they are only in the environment of their job, and never in its output."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from flowq.worker.secrets.execution import ExecutionSecrets
from flowq.worker.supervisor.ends import KillCause
from tests.support.supervisor_stub import Execution, Stand, call, shell, survivors
from tests.support.wait import until

CANARY = "canary-31f0 with spaces"


@pytest.fixture(params=[False, True], ids=["server", "clone"])
def stand(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stand]:
    """Horses of a fork server, and of a clone of this process, which has the variable with the secret."""
    monkeypatch.setenv("SOURCE", CANARY)
    with Stand(clone=request.param) as one:
        yield one
    until(lambda: not survivors(one.mark))


def run(stand: Stand, task: dict[str, object], secrets: ExecutionSecrets | None) -> Execution:
    execution = stand.executions[0] = Execution()
    stand.slots[0].start(task, stand.fork_server, secrets)
    stand.turn(lambda: execution.freed)
    return execution


def test_a_job_has_its_secret_but_not_the_source_variable(stand: Stand) -> None:
    task = call("environment", "SECRET", "SOURCE", withheld=["SOURCE"], secrets=["SECRET"])
    execution = run(stand, task, ExecutionSecrets({"SECRET": CANARY}))
    assert json.loads(execution.outcome["value"]) == {"SECRET": "***", "SOURCE": None}
    assert b"the job's result had the secret SECRET in it" in execution.output("err")
    assert CANARY not in repr(task)


def test_the_next_job_does_not_have_it(stand: Stand) -> None:
    run(stand, shell('echo "$SECRET"', withheld=["SOURCE"]), ExecutionSecrets({"SECRET": CANARY}))
    execution = run(stand, shell('echo "${SECRET:-none} ${SOURCE:-none}"', withheld=["SOURCE"]), None)
    assert execution.output() == b"none none\n"


def test_a_job_cannot_find_values_in_its_task(stand: Stand) -> None:
    execution = run(stand, call("task_as_text"), ExecutionSecrets({"SECRET": CANARY}))
    assert b"r-1" in execution.outcome["value"], "it is the task"
    assert b"***" not in execution.outcome["value"]
    assert CANARY.encode() not in execution.outcome["value"]


def test_output_of_a_job_that_is_killed_while_it_prints_a_secret(stand: Stand, tmp_path: Path) -> None:
    execution = stand.executions[0] = Execution()
    half = tmp_path / "half"
    script = 'printf "%s\\nand %s" "$SECRET" "${SECRET:0:9}"; touch "$HALF"; sleep 60'
    stand.slots[0].start(shell(script, env={"HALF": str(half)}), stand.fork_server, ExecutionSecrets({"SECRET": CANARY}))
    stand.turn(half.exists)
    stand.slots[0].kill(KillCause.KILL)
    stand.turn(lambda: execution.freed)
    assert execution.output() == b"***\nand canary-31", "what was held turned out to be no secret"


@pytest.mark.parametrize("end", [0, 3])
@pytest.mark.parametrize("before", [1, 105], ids=["whole", "cut"])
def test_the_processes_that_a_command_has_left_do_not_reveal_it(stand: Stand, end: int, before: int) -> None:
    leave = f'exec -a "$(printf %0{before}d 0)$SECRET" sleep 60 & until grep -q sleep /proc/$!/comm; do :; done'
    told = run(stand, shell(f"{leave}; exit {end}"), ExecutionSecrets({"SECRET": CANARY})).output("err").decode()
    assert "background process is killed" in told
    assert "0***" in told
    assert CANARY[:6] not in told


def test_a_timeout_does_not_reveal_it(stand: Stand) -> None:
    execution = run(stand, call("time_out_with", "SECRET"), ExecutionSecrets({"SECRET": CANARY}))
    assert execution.outcome["reason"] == "timeout"
    assert execution.outcome["error"].endswith(" s with ***")
    assert CANARY not in execution.outcome["error"]
