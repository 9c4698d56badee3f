"""Background processes that a job leaves are named in its output, because they end with it."""

import os
import re
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from flowq.embedded.attach import attach
from flowq.embedded.control import stop_server
from flowq.worker.ipc.platform import has_ended
from flowq.worker.supervisor.ends import KillCause
from tests.embedded.users import gone, processes, server_pid, until_ended
from tests.support.supervisor_stub import Stand, shell, task
from tests.support.wait import until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="children are listed in /proc")


@pytest.fixture
def stand() -> Iterator[Stand]:
    with Stand() as stand:
        yield stand


def python(code: str) -> dict[str, Any]:
    """Return a task that executes code in its horse."""
    return task("call", module="builtins", attribute="exec", args=[code], kwargs={})


BEGUN = "until grep -q sleep /proc/$!/comm; do :; done"
"""Waits until the last background process of a script has become its program."""

ENDED = "(sleep 0 & echo $! > pid); while grep -qs 'State:.[^Z]' /proc/$(cat pid)/status; do :; done"
"""Leaves a daemon that has ended; a shell that is no child of its horse waits for it, too."""


def lines(stand: Stand, work: dict[str, Any]) -> list[str]:
    """Return flowq's own lines in the errors of a task."""
    return [line for line in stand.run(work).output("err").decode().splitlines() if line.startswith("[flowq: ")]


def test_a_process_is_named_with_its_pid(stand: Stand) -> None:
    execution = stand.run(shell(f"sleep 61 & {BEGUN}; echo $!"))
    pid, line = execution.output().decode().strip(), execution.output("err").decode().rstrip("\n")
    assert line == f"[flowq: a background process is killed, because the job has ended: {pid} (sleep 61)]"
    assert execution.outcome["outcome"] == "finished"


@pytest.mark.parametrize("code", [0, 3])
def test_five_are_named(stand: Stand, code: int) -> None:
    (line,) = lines(stand, shell(f"for n in 1 2 3 4 5 6 7; do sleep 6$n & {BEGUN}; done; exit {code}"))
    assert line.startswith("[flowq: 7 background processes are killed, because the job has ended: ")
    assert re.findall(r"\d+ \((.*?)\)", line) == [f"sleep 6{n}" for n in range(1, 6)]
    assert line.endswith(" and 2 more]")


def test_processes_of_processes_and_daemons_are_named(stand: Stand) -> None:
    inner = f"sleep 62 & {BEGUN}; echo > $0/begun; wait"
    script = f"d=$(dirname $FLOWQ_OUTPUT); setsid sh -c '{inner}' $d & until [ -e $d/begun ]; do :; done"
    (line,) = lines(stand, shell(script))
    named = re.findall(r"\d+ \((.*?)\)", line)
    assert "sleep 62" in named
    assert any(name.startswith("sh -c sleep 62 &") for name in named)


def test_children_of_a_function(stand: Stand) -> None:
    code = "import subprocess, os; subprocess.Popen(['sleep', '64']); os.fork() or __import__('signal').pause()"
    (line,) = lines(stand, python(code))
    assert set(re.findall(r"\d+ \((.*?)\)", line)) == {"sleep 64", "a fork of the job's process"}


def test_the_command_line_is_cut_and_made_one_line(stand: Stand) -> None:
    (line,) = lines(stand, shell(f"exec -a \"$(printf 'sleep\\n%0300d' 0)\" sleep 65 & {BEGUN}"))
    assert "(sleep 000" in line
    assert line.count("0") < 140
    assert "…)" in line


@pytest.mark.parametrize(
    "script", ["true", "sleep 0 & wait", "sh -c 'exit 3' & wait $! || true", f"cd $(dirname $FLOWQ_OUTPUT); {ENDED}"]
)
def test_nothing_is_said_of_what_has_ended(stand: Stand, script: str) -> None:
    assert lines(stand, shell(script)) == []


def test_helpers_of_python_are_no_news(stand: Stand) -> None:
    code = "import multiprocessing.resource_tracker as tracker; tracker.ensure_running()"
    assert lines(stand, python(code)) == []


def test_a_closed_output(stand: Stand) -> None:
    code = "import subprocess, os; subprocess.Popen(['sleep', '66']); os.close(1); os.close(2)"
    assert stand.run(python(code)).outcome["outcome"] == "finished"


def test_the_traceback_stays_the_last_part(stand: Stand) -> None:
    errors = stand.run(python("import subprocess; subprocess.Popen(['sleep', '67']); 1 / 0")).output("err").decode()
    assert errors.index("(sleep 67)]\n") < errors.index("Traceback")
    assert errors.endswith("ZeroDivisionError: division by zero\n")


def test_each_log_names_the_processes_of_its_own_job_if_several_end_at_once(tmp_path: Path) -> None:
    # the quotes, because a horse does not become a script that names `setsid`
    leaves = ["sleep 61", "set''sid sleep 62", "env -i set''sid sleep 63", "set''sid sleep 64"]
    wait = "mv $0 $0.begun; until [ -e go ]; do sleep 0.01; done"
    with Stand(slots=len(leaves)) as stand:
        executions = [
            stand.start(shell(f"cd {tmp_path}; {left} & {BEGUN}; echo $$ > {slot}; {wait.replace('$0', str(slot))}"), slot)
            for slot, left in enumerate(leaves)
        ]
        begun = [tmp_path / f"{slot}.begun" for slot in range(len(leaves))]
        stand.turn(lambda: all(path.exists() for path in begun))
        os.kill(stand.fork_server.pid, signal.SIGSTOP)
        (tmp_path / "go").touch()
        until(lambda: all(has_ended(int(path.read_text())) for path in begun))
        os.kill(stand.fork_server.pid, signal.SIGCONT)
        stand.turn(lambda: all(execution.freed for execution in executions))
        named = [re.findall(r"sleep \d+", execution.output("err").decode()) for execution in executions]
    assert named == [["sleep 61"], ["sleep 62"], [], ["sleep 64"]]  # whose the third one is cannot be told


def test_an_embedded_server_that_a_job_has_started_is_no_leftover(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As of `flowq run` in a job whose worker uses another server: everybody may have attached to it meanwhile."""
    home = tmp_path / "home"
    code = "from flowq.embedded.attach import attach; import os; attach(os.environ['OTHER_HOME']).close()"
    try:
        with Stand() as stand:
            started = stand.run(shell(f'{sys.executable} -c "{code}"', env={"OTHER_HOME": str(home)}))
            assert started.outcome["outcome"] == "finished", started.output("err")
            assert started.output("err") == b""
            pid = server_pid(home)
            with attach(str(home)):
                stand.run(shell(f"sleep 61 & {BEGUN}"))
                assert not gone(pid)
            stand.run(shell("kill -9 $$"))
        assert not gone(pid), "its fork server has ended"
        assert processes(home)
    finally:
        stop_server(str(home), force=True)
    until_ended(home)


@pytest.mark.parametrize("horse", ["becomes the shell", "stays: setsid"])
def test_nothing_is_said_of_what_was_told_to_end(stand: Stand, tmp_path: Path, horse: str) -> None:
    """A canceled job's processes are all told at once; no order of their ends is certain."""
    begun = tmp_path / "begun"
    execution = stand.start(shell(f": {horse}; for n in $(seq 40); do sleep 60 & done; {BEGUN}; touch {begun}; wait"))
    stand.turn(begun.exists)
    stand.slots[0].kill(KillCause.CANCEL)
    stand.turn(lambda: execution.freed)
    assert execution.output("err") == b""
