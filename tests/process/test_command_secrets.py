"""Secrets that commands give: real commands beside a real slot, whose loop goes on meanwhile."""

import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from flowq.worker.secrets.command import CommandSecrets
from flowq.worker.secrets.execution import ExecutionSecrets
from flowq.worker.secrets.resolve import MAX_BYTES, SecretError
from flowq.worker.supervisor.ends import KillCause
from tests.support.supervisor_stub import Execution, Stand, shell, survivors
from tests.support.wait import until

ROOT = Path(__file__).parents[2]
CANARY = "canary-77aa with spaces"


@pytest.fixture
def stand() -> Iterator[Stand]:
    with Stand(slots=2) as one:
        yield one
    until(lambda: not survivors(one.mark))


def given(script: str, *, limit: float = 30.0, directory: str = "", known: dict[str, str] | None = None) -> ExecutionSecrets:
    """A secret SECRET that a shell's script prints, and others that are known."""
    commands = CommandSecrets({"SECRET": ["bash", "-c", script]}, known or {}, directory, "flow.yaml:3: job a", limit)
    return ExecutionSecrets(known or {}, commands)


def begin(stand: Stand, task: dict[str, object], secrets: ExecutionSecrets, slot: int = 0) -> Execution:
    execution = stand.executions[slot] = Execution()
    stand.slots[slot].start(task, stand.fork_server, secrets)
    return execution


def run(stand: Stand, task: dict[str, object], secrets: ExecutionSecrets) -> Execution:
    execution = begin(stand, task, secrets)
    stand.turn(lambda: execution.freed)
    return execution


def said(secrets: ExecutionSecrets) -> str:
    """What becomes of secrets that cannot be had."""
    with pytest.raises(SecretError) as caught:
        until(lambda: secrets.look_up() is None)
    return str(caught.value)


def test_a_job_gets_what_the_command_prints_and_its_output_is_masked(stand: Stand, tmp_path: Path) -> None:
    secrets = given(f"echo looked >> looked; echo '{CANARY}'; echo", directory=str(tmp_path))
    execution = run(stand, shell('printf "%s|%s" "${#SECRET}" "$SECRET"', secrets=["SECRET"]), secrets)
    assert execution.output() == f"{len(CANARY) + 1}|***\n".encode(), "of two line breaks at its end one is dropped"
    assert (tmp_path / "looked").read_text() == "looked\n", "in the flow's directory, once"


