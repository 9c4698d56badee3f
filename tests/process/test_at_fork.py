"""Hooks that a fork server shortens are whole again in its children: jobs have threads, and fork."""

import json
import logging
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from flowq.worker.fork_server import at_fork
from flowq.worker.ipc import platform
from tests.support.supervisor_stub import Stand, task

HOOKS = (threading._after_fork, logging._after_at_fork_child_reinit_locks)  # type: ignore[attr-defined]
CODE = [hook.__code__ for hook in HOOKS]

LOCKED = """
import logging, os, threading
handler = logging.StreamHandler()
held, over = threading.Event(), threading.Event()
def hold():
    handler.acquire()
    held.set()
    over.wait()
thread = threading.Thread(target=hold)
thread.start()
held.wait()
pid = os.fork()
if pid == 0:
    handler.acquire()  # which a thread of the parent holds: the hook of `logging` has renewed it
    os._exit(threading.active_count())
_, status = os.waitpid(pid, 0)
over.set()
thread.join()
print(os.waitstatus_to_exitcode(status))
"""


@pytest.fixture
def _whole() -> Iterator[None]:
    yield
    at_fork.restore()


@pytest.mark.usefixtures("_whole")
def test_hooks_are_shortened_and_restored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "threads", lambda: 1)
    for _ in range(2):
        at_fork.shorten()
        assert [hook.__code__ for hook in HOOKS] != CODE
        for hook in HOOKS:
            hook()
    monkeypatch.setattr(platform, "threads", lambda: 2)
    at_fork.shorten()
    assert [hook.__code__ for hook in HOOKS] == CODE


@pytest.mark.parametrize("clone", [False, True])
def test_a_job_with_threads_can_fork(clone: bool) -> None:
    program = task("call", module="builtins", attribute="exec", args=[LOCKED, {}], kwargs={}, timeout=10.0)
    with Stand(clone=clone, preload=("logging",)) as stand:
        execution = stand.run(program)
    assert execution.outcome["outcome"] == "finished", execution.outcome["error"]
    assert execution.output() == b"1\n"


def test_a_job_sees_them_whole() -> None:
    code = "[__import__('threading')._after_fork.__code__.co_name, __import__('logging')._after_at_fork_child_reinit_locks.__code__.co_name]"
    seen = task("call", module="builtins", attribute="eval", args=[code], kwargs={})
    with Stand(preload=("logging",)) as stand:
        names = json.loads(stand.run(seen).outcome["value"])
    assert names == ["_after_fork", "_after_at_fork_child_reinit_locks"]


USUAL = """
import concurrent.futures.thread, logging, os, random, threading
from flowq.worker.fork_server import at_fork
found = [at_fork.program_has_some()]
{more}
found.append(at_fork.program_has_some())
pid = os.fork()
if pid == 0:
    os._exit(0)
os.waitpid(pid, 0)
print(found)
"""


@pytest.mark.parametrize(
    ("more", "found"),
    [
        ("", [False, False]),
        ("os.register_at_fork(before=lambda: print('called'))", [False, True]),
        ("os.register_at_fork(after_in_child=threading.Lock().acquire)", [False, True]),
        ("__import__('gc').freeze()", [False, True]),  # then the lists are not found
    ],
)
def test_hooks_of_a_program_are_found(more: str, found: list[bool]) -> None:
    done = subprocess.run([sys.executable, "-c", USUAL.format(more=more)], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == (["called"] if "called" in more else []) + [str(found)]
