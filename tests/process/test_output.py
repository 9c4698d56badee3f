"""Output that is faster than its reader: the job blocks, and the end of the output arrives."""

import time
from pathlib import Path

import pytest

from flowq.store import Store
from flowq.worker.supervisor.ends import KillCause
from tests.support.server import PrivateServer
from tests.support.supervisor_stub import Stand, shell
from tests.support.wait import until
from tests.support.workers import WorkerProcess, ended, flow, node, script, start

FLOOD = "yes aaaaaaaaaaaaaaaa | head -c 40000000 || true\necho 'ERROR: the reason'\nexit 1\n"
FLOODED = 40_000_000 + len("ERROR: the reason\n")


def test_a_flood_blocks_until_it_is_read_and_nothing_is_lost() -> None:
    with Stand() as stand:
        slot = stand.slots[0]
        execution = stand.start(shell(FLOOD))
        waits = 0
        while not execution.freed:
            stand.turn(lambda: slot._output.held_back or execution.freed)
            waits += not execution.freed
            execution.logs += slot.logs()
        assert waits > 2
        assert len(execution.output()) == FLOODED
        assert execution.output().endswith(b"aaaERROR: the reason\n")
        assert execution.outcome["error"] == "exit code 1"


def test_a_job_that_is_held_back_can_be_timed_out() -> None:
    with Stand() as stand:
        execution = stand.run(shell("exec yes", timeout=0.5))
        assert execution.outcome["reason"] == "timeout"


def test_a_released_job_loses_its_oldest_output() -> None:
    with Stand() as stand:
        slot = stand.slots[0]
        execution = stand.start(shell(FLOOD))
        stand.turn(lambda: slot._output.held_back)
        slot.let_go(time.monotonic() - 60)  # it has not been blocked for that long
        assert slot._output.held_back
        slot.let_go(time.monotonic())
        stand.turn(lambda: execution.freed)
        first, *rest = (data for _, data in execution.logs)
        kept = b"".join(rest)
        assert kept.endswith(b"aaaERROR: the reason\n")
        assert first == b"[flowq: %d bytes of output could not be kept here]\n" % (FLOODED - len(kept))


def test_only_the_stream_that_floods_is_held_back() -> None:
    with Stand() as stand:
        slot = stand.slots[0]
        execution = stand.start(shell("yes & until read -t 0.05 < <(sleep 1); do echo still heard >&2; done"))
        stand.turn(lambda: slot._output.held_back)
        heard = slot._output.buffers["err"]._kept
        stand.turn(lambda: slot._output.buffers["err"]._kept > heard)
        assert len(slot._output.held_back) == 1
        slot.kill(KillCause.KILL)
        stand.turn(lambda: execution.freed)
        assert execution.outcome["reason"] == "killed"


def test_every_slot_is_served_when_one_floods(store: Store, server: PrivateServer, tmp_path: Path) -> None:
    flood = "yes aaaaaaaaaaaaaaaa | head -c 12000000 || true; echo the end"
    run = start(store, flow(node("flood", script(flood)), node("quiet", script("echo one; sleep 0.3; echo two"))), tmp_path)
    with WorkerProcess(server.url, "-c", "2", "--until-run", run):
        jobs = ended(store, run)
    assert [job.status for job in jobs] == ["finished", "finished"]
    size, last, after = 0, {}, "0"
    while entries := store.runs.logs(run, after=after):
        for entry in entries:
            size += len(entry.data)
            last[entry.job] = entry.data
        after = entries[-1].seq
    assert size == 12_000_000 + len("the end\none\ntwo\n")
    assert last[f"{run}-0"].endswith(b"the end\n")
    assert last[f"{run}-1"].endswith(b"two\n")


@pytest.mark.slow
def test_an_unreachable_server_does_not_block_jobs_forever(tmp_path: Path) -> None:
    server = PrivateServer().start(appendonly=True)
    try:
        store = Store(server.client(), namespace="flowq-test").open()
        text = f"touch {tmp_path}/begun; until [ -e {tmp_path}/go ]; do sleep 0.01; done\n{FLOOD}touch {tmp_path}/done"
        run = start(store, flow(node("a", script(text.replace("exit 1\n", "")))), tmp_path)
        with WorkerProcess(server.url, "--lease", "60"):
            until((tmp_path / "begun").exists)
            server.kill9()
            (tmp_path / "go").touch()
            until((tmp_path / "done").exists, timeout=30, message="the job to end while the server is away")
            server.restart()
            store = Store(server.client(), namespace="flowq-test").open()
            assert ended(store, run)[0].status == "finished"
        entries = store.runs.logs(run, count=2000)
        assert entries[0].data.startswith(b"[flowq: ")
        assert entries[-1].data.endswith(b"ERROR: the reason\n")
    finally:
        server.stop()
