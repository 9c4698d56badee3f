"""How a command ends: what is registered for the end is done, output arrives, and the exit code is that of the command."""

import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import atexit, sys, threading, time
from flowq import processes

leave = processes.leaving()
atexit.register(lambda: print("registered later", flush=False))

class Module:
    def __del__(self):
        print("taken apart", flush=True)

sys.modules["module"] = Module()
go_on = threading.Event()
threading.Thread(target=lambda: (go_on.wait(), print("thread"))).start()
print("main")
go_on.set()
{end}
"""


@pytest.mark.parametrize(
    ("end", "code", "apart"),
    [("sys.exit(leave(7))", 7, False), ("sys.exit(3)", 3, True), ("raise ValueError('of flowq')", 1, True)],
    ids=["with its code", "another way", "an exception"],
)
def test_a_process_does_everything_at_its_end_but_taking_its_modules_apart(end: str, code: int, apart: bool) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(end=end)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == code
    lines = done.stdout.splitlines()
    assert sorted(lines[:2]) == ["main", "thread"]
    assert lines[2] == "registered later"
    assert ("taken apart" in lines) is apart
    assert ("ValueError: of flowq" in done.stderr) is ("ValueError" in end)


def test_output_that_cannot_be_written_at_the_end_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)
    code = "from flowq import processes; leave = processes.leaving(); print('lost'); raise SystemExit(leave(0))"
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [sys.executable, "-c", code], stdout=full, stderr=subprocess.PIPE, text=True, cwd=tmp_path, timeout=60, check=False
        )
    assert done.returncode == 120
    assert "No space left on device" in done.stderr
