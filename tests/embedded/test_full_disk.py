"""A disk without any room: a small file system of its own, mounted where only this test sees it."""

import subprocess
import sys
from pathlib import Path

import pytest

_MOUNT = ("unshare", "--user", "--map-root-user", "--mount")
_SCRIPT = """
mount -t tmpfs -o size=8m tmpfs "$1" && cd "$1" || exit 99
export FLOWQ_HOME="$1/home" FLOWQ_LINGER=30
fill() { head -c 16m /dev/zero > full 2> /dev/null; }
flowq() { "$PYTHON" -m flowq "$@" > "$OUT/said" 2>&1; echo "$1 $2 -> $?: $(head -n 1 "$OUT/said")"; }
echo 'jobs: {a: {run: echo hello}}' > flow.yaml
fill
flowq run flow.yaml
rm full
flowq run flow.yaml --output quiet
flowq server stop
fill
flowq runs
flowq logs @latest
flowq server stop
flowq server status
"""


def can_mount(directory: Path) -> bool:
    try:
        command = [*_MOUNT, "mount", "-t", "tmpfs", "tmpfs", str(directory)]
        return subprocess.run(command, check=False, capture_output=True).returncode == 0
    except FileNotFoundError:
        return False


@pytest.mark.slow
def test_nothing_can_be_written_at_all(tmp_path: Path) -> None:
    """Without data the cause is told; with data, what is there can be read, and the server be stopped."""
    place = tmp_path / "disk"
    place.mkdir()
    if not can_mount(place):
        pytest.skip("no file system can be mounted here")
    done = subprocess.run(
        [*_MOUNT, "sh", "-c", _SCRIPT, "sh", str(place)],
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "PYTHON": sys.executable, "OUT": str(tmp_path), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    first, ran, stopped, runs, logs, again, status = done.stdout.splitlines()
    assert first.startswith("run flow.yaml -> 6: error: the embedded server ended as it started: the disk of ")
    assert first.endswith("is full: make room")
    assert ran.startswith("run flow.yaml -> 0: ")
    assert runs.startswith("runs  -> 0: ")
    assert logs == "logs @latest -> 0: a | hello"
    assert stopped == again == "server stop -> 0: stopped"
    assert status.startswith("server status -> 0: not running")


_NO_FILES = """
for files in 2 4 5 6 7 9 12; do
  mount -t tmpfs -o size=8m,nr_inodes=$files tmpfs "$1" && cd "$1" || exit 99
  export FLOWQ_HOME="$1/home" FLOWQ_LINGER=0
  "$PYTHON" -m flowq runs > "$OUT/said" 2>&1; echo "$?: $(cat "$OUT/said")"
  cd /; umount -l "$1"
done
"""


@pytest.mark.slow
def test_wherever_the_room_ends_the_cause_is_the_server(tmp_path: Path) -> None:
    """The directory, a lock, the log of the watchdog or a file of the server: some were taken for what the user has typed (exit code 2)."""
    place = tmp_path / "disk"
    place.mkdir()
    if not can_mount(place):
        pytest.skip("no file system can be mounted here")
    done = subprocess.run(
        [*_MOUNT, "sh", "-c", _NO_FILES, "sh", str(place)],
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "PYTHON": sys.executable, "OUT": str(tmp_path), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    lines = done.stdout.splitlines()
    assert len(lines) == 7, done.stdout + done.stderr
    for line in lines:
        assert line.startswith("6: error: ")
        assert f"the disk of {place}/home" in line
        assert "full" in line
        assert line.endswith(": make room")
