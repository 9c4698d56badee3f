"""Foreach, limits, filters and timeouts, on real workers that are killed."""

import dataclasses
import json
import os
import signal
from pathlib import Path

import pytest

from flowq.compiler import compile_text
from flowq.flows.actions import retry
from flowq.ids import member_id
from flowq.plan import Action, Cell, Concurrency, Edge, Node, Plan, RetryPolicy
from flowq.store import Store
from flowq.worker.supervisor.expressions.job_scope import JobScopes
from tests.support import graphs, workers
from tests.support.server import PrivateServer
from tests.support.wait import until
from tests.support.workers import WorkerProcess, node, script

LEASE = ["--lease", "1.5"]


def foreach(source: str, *later: Node, **settings: object) -> Plan:
    """Return a plan: a foreach named `each` over an expression, then `later`, each of which waits for it."""
    each = node("each", script('echo $ITEM; echo "got=$ITEM" >> "$FLOWQ_OUTPUT"'), foreach=source, **settings)
    each = _with_env(each, {"ITEM": {"$": "item"}})
    cells = [Cell(0, "each", 0, group=True)]
    cells += [Cell(index, item.name, index, (Edge(0),)) for index, item in enumerate(later, start=1)]
    return Plan("test", (each, *later), tuple(cells), params={"items": ["a", "b c", "d"]})


def _with_env(item: Node, env: dict[str, object]) -> Node:
    return dataclasses.replace(item, env=env)


def test_a_foreach_is_executed_and_its_results_are_a_list_in_order(store: Store, server: PrivateServer, tmp_path: Path) -> None:
    after = node("after", Action("argv", args=("printf", "%s", {"$": "to_json(jobs.each.result)"})), reads=("each",))
    run = workers.start(store, foreach("params.items", after), tmp_path)
    with WorkerProcess(server.url, "default", "-c", "2"):
        workers.ended(store, run)
    logs = b"".join(entry.data for entry in store.runs.logs(run) if entry.job == member_id(run, 1))
    assert json.loads(logs) == [{"got": "a"}, {"got": "b c"}, {"got": "d"}]


@pytest.mark.parametrize(
    ("source", "text"),
    [("params", "foreach: expected a list, `params` gives"), ("params.items[0] > 1", "foreach: ")],
)
def test_a_value_that_is_not_a_list_is_an_error_with_its_line(
    store: Store, server: PrivateServer, tmp_path: Path, source: str, text: str
) -> None:
    run = workers.start(store, foreach(source), tmp_path)
    with WorkerProcess(server.url, "default"):
        workers.ended(store, run)
    (error,) = store.runs.errors(run, [0])
    assert error is not None
    assert error.decode().startswith(f"test:1: job each: {text}")
    assert str(store.runs.require(run).status) == "failed"


def test_limits_hold_while_workers_are_killed(store: Store, server: PrivateServer, tmp_path: Path) -> None:
    """Each job takes a lock while it holds the group; two holders at a time fail, also while workers are killed."""
    body = (
        'set -C; if ! (: > "$LOCK") 2>/dev/null; then echo overlap >> "$LOCK.overlaps"; fi;'
        ' sleep 0.15; rm -f "$LOCK"; echo done >> "$LOCK.done"'
    )
    lock = tmp_path / "lock"
    item = _with_env(
        node(
            "each", script(body), foreach="range(12)", concurrency=Concurrency("one"), retry=RetryPolicy(20, on=("abandoned",))
        ),
        {"LOCK": str(lock)},
    )
    run = workers.start(store, Plan("test", (item,), (Cell(0, "each", 0, group=True),)), tmp_path)
    victims = [WorkerProcess(server.url, "default", "-c", "3", *LEASE) for _ in range(2)]
    try:
        for _ in range(3):
            before = store.runs.require(run).counts
            until(lambda before=before: store.runs.require(run).counts != before, timeout=20)  # type: ignore[misc]
            dying = victims.pop(0)
            os.kill(dying.process.pid, signal.SIGKILL)
            dying.wait()
            lock.unlink(missing_ok=True)  # of the killed one
            victims.append(WorkerProcess(server.url, "default", "-c", "3", *LEASE))
        workers.ended(store, run, timeout=60)
    finally:
        for victim in victims:
            victim.__exit__()
    assert str(store.runs.require(run).status) == "finished"
    assert not Path(f"{lock}.overlaps").exists()
    assert store.semaphores.holders("job/one") == []
    assert set(graphs.statuses(store, run).values()) == {"finished"}


