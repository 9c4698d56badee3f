"""Jobs that are commands: scripts and argument vectors."""

import json
import os
import re
import shutil
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from flowq.worker.horse.shell import judged
from flowq.worker.ipc.platform import has_ended
from flowq.worker.supervisor import slot
from flowq.worker.supervisor.ends import KillCause
from tests.support.supervisor_stub import Execution, Stand, call, gone, shell, task
from tests.support.wait import until

GREETS = '#!/bin/sh\necho "hello $1"\n'


def test_a_script_returns_a_map_and_output(stand: Stand) -> None:
    script = 'echo to out; echo to err >&2\necho "path=$V" >> "$FLOWQ_OUTPUT"\necho \'{"n": 1}\' >> "$FLOWQ_OUTPUT"\n'
    execution = stand.run(shell(script, variables={"V": "a 'b' $(c) `d` \"e\""}))
    assert json.loads(execution.outcome["value"]) == {"path": "a 'b' $(c) `d` \"e\"", "n": 1}
    assert execution.output() == b"to out\n"
    assert execution.output("err") == b"to err\n"


def test_no_output_is_an_empty_map(stand: Stand) -> None:
    assert stand.run(shell("true")).outcome == {"outcome": "finished", "value": b"{}", "exit_code": 0}


def test_the_default_shell_stops_at_the_first_error(stand: Stand) -> None:
    execution = stand.run(shell("false | true\necho not reached"))
    assert execution.outcome["error"] == "exit code 1"
    assert execution.output() == b""
    assert stand.run(shell("echo $UNSET_VARIABLE")).outcome["exit_code"] == 1


def test_exit_codes_and_signals_are_named(stand: Stand) -> None:
    outcome = stand.run(shell("exit 3")).outcome
    assert (outcome["reason"], outcome["error"], outcome["exit_code"]) == ("error", "exit code 3", 3)
    outcome = stand.run(shell("kill -9 $$")).outcome
    assert (outcome["reason"], outcome["error"], outcome["exit_code"]) == ("killed", "killed by SIGKILL", 137)


def test_argv_needs_no_shell(stand: Stand) -> None:
    execution = stand.run(task("argv", argv=["printf", "%s|", "$HOME", "a b", "*"]))
    assert execution.output() == b"$HOME|a b|*|"


def test_a_custom_shell(stand: Stand) -> None:
    assert stand.run(shell("print('from python')", shell=["python3"])).output() == b"from python\n"


@pytest.mark.parametrize(
    ("argv", "message", "code"),
    [
        (["no-such-command-here"], "command not found: no-such-command-here", 127),
        (["/etc/passwd"], "not an executable program: /etc/passwd", 126),
        (["true", "x" * 3_000_000], "true cannot be started: arguments (3,000,004 bytes)", 127),
        (["echo", "a\0b"], "contains a NUL character", 127),
    ],
    ids=["missing", "no program", "too long", "NUL"],
)
def test_a_command_that_cannot_start(stand: Stand, argv: list[str], message: str, code: int) -> None:
    outcome = stand.run(task("argv", argv=argv)).outcome
    assert (outcome["outcome"], outcome["reason"], outcome["exit_code"]) == ("failed", "error", code)
    assert message in outcome["error"]


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"#!/bin/sh\r\necho hi\r\n", "interpreter that is not there, '/bin/sh\\r': save the file with the line ends of Unix"),
        (b"#! /no/such \n", "its first line names an interpreter that is not there, '/no/such'"),
    ],
)
def test_a_program_without_its_interpreter(stand: Stand, tmp_path: Path, data: bytes, why: str) -> None:
    """The system says only that something is not there, and the file is."""
    (tmp_path / "program").write_bytes(data)
    (tmp_path / "program").chmod(0o755)
    outcome = stand.run(task("argv", argv=["./program"], cwd=str(tmp_path))).outcome
    assert outcome["error"].startswith("./program cannot be started: ")
    assert outcome["error"].endswith(why)
    assert outcome["exit_code"] == 127


def test_a_program_of_another_system(stand: Stand, tmp_path: Path) -> None:
    """Such as one for musl, on glibc."""
    program = Path(shutil.which("true") or "").read_bytes()
    loader = re.search(rb"/lib[\w./-]*/ld-[\w.-]+", program)
    if loader is None:
        pytest.skip("programs have no loader here")
    (tmp_path / "program").write_bytes(program.replace(loader[0], b"/no" + loader[0][3:]))
    (tmp_path / "program").chmod(0o755)
    outcome = stand.run(task("argv", argv=["./program"], cwd=str(tmp_path))).outcome
    assert outcome["error"] == "./program cannot be started: it was built for another system, whose loader is not there"


