"""Jobs, callbacks and modules that fork: only the original process reports their end."""

import os
import sys
from pathlib import Path

import pytest

from tests.support.supervisor_stub import MODULES, Execution, Stand, gone, task


def execute(stand: Stand, attribute: str, *args: object) -> Execution:
    fields = {"module": "forking_jobs", "attribute": attribute, "args": list(args), "kwargs": {}, "path": [MODULES]}
    return stand.run(task("call", **fields))


@pytest.mark.parametrize("attribute", ["fork", "fork_in_a_coroutine"])
@pytest.mark.parametrize(
    ("way", "code", "said"),
    [
        ("return", 0, ""),
        ("exit", 0, ""),
        ("exit 3", 3, ""),
        ("exit text", 1, "the child says why\n"),
        ("raise", 1, "ValueError: the child's\n"),
        ("interrupt", 1, "KeyboardInterrupt\n"),
    ],
)
def test_the_end_of_a_forked_child_is_not_the_jobs(stand: Stand, attribute: str, way: str, code: int, said: str) -> None:
    execution = execute(stand, attribute, way)
    assert execution.outcome["value"] == b"%d" % code
    errors = execution.output("err").decode()
    assert errors.endswith(said)
    assert "flowq/worker" not in errors  # no frames of flowq in the traceback


def test_a_childs_value_need_not_be_a_result(stand: Stand) -> None:
    execution = execute(stand, "fork_what_cannot_be_a_result")
    assert execution.outcome["value"] == b"0"
    assert not execution.output("err")


def test_the_output_of_a_child_is_kept(stand: Stand) -> None:
    execution = execute(stand, "fork_printing")
    assert execution.outcome["value"] == b"0"
    assert execution.output() == b"before\nthe child, without a newline\nafter\n"


def test_children_of_multiprocessing(stand: Stand) -> None:
    assert execute(stand, "use_a_pool").outcome["value"] == b"[1,2,3]"
    assert execute(stand, "use_a_process_that_exits", 4).outcome["value"] == b"4"


def test_a_child_that_holds_every_descriptor_neither_ends_the_job_nor_holds_its_slot(stand: Stand, tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    execution = execute(stand, "leave_a_holder", 600, str(pids))
    assert execution.outcome["value"] == b'"the parent"'
    assert all(gone(int(pid), stand.mark) for pid in pids.read_text().split())


FORKING_MODULE = """
import os

pid = os.fork()
if pid == 0:
    raise SystemExit
assert os.waitpid(pid, 0)[1] == 0
"""


@pytest.mark.skipif(sys.platform != "linux", reason="nothing is warmed where processes cannot be counted")
@pytest.mark.parametrize(
    ("source", "answer"),
    [
        (FORKING_MODULE, "warmed"),
        (FORKING_MODULE.replace("assert os.waitpid(pid, 0)[1] == 0", ""), "its import starts a process"),
    ],
)
def test_a_module_that_forks_while_it_is_imported_makes_no_second_fork_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, answer: str
) -> None:
    (tmp_path / "forks.py").write_text(source)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with Stand() as stand:
        answers: list[object] = []
        take = stand.fork_server._take

        def listen(message: tuple[object, ...]) -> None:
            answers.extend([message[0], message[2]] if message[0] in {"warmed", "cold"} else [])
            take(message)

        stand.fork_server._take = listen  # type: ignore[method-assign]
        stand.fork_server.warm("forks")
        stand.turn(lambda: answers)
        assert answer in answers


def test_a_preloaded_module_that_forks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "forks.py").write_text(FORKING_MODULE)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with Stand(preload=("forks",)) as stand:
        found = stand.run(task("call", module="os", attribute="getppid", args=[], kwargs={})).outcome["value"]
        assert int(found) == stand.fork_server.pid != os.getpid()