def test_retries_obey_the_filter(store: Store, server: PrivateServer, tmp_path: Path) -> None:
    (tmp_path / "raising.py").write_text(
        "class Base(Exception): pass\nclass Special(Base): pass\ndef special(): raise Special('no')\ndef plain(): raise ValueError('no')\n"
    )
    policy = {"retry": RetryPolicy(1, on=("raising.Base", "exit:3", "timeout"))}
    nodes = (
        node("special", Action("call", module="raising", attribute="special"), **policy),
        node("plain", Action("call", module="raising", attribute="plain"), **policy),
        node("three", script("exit 3"), **policy),
        node("four", script("exit 4"), **policy),
        node("slow", script("sleep 60"), timeout=0.3, **policy),
    )
    run = workers.start(store, workers.flow(*nodes), tmp_path)
    with WorkerProcess(server.url, "default", "-c", "2"):
        found = workers.ended(store, run, timeout=40)
    assert [record.attempt for record in found] == [2, 1, 2, 1, 2]


def test_a_run_that_times_out_is_stopped_and_its_handlers_run(store: Store, server: PrivateServer, tmp_path: Path) -> None:
    told = script('printf "%s %s" "$STATUS" "$JOBS"')
    handler = _with_env(
        node("on_failure/page", told, scope="on_failure/"),
        {"STATUS": {"$": "run.status"}, "JOBS": {"$": "join(run.failed_jobs, ',')"}},
    )
    slow = node("slow", script("sleep 60"))
    plan = Plan("test", (slow, handler), (Cell(0, "slow", 0), Cell(1, "on_failure/page", 1, phase="failure")), timeout=0.5)
    run = workers.start(store, plan, tmp_path)
    with WorkerProcess(server.url, "default"):
        workers.ended(store, run)
    assert graphs.statuses(store, run) == {"slow": "failed/run_timeout", "on_failure/page": "finished"}
    assert b"".join(entry.data for entry in store.runs.logs(run)) == b"failed slow"
    assert [name for name, _ in retry.plan_retry(store, run).jobs] == ["slow", "on_failure/page"]


@pytest.mark.parametrize(
    ("uses", "reads"),
    [
        ("args: ['${{ item }}']", ()),
        ("args: ['${{ jobs.base.result }}']", ("base",)),
        ("args: ['${{ jobs.numbers.result[0] }}']", ("numbers",)),
        ("if: jobs.base.status == 'finished', args: [1]", ("base",)),
        ("args: ['${{ jobs[\"base\"].result }}']", ("base",)),
    ],
)
def test_a_cell_reads_what_it_uses_and_not_the_list_of_all_items(
    store: Store, tmp_path: Path, uses: str, reads: tuple[str, ...]
) -> None:
    """A list of 100,000 items would be read, and parsed, for each of them."""
    text = f"""
jobs:
  numbers: {{call: 'json:loads', args: ['[1, 2]']}}
  base: {{call: 'json:loads', args: ['5']}}
  cell: {{call: 'builtins:print', foreach: '${{{{ jobs.numbers.result }}}}', depends_on: [numbers, base], {uses}}}
"""
    plan = compile_text(text).plan
    assert plan is not None
    run = JobScopes(store).run(workers.start(store, plan, tmp_path))
    assert {name: tuple(sorted(found)) for name, found in run.cell_reads.items()} == {"cell": reads}
