"""Commands that become processes of another user, as `sudo` does: they cannot be killed, and hold up no other job."""

import os
import shlex
import shutil
import signal
import stat
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from flowq.worker.fork_server import children
from flowq.worker.supervisor import departure
from tests.support.supervisor_stub import Stand, shell, task

SETPRIV = shutil.which("setpriv")
NO_RIGHTS = 65534
AS_ROOT = ["--reuid=0", "sh", "-c", "echo $$ > $DIRECTORY/pid; exec sleep 60"]
"""Arguments of `program`."""

pytestmark = [
    pytest.mark.skipif(
        sys.platform != "linux" or SETPRIV is None or os.getuid() != 0, reason="makes a program that anyone runs as root"
    ),
    pytest.mark.skipif(bool(os.statvfs(tempfile.gettempdir()).f_flag & os.ST_NOSUID), reason="no program there runs as root"),
]


@pytest.fixture
def program(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The directory for temporary files of a user without rights, with a program `root` that executes its arguments as another user."""
    assert SETPRIV is not None
    monkeypatch.setattr(children, "_SWEEP_LIMIT", 0.3)  # s
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory) / "root"
        shutil.copy(SETPRIV, root)
        root.chmod(0o755 | stat.S_ISUID)
        Path(directory).chmod(0o777)
        monkeypatch.setenv("TMPDIR", directory)
        monkeypatch.setenv("DIRECTORY", directory)  # programs with the rights of others do not get the former
        yield str(root)
        os.kill(int(Path(directory, "pid").read_text()), signal.SIGKILL)


def without_rights(body: Callable[[Stand], object]) -> None:
    """Call a function in a process without rights, with jobs that have none; what it raises fails the test."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            os.setgroups([])
            os.setresgid(NO_RIGHTS, NO_RIGHTS, NO_RIGHTS)
            os.setresuid(NO_RIGHTS, NO_RIGHTS, NO_RIGHTS)
            with Stand(slots=2, clone=True) as stand:
                body(stand)
            code = 0
        finally:
            if code:
                traceback.print_exc()
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def test_one_that_reaches_its_timeout_ends_no_other_job(program: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(departure, "_ANSWER_LIMIT", 0.6)  # s; later than the sweep

    def body(stand: Stand) -> None:
        go = Path(program).with_name("go")
        other = stand.start(shell(f"until [ -e {go} ]; do sleep 0.01; done; echo fine"), slot=1)
        late = stand.run(task("argv", argv=[program, *AS_ROOT], timeout=0.2))
        assert late.outcome["reason"] == "timeout"
        assert b"a process is of another user and cannot be killed: " in late.output("err")
        go.touch()
        stand.turn(lambda: other.freed)
        assert other.output() == b"fine\n"

    without_rights(body)


def test_one_that_is_left_is_waited_for_once(program: str) -> None:
    def body(stand: Stand) -> None:
        left = stand.run(shell(f"set''sid {shlex.join([program, *AS_ROOT])} & until grep -q sleep /proc/$!/comm; do :; done"))
        assert b"a process is of another user and cannot be killed: " in left.output("err")
        began = time.monotonic()
        for _ in range(20):
            assert stand.run(shell("true")).outcome["outcome"] == "finished"
        assert time.monotonic() - began < 0.3 * 20

    without_rights(body)
