"""Jobs whose functions, arguments, values, exceptions or leavings are unusual: all ways of executing them tell the same end, and never break."""

import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.process.modules.odd_jobs import Raises, Slow
from tests.process.test_plain_jobs import flow_task, plain_task
from tests.support.supervisor_stub import Execution, Stand

MODULE = "odd_jobs"

BOTH: list[tuple[Any, ...]] = [
    *(("loud", 1, 2), ("half", 1, 2), ("short", 1, 2), ("Loud", 1), ("Loud.still", 1), ("Loud.named",), ("loud.still", 3)),
    *(("raises", "HostileText", how) for how in ("huge", "surrogate", "null", "none", "SystemExit", "KeyboardInterrupt")),
    *(("raises", name) for name in ("HostileState", "HostileNotes", "KeyboardInterrupt", "GeneratorExit", "BaseException")),
    *(("raises", name) for name in ("StopIteration", "BrokenPipeError", "OSError", "MemoryError", "SystemExit", "HostileCode")),
    *(("raises_in_chain",), ("raises_itself",), ("raises_deep", 2000), ("recurses",), ("recurses_without_limit",), ("traces",)),
    *(("raises_a_class_of", module) for module in ("builtins", "", "a.b", "\udcff", None, "flowq.exceptions")),
    *(("exits", code) for code in ("object", "list", "huge", "true", "negative", 300, "text")),
    *((name,) for name in ("generates", "generates_later", "waits", "raises_later", "leaves_tasks", "awaitable")),
    *(("returns", what) for what in ("lambda", "lock", "stream", "class", "module", "frame", "forks", "tuple", "bytes")),
    *(("returns", what) for what in ("surrogate", "nan", "bools", "exit", "keys", "ring", "deep", "slow")),
    *(("returns_one_that", name) for name in ("Exits", "Mute")),
    *(("forgets", name) for name in ("pickle", "flowq.retry", "os", "odd_jobs", "flowq.jobs.context", "traceback")),
    *(("replaces_modules",), ("removes_itself",), ("patches", "os", "fork"), ("patches", "traceback", "TracebackException")),
    *(("patches", "signal", "signal"), ("patches", "time", "monotonic"), ("patches", "os", "environ")),
    *(("stream", kind) for kind in ("attribute", "raises", "exits")),
    *(("deletes_streams",), ("closes", 0, 3), ("closes", 3, 1024), ("leaves_a_session",), ("leaves_handlers",)),
    *(("leaves_a_thread", True), ("leaves_a_thread", False), ("leaves_no_garbage",)),
    *(("limits", f"RLIMIT_{name}", most) for name, most in {"NOFILE": 0, "AS": 1 << 20, "FSIZE": 0, "NPROC": 0}.items()),
]
DECODED: list[object] = [
    Slow(60),
    Raises("HostileText", "surrogate"),
    *(Raises(name, "x") for name in ("ValueError", "SystemExit", "KeyboardInterrupt", "GeneratorExit", "HostileState")),
    *(Raises(name, "x") for name in ("ImportError", "AttributeError", "ModuleNotFoundError", "StopIteration", "HostileNotes")),
]
SHORT = {"timeout": 0.3}  # of jobs that are slow
JOBS = [
    *(plain_task(f"{MODULE}.{name}", *args, **(SHORT if "slow" in args else {})) for name, *args in BOTH),
    *(flow_task(name, *args, module=MODULE, **(SHORT if "slow" in args else {})) for name, *args in BOTH),
    *(plain_task(f"{MODULE}.Loud.still", one, **(SHORT if isinstance(one, Slow) else {})) for one in DECODED),
]
SILENT = [plain_task(f"{MODULE}.closes", 3, 1024), flow_task("closes", 3, 1024, module=MODULE)]
"""They leave no way to tell their end."""


@pytest.fixture(scope="module")
def stand() -> Iterator[Stand]:
    with Stand(preload=("pickle", "process_jobs", MODULE, "traceback", "signal", "time")) as one:
        yield one


def told(execution: Execution) -> tuple[dict[str, Any], object, bytes, bytes]:
    """Return what is told of an execution, without what differs each time."""
    assert execution.end is not None
    outcome = dict(execution.outcome)
    if "error" in outcome:
        outcome["error"] = re.sub(r"0x[0-9a-f]+", "", re.sub(r"repeated \d+ more", "repeated", outcome["error"]))
    return outcome, execution.end.cause, execution.output(), re.sub(rb"repeated \d+ more", b"", execution.output("err"))


@pytest.mark.parametrize("job", JOBS, ids=range(len(JOBS)))
def test_all_ways_tell_the_same_end(stand: Stand, job: dict[str, Any]) -> None:
    ways: list[dict[str, Any]] = [
        {},
        {"allow": ["*"]} if job["kind"] == "pickle" else {"note": ""},
        {"hooks": {}},
        {"batch": 100},
    ]
    short, *others = (told(stand.run(job | way)) for way in ways)
    for other in others:
        assert other == short
    assert b"broke" not in short[3]
    assert ("without a result" in repr(short)) == (job in SILENT)


@pytest.mark.parametrize("job", SILENT)
def test_a_job_that_closes_what_it_has_not_opened_is_told_so(stand: Stand, job: dict[str, Any]) -> None:
    execution = stand.run(job)
    assert execution.outcome["reason"] == "killed"
    assert "the job has closed descriptors that it had not opened" in execution.outcome["error"]
    assert b"flowq: the job has closed descriptors that it had not opened" in execution.output("err")
