"""The short form of a task: that of a call without rare options, for the horse's short way.

A horse copies a page for nearly each object that it makes or uses (`flowq.worker.horse.entry`). So the supervisor prepares what can be prepared, and packs what
few jobs ask for: the horse decodes it when the job asks for its task, or when it has failed.
"""

from __future__ import annotations

import marshal
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Final, TypeAlias

    from flowq.worker.ipc.messages import Task

    ShortTask: TypeAlias = tuple[int, str, float, int, Any, tuple[tuple[bytes, bytes], ...], str | None, tuple[str, ...], bytes]
    """Turn; kind; seconds that it may take, 0 without a limit; bytes that its result may have; the call: the payload, or module, attribute, args and kwargs;
    variables; directory; additions to `sys.path`; the rest of the task in `marshal` form."""

_CODEC: Final = sys.getfilesystemencoding(), sys.getfilesystemencodeerrors()  # as of `os.fsencode`

LENGTH: Final = 9
"""Of a short form: it is longer than any other message to a horse."""

_CALL: Final = ("module", "attribute", "args", "kwargs")
_MOVED: Final = frozenset(("payload", "path", *_CALL))
_KNOWN: Final = _MOVED | {
    *("id", "name", "run", "attempt", "execution", "kind", "timeout", "limit"),
    *("home", "cwd", "flow_dir", "env", "traceparent"),
    *("stop_grace", "bundle", "python", "slots"),  # for the supervisor alone
}


def shortened(turn: int, task: Task) -> ShortTask | None:
    """Return the short form of a task for a horse of that turn; None if the task has options, or variables, that it has no place for."""
    if not task.keys() <= _KNOWN:
        return None
    kind = task["kind"]
    if kind == "pickle":
        call: Any = task["payload"]
    elif kind == "call":
        call = task["module"], task["attribute"], task["args"], task["kwargs"]
    else:
        return None
    try:
        variables = tuple([(name.encode(*_CODEC), value.encode(*_CODEC)) for name, value in environment(task).items()])
    except UnicodeEncodeError:
        return None
    rest = {name: value for name, value in task.items() if name not in _MOVED}
    path = tuple(task.get("path") or ())
    return turn, kind, task["timeout"] or 0.0, task["limit"], call, variables, task.get("cwd"), path, marshal.dumps(rest, 2)


def restored(short: ShortTask) -> Task:
    """Return the task that a short form was made of."""
    _, kind, _, _, call, _, _, path, rest = short
    task: Task = marshal.loads(rest)
    task |= {"payload": call} if kind == "pickle" else dict(zip(_CALL, call, strict=True))
    return task | {"path": list(path)}


def environment(task: Task) -> dict[str, str]:
    """Return the variables that a job gets on top of the inherited ones."""
    return {
        **(task.get("env") or {}),
        "FLOWQ_JOB_ID": task["id"],
        "FLOWQ_JOB_NAME": task["name"],
        "FLOWQ_RUN_ID": task.get("run") or "",
        "FLOWQ_ATTEMPT": str(task["attempt"]),
        "FLOWQ_EXECUTION": str(task["execution"]),
        "FLOWQ_IDEMPOTENCY_KEY": task["id"],
        **({"TRACEPARENT": task["traceparent"]} if "traceparent" in task else {}),
        **({"FLOWQ_FLOW_DIR": task["flow_dir"]} if "flow_dir" in task else {}),
    }
