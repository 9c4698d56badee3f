"""The two plain dicts that cross between supervisor and horse. Plain, because `marshal` carries nothing else.

Task (`?` marks what may be absent; everything is text, a number, a list or a dict of those):
    id, name, run?, attempt, execution     which job this is
    kind                                   "call", "pickle", "shell" or "argv"
    home?                                  directory of the run: with path and env it decides which fork server is asked
    flow_dir?                              directory of the job's flow file
    cwd?, path?, env?                      directory of this job, additions to sys.path, variables on top of the inherited environment
    python?                                interpreter that executes it, if it is not the worker's
    secrets?, withheld?                    names of what travels beside the task; variables that are not inherited
    timeout?                               s; None is no limit
    stop_grace?                            s from SIGTERM to SIGKILL; absent: the worker's
    deaf?                                  stop signals are ignored
    note?                                  a line of flowq's own, with which the output begins
    memory?                                bytes that its processes may have; see `fork_servers.memory_limit`
    resources?, files?                     of executors: what the engine is asked for; where the worker has the files of the run, see `worker.node.files`
    batch?                                 how many jobs may have the same horse; absent: one
    limit                                  bytes a result may have
    cache?                                 when an earlier result is taken over, see `lookup`
    fetch?                                 files that are put into its directory first, a list of
                                           {"name", "to": directory, "files": [[path, size, sha256, executable]], "contents": {sha256: bytes}};
                                           what has no content there is in the file store
    artifacts?                             files that are kept at last, a list of {"name", "path": patterns, "always": bool, "keep": ms or None}
    store?                                 the file store: {"url", "python": interpreter for the process that uses it}
    call:   module, attribute, args, kwargs
    pickle: payload                        pickle of (name of the callable, args, kwargs)
    shell:  script, variables, shell       shell: argv that the script's file is appended to; empty: the default
    argv:   argv

A task goes to the horse together with a dict of its secrets by name: values are never in it. Most calls travel in a short form (`short_form`).

Outcome, answered once:
    {"outcome": "finished", "value": bytes, "exit_code": 0}, or the bytes alone
    {"outcome": "failed", "reason": …, "error": text, "exception": dotted name or "", "exit_code": int or None,
     "bases"?: dotted names of the exception's base classes}
    {"outcome": "retry", "max": int, "intervals": [s], "at_front": bool}
and of a job that has left processes, or may have, `"left": True`: the next job does not begin before they are gone;
of a command that has left some, `"note"`: what they were;
of one whose horse looks whether it can take another task, `"looks": True`, and it tells `{"stays": bool}` next; of one of an executor that was not executed, `"unstarted": True`;
and of a task with `cache`, also
    "cache": {"hit": bool, "reason": text, "run"?: of the earlier result, "id"?, "ttl"?, "digest"?: the result of a hit, or under which
              this one is kept, "record"?: kept with it, "latest"?: compared with the next execution}
and of a task with `artifacts`, also
    "artifacts": {"items": [{"name", "keep": ms or None, "files": as above, "remote": in the file store}], "contents": {sha256: bytes}}
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TypeAlias

    Task: TypeAlias = dict[str, Any]
    TaskResult: TypeAlias = dict[str, Any]


def finished(value: bytes) -> TaskResult:
    """Return the outcome of a success; `value` is the encoded result."""
    return {"outcome": "finished", "value": value, "exit_code": 0}


def failed(reason: str, error: str, exception: str = "", exit_code: int | None = None) -> TaskResult:
    """Return the outcome of a failure. `reason` is one of `flowq.states.Reason`, `exception` a dotted name or empty."""
    return {"outcome": "failed", "reason": reason, "error": error, "exception": exception, "exit_code": exit_code}


def retry(maximum: int, intervals: list[float], at_front: bool) -> TaskResult:
    """Return the outcome of a job that returned a `flowq.Retry`; intervals in seconds."""
    return {"outcome": "retry", "max": maximum, "intervals": intervals, "at_front": at_front}
