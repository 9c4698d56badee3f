"""A fork server with much memory gathers it into huge pages, once its horses have taken a number of turns."""

import json
import os
import platform
from pathlib import Path

import pytest

from tests.support.supervisor_stub import Stand, task

_VERSION = tuple(int(part) for part in platform.release().split("-")[0].split(".")[:2])

pytestmark = pytest.mark.skipif(
    platform.system() != "Linux" or _VERSION < (6, 1) or not os.path.exists("/sys/kernel/mm/transparent_hugepage"),
    reason="the kernel does not gather memory into huge pages when it is asked to (Linux 6.1)",
)

BIG = """
import mmap, os

HELD = [[n, str(n)] for n in range(300_000)]
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
    assert huge[-1] > 10 << 10
    assert held[-1] < held[0] + (4 << 10), "what is in use here and there only is left as it is"
    assert all(same)
