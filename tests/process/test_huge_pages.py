"""A fork server with much memory gathers it into huge pages, once its horses have taken a number of turns."""

import ctypes
import json
import mmap
import subprocess
import sys
from pathlib import Path

import pytest

from flowq.worker.ipc import platform
from tests.support.server import PrivateServer
from tests.support.supervisor_stub import Stand, task

SIZE = 2 << 20
WANTED = 32  # blocks, about as many as the processes here ask for
LEAST = 2 << 10  # KiB: a block that a process is just writing to cannot be gathered, or is divided again


def _gathers(blocks: int) -> bool:
    """Return whether the kernel gathers so many blocks into huge pages when it is asked to: Linux 6.1, and while it has some left."""
    if not sys.platform.startswith("linux"):
        return False
    with mmap.mmap(-1, (blocks + 1) * SIZE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as memory:
        memory.write(bytes((blocks + 1) * SIZE))
        here = ctypes.c_char.from_buffer(memory)
        first = -(-ctypes.addressof(here) // SIZE) * SIZE
        del here
        before = _huge()
        for block in range(blocks):
            platform.collapse(first + block * SIZE, SIZE)
        return _huge() >= before + blocks * SIZE


def _huge() -> int:
    """Return the bytes of this process in huge pages."""
    sizes = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) * 1024 for line in sizes if line.startswith("AnonHugePages:"))


def check(huge: int) -> None:
    """Check that much is in huge pages, unless the kernel has none: after a while of other work there may be no free ones."""
    if huge < LEAST and not _gathers(WANTED):
        pytest.skip("the kernel has no huge pages left")
    assert huge >= LEAST


pytestmark = pytest.mark.skipif(not _gathers(1), reason="the kernel gathers no memory into huge pages")

BIG = """
import mmap, os

HELD = [[n, str(n)] for n in range(300_000)]
DENSE = mmap.mmap(-1, 16 << 20, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
DENSE.write(b"x" * len(DENSE))
SPARSE = mmap.mmap(-1, 128 << 20, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
for at in range(0, len(SPARSE), 1 << 20):
    SPARSE[at] = 1

def look():
    "Return the sizes of huge pages and of all memory of the fork server, in KiB, and whether what it holds is the same."
    with open(f"/proc/{os.getppid()}/smaps_rollup") as file:
        sizes = {line.split()[0]: int(line.split()[1]) for line in file if line.endswith("kB\\n")}
    HELD[7][0] += 1
    same = HELD[7] == [8, "7"] and all(HELD[n] == [n, str(n)] for n in range(1000, 300_000, 1000))
    return [sizes["AnonHugePages:"], sizes["Anonymous:"], same]
"""


@pytest.mark.not_on("batch", "a process for each job is what it looks at")
def test_much_memory_lies_in_huge_pages_after_some_turns_and_is_not_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "big.py").write_text(BIG)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    job = task("call", module="big", attribute="look", args=[], kwargs={}, path=[str(tmp_path)])
    with Stand(preload=("big",)) as stand:
        looks = [json.loads(stand.run(job).outcome["value"]) for _ in range(40)]
    huge, held, same = zip(*looks, strict=True)
    assert not huge[0], "a server that forks a few times does not pay for it"
    check(max(huge))  # what is written to afterwards does not count as huge any more
    assert held[-1] < held[0] + (4 << 10), "what is in use here and there only is left as it is"
    assert all(same)


PROGRAM = """
import json, sys
from redis import Redis
from flowq import Queue, Worker
import big

connection = Redis.from_url(sys.argv[1])
queue = Queue("of-a-program", connection=connection)
jobs = [queue.enqueue(big.look) for _ in range(2)]
Worker([queue], connection=connection).work(burst=True)
print(json.dumps([job.return_value() for job in jobs]))
"""


def test_a_program_shares_its_huge_pages_with_the_clone_that_jobs_are_forked_from(
    tmp_path: Path, server: PrivateServer
) -> None:
    (tmp_path / "big.py").write_text(BIG)
    (tmp_path / "program.py").write_text(PROGRAM)
    done = subprocess.run(
        [sys.executable, str(tmp_path / "program.py"), server.url], capture_output=True, text=True, check=True, timeout=60
    )
    for huge, _, same in json.loads(done.stdout):
        assert same
        check(huge)  # from the first job on
