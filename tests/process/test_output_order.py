"""The order of what a job writes to stdout and stderr, by itself and through its children, and the name of each stream."""

import fcntl
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from flowq.store import Store
from flowq.worker.ipc.write_order import WriteOrder
from flowq.worker.supervisor.output import job_output
from tests.support.server import PrivateServer, die_with_parent
from tests.support.supervisor_stub import Execution, Stand, call, shell
from tests.support.workers import WorkerProcess, ended, flow, node, script, start

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells in which order pipes are written to")


@pytest.fixture
def _busy() -> Iterator[None]:
    """A machine that has something else to do on every core."""
    spinning = [
        subprocess.Popen([sys.executable, "-c", "while True: pass"], preexec_fn=die_with_parent)  # noqa: PLW1509 - no threads
        for _ in range(2 * (os.cpu_count() or 1))
    ]
    yield
    for process in spinning:
        process.kill()
        process.wait()


def together(execution: Execution) -> bytes:
    """Return what both streams had, as a terminal would show it."""
    assert execution.outcome["outcome"] == "finished", execution.outcome
    return b"".join(data for _, data in execution.logs)


def numbered(count: int) -> bytes:
    return b"".join(b"%d\n" % number for number in range(count))


def test_a_script_that_writes_to_both_in_turns(stand: Stand) -> None:
    execution = stand.run(shell("echo 1; echo 2 >&2; echo 3; echo 4 >&2"))
    assert together(execution) == b"1\n2\n3\n4\n"
    assert (execution.output("out"), execution.output("err")) == (b"1\n3\n", b"2\n4\n")


def test_a_trace_stands_beside_what_it_traces(stand: Stand) -> None:
    commands = "".join(f"echo {number}\n" for number in range(500))
    wanted = b"".join(b"+ echo %d\n%d\n" % (number, number) for number in range(500))
    assert together(stand.run(shell(f"set -x\n{commands}"))) == wanted


@pytest.mark.usefixtures("_busy")
@pytest.mark.parametrize("attribute", ["write_in_turns", "print_in_turns", "write_in_turns_by_children"])
def test_lines_of_a_call_on_a_busy_machine(stand: Stand, attribute: str) -> None:
    count = 200 if attribute.endswith("children") else 20_000
    assert together(stand.run(call(attribute, count), timeout=90)) == numbered(count)


@pytest.mark.slow
def test_a_hundred_thousand_lines(stand: Stand) -> None:
    execution = stand.run(call("write_in_turns", 100_000, timeout=100), timeout=100)
    assert together(execution) == numbered(100_000)


@pytest.mark.usefixtures("_busy")
def test_lines_of_a_script_on_a_busy_machine(stand: Stand) -> None:
    execution = stand.run(shell("for ((i = 0; i < 5000; i += 2)); do echo $i; echo $((i + 1)) >&2; done"), timeout=60)
    assert together(execution) == numbered(5000)


RUNS = """
for ((i = 0, n = 0; i < 200; i++)); do
  for ((j = i % 3; j >= 0; j--)); do echo $((n++)); done
  for ((j = i % 4; j >= 0; j--)); do echo $((n++)) >&2; done
done
"""


@pytest.mark.usefixtures("_busy")
def test_several_lines_to_one_stream_between_lines_to_the_other(stand: Stand) -> None:
    execution = stand.run(shell(RUNS), timeout=60)
    count = execution.output("out").count(b"\n") + execution.output("err").count(b"\n")
    assert together(execution) == numbered(count)
    assert together(stand.run(shell(f"exec 2>&1\n{RUNS}"), timeout=60)) == numbered(count)


@pytest.mark.parametrize("_round", range(20))
def test_a_few_lines_of_a_quick_script(stand: Stand, _round: int) -> None:
    execution = stand.run(shell("echo 0; echo 1; echo 2 >&2; echo 3; echo 4 >&2; echo 5 >&2; echo 6"))
    assert together(execution) == numbered(7)
    assert execution.output("err") == b"2\n4\n5\n"


