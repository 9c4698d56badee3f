"""Parts of the system that a chroot or a minimal container may lack, hidden in a mount namespace of the test's own."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.embedded.test_full_disk import can_mount

_MOUNT = ("unshare", "--user", "--map-root-user", "--mount", "sh", "-c")
_FLOW = "jobs: {a: {run: echo hello}, b: {depends_on: a, call: 'os:getpid'}}\n"
_NO_PROC = "mount -t tmpfs tmpfs /proc || exit 99; "
_NO_LIST_OF_FILES = """
mkdir "$HOME/dev" && mount --rbind /dev "$HOME/dev" && mount -t tmpfs tmpfs /dev || exit 99
for device in null zero urandom; do :> /dev/$device; mount --bind "$HOME/dev/$device" /dev/$device || exit 99; done
"""


def flowq(hidden: str, directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command of flowq after this script has hidden a part of the system; its embedded server ends with it."""
    if not can_mount(directory):
        pytest.skip("no file system can be mounted here")
    (directory / "flow.yaml").write_text(_FLOW)
    home = {"HOME": str(directory), "FLOWQ_HOME": str(directory / "home"), "FLOWQ_LINGER": "0"}
    return subprocess.run(
        [*_MOUNT, hidden + 'exec "$0" -m flowq "$@"', sys.executable, *arguments],
        cwd=directory,
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", **home},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_flow_runs_without_dev_fd(tmp_path: Path) -> None:
    done = flowq(_NO_LIST_OF_FILES, tmp_path, "run", "flow.yaml")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 jobs: 2 finished" in done.stdout


@pytest.mark.parametrize("command", [("run", "flow.yaml"), ("worker", "--burst")], ids=["run", "worker"])
def test_without_proc_nothing_begins(command: tuple[str, ...], tmp_path: Path) -> None:
    """Without it no process of a job can be waited for: jobs were handed back each second, without end."""
    done = flowq(_NO_PROC, tmp_path, *command)
    assert done.returncode == 2, done.stdout + done.stderr
    assert "error: there is no /proc here, " in done.stderr  # a slow server is told of before
    assert done.stdout == ""