def test_other_jobs_go_on_while_a_command_is_at_work(stand: Stand, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    slow = begin(stand, shell('echo "$SECRET"'), given(f"read -r word < {gate}; echo $word-secret"), slot=0)
    other = begin(stand, shell("echo other"), ExecutionSecrets({}), slot=1)
    stand.turn(lambda: other.freed)
    assert other.output() == b"other\n"
    assert not slow.freed
    gate.write_text("open\n")
    stand.turn(lambda: slow.freed)
    assert slow.output() == b"***\n"


@pytest.mark.parametrize("cause", [KillCause.CANCEL, KillCause.FENCED, KillCause.RETURNED])
def test_nothing_is_left_of_a_command_whose_job_is_killed(stand: Stand, tmp_path: Path, cause: KillCause) -> None:
    execution = begin(stand, shell("echo never"), given(f"sleep 600 & echo $$ $! > {tmp_path}/pids; wait"))
    pids = tmp_path / "pids"
    stand.turn(lambda: pids.exists() and len(pids.read_text().split()) == 2)
    stand.slots[0].kill(cause)
    assert execution.freed
    assert execution.end is not None
    assert execution.end.cause is cause
    assert execution.output() == b""
    until(lambda: not any(map(_lives, pids.read_text().split())))


def test_a_failed_command_is_told_with_its_exit_code_and_without_secrets(stand: Stand) -> None:
    script = f'echo "{CANARY}"; echo "no {CANARY} for other-value" >&2; exit 3'
    execution = run(stand, shell("echo never"), given(script, known={"OTHER": "other-value"}))
    error = execution.outcome["error"]
    assert error.startswith("flow.yaml:3: job a: secret SECRET: the command bash -c ")
    assert "ended with exit code 3: no *** for ***; try it as the worker's user" in error
    assert execution.output() == b""


def test_an_error_has_the_secret_of_no_other_command() -> None:
    scripts = {"A": "echo of-the-first-one", "B": "echo of-the-first-one >&2; exit 1"}
    commands = CommandSecrets({name: ["bash", "-c", f"\n{script}\n"] for name, script in scripts.items()}, {}, "", "job a")
    error = said(ExecutionSecrets({}, commands))
    assert error.startswith(
        "job a: secret B: the command bash -c ' echo of-the-first-one >&2; exit 1 ' ended with exit code 1: ***;"
    )


def test_a_job_is_handed_back_where_no_process_is_left(stand: Stand) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    os.close(free := os.dup(0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, hard))
    try:
        execution = begin(stand, shell("echo never"), given("echo it"))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert execution.freed
    assert execution.end is not None
    assert execution.end.unstarted
    assert "Too many open files" in execution.outcome["error"]


@pytest.mark.parametrize(
    ("script", "text"),
    [
        ("true", "prints what cannot be used: it is empty"),
        ("echo", "prints what cannot be used: it is empty"),
        (r"printf 'a\0b'", "it has a NUL character in it"),
        (f"head -c {MAX_BYTES + 1} /dev/zero | tr '\\0' x", "it has more than 65,536 bytes"),
        ("head -c 9000000 /dev/zero | tr '\\0' x", "it has more than 65,536 bytes"),
        ("exit 4", "ended with exit code 4 and said nothing on stderr"),
        ("kill -9 $$", "was killed by signal 9"),
        ("(for i in $(seq 9999); do echo $i; done; echo at the end) >&2; exit 1", "9999\nat the end; try it"),
    ],
)
def test_what_can_be_no_secret(script: str, text: str) -> None:
    assert text in said(given(script))


def test_a_command_that_never_ends_is_killed(tmp_path: Path) -> None:
    before = time.monotonic()
    error = said(given(f"echo $$ > {tmp_path}/pid; exec yes", limit=0.3))
    assert "did not end within 0.3 s; it must answer without a question" in error
    assert time.monotonic() - before >= 0.3
    assert not _lives((tmp_path / "pid").read_text().strip())


def test_an_agent_that_a_command_leaves_holds_nothing_up(tmp_path: Path) -> None:
    secrets = given(
        f"setsid bash -c 'echo $$ > {tmp_path}/agent; exec sleep 600' & until [ -s {tmp_path}/agent ]; do :; done; echo it"
    )
    until(lambda: secrets.look_up() is None)
    assert secrets.environment() == {"SECRET": "it"}
    agent = (tmp_path / "agent").read_text().strip()
    assert _lives(agent)
    os.kill(int(agent), 9)


def test_a_missing_program_is_told_with_what_to_do() -> None:
    commands = CommandSecrets({"A": ["no-such-program", "x"]}, {}, "", "flow.yaml:3: job a")
    assert "the command no-such-program x cannot be executed here: No such file or directory; install it" in said(
        ExecutionSecrets({}, commands)
    )


def test_a_command_has_the_workers_environment_without_flowqs_own_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VAULT_ADDR", "here")
    monkeypatch.setenv("FLOWQ_SECRET_KEY", "key-of-the-worker")
    secrets = given('echo "$VAULT_ADDR ${FLOWQ_SECRET_KEY:-none}"')
    until(lambda: secrets.look_up() is None)
    assert secrets.environment() == {"SECRET": "here none"}


LOST = """
import os, sys
from flowq.worker.fork_server.children import kill_orphans, own_children, reap_orphans
from flowq.worker.ipc.platform import become_subreaper, has_ended
from flowq.worker.secrets.command import CommandSecrets
from tests.support.wait import until

def ask(script, meanwhile=lambda: None):
    secrets = CommandSecrets({"A": ["bash", "-c", script]}, {}, "", "here")
    secrets.look()
    meanwhile()
    return until(secrets.look)["A"]

become_subreaper()
gate = sys.argv[1]
os.mkfifo(gate)
opened = os.open(gate, os.O_RDWR)
assert ask(f"head -n 1 {gate}", lambda: (kill_orphans(set()), os.write(opened, b"it\\n"))) == "it"
assert ask("(exec sleep 0.01) & echo $!").isdigit()
(orphan,) = own_children()
until(lambda: has_ended(orphan))
reap_orphans(set())
assert own_children() == set()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="orphans go to init elsewhere")
def test_a_worker_that_kills_or_reaps_orphans_knows_its_commands(tmp_path: Path) -> None:
    """When a fork server is lost, the worker kills what it has left; a command is a child of the worker too, and its own children fall to it."""
    subprocess.run([sys.executable, "-c", LOST, str(tmp_path / "gate")], check=True, timeout=60, cwd=ROOT)


KILLED = """
import os, signal, sys
from flowq.worker.secrets.command import CommandSecrets
from tests.support.wait import until

CommandSecrets({"A": ["sh", "-c", f"echo $$ > {sys.argv[1]}; exec sleep 300"]}, {}, "", "here").look()
until(lambda: os.path.exists(sys.argv[1]) and open(sys.argv[1]).read().strip())
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel of Linux tells the death of a parent")
def test_a_command_ends_with_a_worker_that_is_killed(tmp_path: Path) -> None:
    """It would wait for an answer, or hold a lock of the password manager, while no process reads what it prints."""
    done = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path / "pid")], check=False, timeout=60, cwd=ROOT)
    assert done.returncode == -signal.SIGKILL
    until(lambda: not _lives((tmp_path / "pid").read_text().strip()), message="the command to end")


def _lives(pid: str) -> bool:
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