def test_blocks_that_are_longer_than_a_page(stand: Stand) -> None:
    """A long write is reported at its end only, and is read before."""
    size = 3 * os.sysconf("SC_PAGE_SIZE") + 1
    code = (
        "import os\n"
        f"for letter in b'abcdef': os.write(1 + letter % 2, bytes([letter]) * {size} + b'\\n'); os.write(1, b'1\\n'); os.write(2, b'2\\n')"
    )
    execution = stand.run(shell(f'{sys.executable} -c "{code}"'))
    assert together(execution) == b"".join(b"%c" % letter * size + b"\n1\n2\n" for letter in b"abcdef")


def test_a_job_that_does_not_want_to_wait_for_its_reader(stand: Stand) -> None:
    """It would find a pipe full that holds one write; a pipe of the usual size takes what small programs write."""
    code = (
        "import fcntl, os\n"
        "os.set_blocking(1, False)\n"
        "print(flush=True)\n"
        f"while fcntl.fcntl(1, {fcntl.F_GETPIPE_SZ}) == os.sysconf('SC_PAGE_SIZE'): pass\n"
        "for _ in range(100): os.write(1, b'line\\n')"
    )
    execution = stand.run(shell(f'{sys.executable} -c "{code}"'))
    assert together(execution) == b"\n" + 100 * b"line\n"


def test_lines_that_are_written_in_parts_stay_whole(stand: Stand) -> None:
    execution = stand.run(shell("printf 'a long '; echo meanwhile >&2; echo line; printf unfinished >&2"))
    assert together(execution) in {b"meanwhile\na long line\nunfinished", b"a long line\nmeanwhile\nunfinished"}


def test_the_streams_can_be_opened_by_their_names(stand: Stand) -> None:
    execution = stand.run(
        shell(
            "echo 1 > /dev/stdout; echo 2 > /dev/stderr; echo 3 | tee /dev/stderr | cat > /dev/null; echo 4; test -p /dev/stdout"
        )
    )
    # Writes through a name may be added to one another, so their place is not exact (docs/workers.md).
    assert (execution.output("out"), execution.output("err")) == (b"1\n4\n", b"2\n3\n")
    assert sorted(together(execution).split()) == [b"1", b"2", b"3", b"4"]


def test_a_reason_after_a_flood_stands_after_it(stand: Stand) -> None:
    size = 4 * job_output._ALONE_BYTES
    execution = stand.run(
        shell(
            f"yes | head -c {size} || true; echo the reason >&2; sleep 0.3; for i in 1 2; do echo $i; echo $i >&2; done; true"
        )
    )
    assert together(execution).endswith(b"y\nthe reason\n1\n1\n2\n2\n")
    assert execution.output("err") == b"the reason\n1\n2\n"


def test_without_reports_everything_arrives(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(WriteOrder, "watch", lambda *_: ())
    with Stand() as stand:
        execution = stand.run(call("write_in_turns", 2_000))
    assert sorted(together(execution).splitlines()) == sorted(numbered(2_000).splitlines())
    assert execution.output("out") == b"".join(b"%d\n" % number for number in range(0, 2_000, 2))


def test_pipes_are_watched_no_longer_than_their_lane(stand: Stand) -> None:
    for _ in range(10):
        stand.run(shell("echo a; echo b >&2"))
    assert len(stand.loop.writes._reports) <= 2 * len(stand.fork_server._lanes)
    stand.fork_server.close()
    assert not stand.loop.writes._reports


def test_the_order_is_kept_in_the_store(store: Store, server: PrivateServer, tmp_path: Path) -> None:
    run = start(
        store, flow(node("a", script("for ((i = 0; i < 500; i += 2)); do echo $i; echo $((i + 1)) >&2; done"))), tmp_path
    )
    with WorkerProcess(server.url, "--until-run", run):
        ended(store, run)
    entries = store.runs.logs(run, count=2000)
    assert b"".join(entry.data for entry in entries) == numbered(500)
    assert {entry.stream for entry in entries} == {"out", "err"}