def test_a_program_is_searched_as_a_shell_does(stand: Stand, tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("missing", "file", "data", "broken", "good", "later")]
    folders[1].write_text("")
    for folder, script, mode in zip(
        folders[2:], ("", "#!/no/such/interpreter\n", GREETS, "#!/bin/sh\n"), (0o644, 0o755, 0o755, 0o755), strict=True
    ):
        folder.mkdir()
        (folder / "greet").write_text(script)
        (folder / "greet").chmod(mode)

    def run(path: Sequence[Path | str], name: str = "greet") -> Execution:
        env = {"PATH": os.pathsep.join([*map(str, path), "/bin"])}
        return stand.run(task("argv", argv=[name, "you"], env=env, cwd=str(folders[4])))

    assert run(folders).output() == b"hello you\n"
    assert run(folders[:2], "./greet").output() == b"hello you\n"
    assert run([*folders[:2], ""]).output() == b"hello you\n"
    assert run(folders[:3]).outcome["error"] == "not an executable program: greet"
    without = "cannot be started: its first line names an interpreter that is not there, '/no/such/interpreter'"
    assert run(folders[3:4]).outcome["error"] == f"{folders[3]}/greet {without}"
    assert run(folders[:2]).outcome["error"] == "command not found: greet"


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ('echo "no form" > "$FLOWQ_OUTPUT"', "line 1 of $FLOWQ_OUTPUT is 'no form'"),
        ('head -c 2000000 /dev/zero > "$FLOWQ_OUTPUT"', "line 1 of $FLOWQ_OUTPUT has a NUL character"),
        ('head -c 9000000 /dev/zero > "$FLOWQ_OUTPUT"', "more than the limit of 8,388,608 bytes"),
        ('rm "$FLOWQ_OUTPUT"', "cannot be read any more"),
        ('printf \'{"a": 1e999}\\n\' > "$FLOWQ_OUTPUT"', "result.a is inf"),
    ],
)
def test_invalid_outputs(stand: Stand, script: str, message: str) -> None:
    outcome = stand.run(shell(script)).outcome
    assert outcome["reason"] == "invalid_result"
    assert message in outcome["error"]


def test_commands_do_not_see_flowqs_own_secrets(stand: Stand) -> None:
    env = {"FLOWQ_REDIS_URL": "redis://:secret@host", "FLOWQ_SECRET_KEY": "key", "MINE": "yes"}
    execution = stand.run(task("argv", argv=["env"], env=env))
    names = {line.partition(b"=")[0] for line in execution.output().splitlines()}
    assert b"MINE" in names
    assert b"FLOWQ_OUTPUT" in names
    assert not names & {b"FLOWQ_REDIS_URL", b"FLOWQ_SECRET_KEY"}


def test_a_value_that_is_too_large_is_named(stand: Stand) -> None:
    outcome = stand.run(shell("true", variables={"FLOWQ_V1": "x" * 200_000}, env={"SMALL": "y" * 1000})).outcome
    assert outcome["exit_code"] == 127
    assert "the largest is the variable FLOWQ_V1 (a value that an expression puts into the script)" in outcome["error"]
    assert "with 200,009 bytes: hand over large values in a file, or use a `call`" in outcome["error"]


@pytest.mark.parametrize("job", [shell("true"), task("argv", argv=["true"])], ids=["shell", "argv"])
def test_a_full_or_missing_temporary_directory_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, job: dict[str, Any]
) -> None:
    directory = tmp_path / "temporary"
    directory.mkdir()
    monkeypatch.setenv("TMPDIR", str(directory))
    with Stand() as stand:
        assert stand.run(job).outcome["outcome"] == "finished"
        shutil.rmtree(directory)
        directory.touch()  # a file instead of missing permissions, to fail for root too
        outcome = stand.run(job).outcome
    assert (outcome["outcome"], outcome["reason"]) == ("failed", "error")
    assert f"needs a place for its files, and none can be made in {directory}: " in outcome["error"]
    assert "TMPDIR" in outcome["error"]


def test_pipes_end_as_commands_expect(stand: Stand) -> None:
    # The interpreter ignores SIGPIPE; if that were inherited, `yes` would print an error instead of ending quietly.
    execution = stand.run(shell("set +o pipefail\nyes | head -n 1"))
    assert execution.output() == b"y\n"
    assert execution.output("err") == b""


@pytest.mark.parametrize("left", ["", "sleep 60 & until grep -q sleep /proc/$!/comm; do :; done"])
def test_a_large_result_takes_no_time_of_the_supervisor(stand: Stand, left: str) -> None:
    written = b"".join(b"key%d=\n" % number for number in range(30_000))
    before = time.process_time()
    value = judged(0, written, 1 << 30)["value"]
    direct = time.process_time() - before
    numbers = stand.fork_server._numbers
    script = f"seq -f 'key%.0f=' 0 29999 >> $FLOWQ_OUTPUT; {left}"
    before = time.process_time()
    executions = [stand.run(shell(script)) for _ in range(2)]
    assert time.process_time() - before < direct  # of both
    assert [execution.outcome["value"] for execution in executions] == [value] * 2
    assert [b"(sleep 60)" in execution.output("err") for execution in executions] == [bool(left)] * 2
    assert stand.fork_server._numbers - numbers < 3  # lanes are used again


