"""A machine that runs out under a job: of memory, of room for its files, of the directory of these files."""

import contextlib
import itertools
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from flowq.store import Store
from tests.support.server import PrivateServer
from tests.support.supervisor_stub import Stand, call, shell
from tests.support.wait import until
from tests.support.workers import WorkerProcess, ended, flow, node, script, start

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="control groups and mounts of Linux")

MIB = 1 << 20
ROOM = (
    "unshare",
    "--user",
    "--map-root-user",
    "--mount",
    "sh",
    "-c",
    'mount -t tmpfs -o size=256k none "$TMPDIR" && exec "$@"',
    "sh",
)
"""Starts a command with a small file system of its own as the directory for temporary files."""


@pytest.fixture
def stand() -> Iterator[Stand]:
    with Stand() as made:
        yield made


@pytest.fixture
def group() -> Iterator[Path]:
    """A control group that may have 64 MiB."""
    made = _limited("memory", "memory.limit_in_bytes") or _limited("", "memory.max")
    if made is None:
        pytest.skip("no control group can be made here")
    yield made
    until(lambda: not (made / "cgroup.procs").read_text(), message="the group to be empty")
    made.rmdir()


def _limited(parent: str, limit: str) -> Path | None:
    made = Path("/sys/fs/cgroup", parent, f"fq-{os.urandom(4).hex()}")
    try:
        made.mkdir()
        (made / limit).write_text(str(64 * MIB))
    except OSError:
        with contextlib.suppress(OSError):
            made.rmdir()
        return None
    for name, most in (("memory.swap.max", 0), ("memory.memsw.limit_in_bytes", 64 * MIB)):
        with contextlib.suppress(OSError):  # the other version of control groups, or a kernel that does not count swap
            (made / name).write_text(str(most))
    return made


def test_a_limit_of_memory_is_an_error_of_the_job(stand: Stand) -> None:
    outcome = stand.run(call("hungry", 4096 * MIB, 2048 * MIB)).outcome
    assert (outcome["outcome"], outcome["reason"], outcome["exception"]) == ("failed", "error", "MemoryError")
    assert stand.run(call("hungry", MIB)).outcome["outcome"] == "finished", "the limit was that of one horse"


def test_a_job_that_the_kernel_kills_for_its_memory(stand: Stand, group: Path) -> None:
    outcome = stand.run(call("hungry", 256 * MIB, None, str(group))).outcome
    assert (outcome["outcome"], outcome["reason"]) == ("failed", "killed")
    assert "SIGKILL" in outcome["error"]
    assert "the system was probably out of memory" in outcome["error"]
    assert stand.run(call("hungry", MIB)).outcome["outcome"] == "finished"


def test_a_script_whose_child_the_kernel_kills_for_its_memory(stand: Stand, group: Path) -> None:
    text = f"echo $$ > {group}/cgroup.procs; {sys.executable} -c 'bytearray(256 << 20)'; exit $?"
    outcome = stand.run(shell(text)).outcome
    assert (outcome["outcome"], outcome["exit_code"]) == ("failed", 137)


def test_the_disk_of_the_jobs_fills_in_the_middle_of_a_run(store: Store, server: PrivateServer, tmp_path: Path) -> None:
    """One job fills it with its outputs, which are removed with it; one fills it for good; one makes room."""
    place = tmp_path / "temporary"
    place.mkdir()
    jobs = {
        "fills": "head -c 1000000 /dev/zero > $FLOWQ_OUTPUT",
        "then": "echo one=1 > $FLOWQ_OUTPUT",
        "stays": 'head -c 1000000 /dev/zero > "$TMPDIR/ballast" || true; echo one=1 > $FLOWQ_OUTPUT',
        "next": f"true {'x' * 50_000}",  # the script itself needs room
    }
    nodes = [node(name, script(text)) for name, text in jobs.items()]
    edges = {later.name: {earlier.name: "done"} for earlier, later in itertools.pairwise(nodes)}
    with WorkerProcess(server.url, "-c", "1", env={"TMPDIR": str(place)}, prefix=ROOM) as worker:
        until(lambda: worker.process.poll() is not None or store.workers.live(), message="the worker")
        if worker.process.poll() is not None:
            pytest.skip("no mounts can be made here")
        run = start(store, flow(*nodes, edges=edges), tmp_path)
        fills, then, stays, after = ended(store, run)
        outside = Path(f"/proc/{worker.process.pid}/root{place}")
        (outside / "ballast").unlink()
        (last,) = ended(store, start(store, flow(node("last", script("echo one=1 > $FLOWQ_OUTPUT"))), tmp_path))
    assert [record.status for record in (fills, then, stays, after, last)] == [
        "failed",
        "finished",
        "failed",
        "failed",
        "finished",
    ]
    errors = [store.runs.errors(run, [ordinal]) for ordinal in (0, 2, 3)]
    assert "No space left on device" in str(errors)
    assert "needs a place for its files" in str(errors[2])


def test_a_scratch_directory_that_is_deleted_in_the_middle(stand: Stand) -> None:
    """The job that lost its file says so; the next one has a new directory."""
    lost = stand.run(shell('rm -rf "$(dirname "$(dirname "$FLOWQ_OUTPUT")")"; echo gone'))
    assert (lost.outcome["outcome"], lost.outcome["reason"], lost.output()) == ("failed", "invalid_result", b"gone\n")
    assert lost.outcome["error"] == "$FLOWQ_OUTPUT cannot be read any more: No such file or directory"
    again = stand.run(shell("echo one=1 > $FLOWQ_OUTPUT")).outcome
    assert (again["outcome"], again["value"]) == ("finished", b'{"one":"1"}')