def test_large_scripts_and_results_arrive_whole(stand: Stand) -> None:
    value = "é" * 100_000
    outcome = stand.run(shell(f"cat > \"$FLOWQ_OUTPUT\" <<'END'\nvalue={value}\nEND\n")).outcome
    assert json.loads(outcome["value"]) == {"value": value}


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("fields", [{}, {"deaf": True}], ids=["plain", "deaf"])
def test_a_command_begins_with_default_signals_and_no_input(stand: Stand, fields: dict[str, Any]) -> None:
    shown = stand.run(task("argv", argv=["sh", "-c", "cat /proc/self/status; cat | wc -c"], **fields)).output().decode()
    states = dict(line.split(":", 1) for line in shown.splitlines() if ":" in line)
    standard = 0x7FFFFFFF  # signals 1 to 31
    assert [int(states[name], 16) & standard for name in ("SigBlk", "SigIgn", "SigCgt")] == [0, 0, 0]
    assert shown.splitlines()[-1].strip() == "0"


def test_the_temporary_directory_is_cleaned(stand: Stand, tmp_path: Path) -> None:
    execution = stand.run(
        shell('dirname "$FLOWQ_OUTPUT"; stat -c %a "$FLOWQ_OUTPUT"; mkdir -p "$(dirname "$FLOWQ_OUTPUT")/sub/dir"')
    )
    directory, mode = execution.output().decode().split()
    assert mode == "600"
    assert not os.path.lexists(directory)


def test_background_processes_end_with_their_script(stand: Stand, tmp_path: Path) -> None:
    pid = int(stand.run(shell("sleep 60 & echo $!")).output())
    until(lambda: gone(pid, stand.mark))


@pytest.mark.parametrize("kind", ["shell", "call"])
@pytest.mark.parametrize("moment", range(0, 25, 2))
def test_a_cancel_in_the_first_moments_is_not_lost(kind: str, moment: int) -> None:
    """A signal that arrives before its handler is installed must not be lost: the grace period here is half a minute."""
    with Stand(grace=30) as stand:
        execution = stand.start(shell("sleep 60") if kind == "shell" else call("block", os.devnull))
        slot = stand.slots[0]
        stand.turn(lambda: slot.has_horse)
        for _ in range(moment):
            stand.loop.turn(0.0002)
        slot.kill(KillCause.CANCEL)
        stand.turn(lambda: execution.freed, timeout=10)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the horse starts the command as a child")
@pytest.mark.parametrize("end", ["exit 0", "exit 3", "kill -9 $$"])
def test_a_command_has_no_process_between_itself_and_the_fork_server(stand: Stand, end: str) -> None:
    lanes = {stand.run(shell(f"echo $PPID; {end}")).output() for _ in range(4)}
    assert lanes == {f"{stand.fork_server.pid}\n".encode()}
    assert stand.fork_server._numbers < 40  # lanes are used again


def test_a_long_command_is_not_taken_for_one_that_has_not_begun(
    stand: Stand, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slot, "_BEGIN_LIMIT", 2.0)
    execution = stand.start(shell(f"until [ -e {tmp_path}/go ]; do sleep 0.02; done", timeout=30))
    stand.turn(lambda: stand.slots[0].alarm is not None and stand.slots[0].alarm > time.monotonic() + 10)
    assert execution.end is None
    (tmp_path / "go").touch()
    stand.turn(lambda: execution.freed)
    assert execution.outcome["outcome"] == "finished"


@pytest.mark.parametrize(
    "work",
    [
        task("argv", argv=["setsid", "sh", "-c", "sleep 0.1; echo done"]),
        task("argv", argv=["nice", "/usr/bin/setsid", "sh", "-c", "sleep 0.1; echo done"]),
        shell("sleep 0.1; echo done", shell=["setsid", "sh"]),
        shell("exec setsid sh -c 'sleep 0.1; echo done'"),
    ],
    ids=["first", "behind another program", "with the shell", "in a script"],
)
def test_setsid_does_not_end_before_its_program(stand: Stand, work: dict[str, Any]) -> None:
    assert stand.run(work).output() == b"done\n"


@pytest.mark.parametrize("cause", sorted(set(KillCause) - {KillCause.TIMEOUT, KillCause.MEMORY}))  # which decide
def test_a_command_that_had_ended_when_it_was_killed_has_its_own_outcome(
    stand: Stand, tmp_path: Path, cause: KillCause
) -> None:
    execution = stand.start(
        shell(f"echo $$ > {tmp_path}/pid; echo a=1 >> $FLOWQ_OUTPUT; until [ -e {tmp_path}/go ]; do :; done")
    )
    stand.turn(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text())
    os.kill(stand.fork_server.pid, signal.SIGSTOP)
    (tmp_path / "go").touch()
    until(lambda: has_ended(int((tmp_path / "pid").read_text())))
    stand.slots[0].kill(cause)
    os.kill(stand.fork_server.pid, signal.SIGCONT)
    stand.turn(lambda: execution.freed)
    assert execution.outcome.get("value") == b'{"a":"1"}'


def test_signals_that_a_command_is_not_to_inherit_are_at_their_default(stand: Stand) -> None:
    said = stand.run(shell("grep -E 'Sig(Blk|Ign)' /proc/self/status")).output()
    assert [int(line.split(b"\t")[1], 16) % 2**31 for line in said.splitlines()] == [0, 0]  # the usual signals, 1 to 31
