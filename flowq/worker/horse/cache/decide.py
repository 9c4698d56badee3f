"""`cache` of a job, decided in its horse: reuse an earlier result, or run and return the record of the new one.

The files are looked at here because this is where the job would run, and because hashing them may take long: the supervisor must not
wait for a disk. What was kept earlier comes along with the task; the result itself stays in the store, which puts it in place when this
answers with a hit. Nothing here may make a job fail: if patterns or files are wrong, the job runs, and the reason says so.
"""

from __future__ import annotations

import os

from flowq.worker.horse.cache import fingerprint
from flowq.worker.horse.cache.fingerprint import SHORT, Fingerprint, UnusableError
from flowq.worker.ipc.messages import finished

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any, Final

    from flowq.worker.ipc.messages import Task, TaskResult

MAX_RECORD: Final = 256 * 1024  # bytes kept of one result's outputs, and of what the latest one was made of
_NAMED: Final = 3  # files or parts named in a reason
_FIRST: Final = "no earlier result"


def through(task: Task, perform: Callable[[], TaskResult]) -> TaskResult:
    """Return the outcome of a job with `cache`: that of an earlier result, or what `perform` gives."""
    base, made_of = "", None
    try:
        base = _here()
        made_of = Fingerprint(task, base)
        problem = _problem(task, made_of, base) if task["cache"]["look"] else "without the cache, as asked"
    except UnusableError as error:
        problem = _readable(f"not used: {error}")
    if made_of is not None and not problem:
        return _taken_over(task, made_of)
    if problem != _FIRST:  # which is no news; the job's record has it
        _say(f"miss: {problem}")
    outcome = perform()
    if made_of is None or outcome["outcome"] != "finished":
        return _told(outcome, problem)
    try:
        return _kept(task, made_of, base, outcome, problem)
    except UnusableError as error:
        why_not = _readable(f"not kept: {error}")
        _say(why_not)
        return _told(outcome, f"{problem}; {why_not}")


def _here() -> str:
    try:
        return os.getcwd()
    except OSError as error:
        raise UnusableError(f"the job's directory cannot be told: {error.strerror}") from error


def _readable(text: str) -> str:
    """Return a text in one line of legal characters: names of files may have any bytes."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def _say(text: str) -> None:
    """Write a line into the job's output, which users read first when a job behaves unexpectedly."""
    try:
        os.write(2, f"cache {text}\n".encode())
    except OSError:
        pass  # the job has closed its output


def _taken_over(task: Task, made_of: Fingerprint) -> TaskResult:
    """Return the outcome of a hit; the store already has its value."""
    cache = task["cache"]
    found = [] if cache["key"] is None else [f"key {_readable(cache['key'][:60])}"]
    if cache["inputs"]:
        found.append(f"{len(made_of.files):,} input file{'s' * (len(made_of.files) != 1)}")
    reason, run = f"{' and '.join(found)} unchanged", _earlier(task, made_of)["run"]
    _say(f"hit: {reason} since run {run}")
    report = {"hit": True, "reason": reason, "run": run, "digest": made_of.digest, "latest": _latest(made_of)}
    return finished(b"null") | {"cache": _identity(task) | report}


def _identity(task: Task) -> dict[str, Any]:
    return {"id": task["cache"]["id"], "ttl": task["cache"]["ttl"]}


def _told(outcome: TaskResult, reason: str) -> TaskResult:
    """Return an outcome with the reason for which the job ran, and nothing to keep."""
    return outcome | {"cache": {"hit": False, "reason": reason}}


def _kept(task: Task, made_of: Fingerprint, base: str, outcome: TaskResult, reason: str) -> TaskResult:
    """Return an outcome with the cache record of its result.

    Raises:
        UnusableError: it must not be kept.
    """
    import json

    outputs = fingerprint.contents(base, task["cache"]["outputs"])
    changed = made_of.changed_since(task, base)
    if changed:
        raise UnusableError(f"{changed} changed while the job ran")
    record = json.dumps({"run": task["run"], "outputs": outputs})
    if len(record) > MAX_RECORD:
        raise UnusableError(f"`outputs` matches {len(outputs):,} files, which is too many: name one that is made last")
    report = {"hit": False, "reason": reason, "digest": made_of.digest, "record": record, "latest": _latest(made_of)}
    return outcome | {"cache": _identity(task) | report}


def _latest(made_of: Fingerprint) -> str:
    """Return the record that the next run is compared with: without the files, or empty, where it would be too large."""
    import json

    parts = {name: value[:SHORT] for name, value in made_of.parts.items()}
    files = {path: value[:SHORT] for path, value in made_of.files.items()}
    texts = (json.dumps({"parts": parts, "files": files}), json.dumps({"parts": parts, "files": None}))
    return next((text for text in texts if len(text) <= MAX_RECORD), json.dumps({"parts": None, "files": None}))


def _earlier(task: Task, made_of: Fingerprint) -> dict[str, Any]:
    """Return the record of a result with the same digest, {} when there is none."""
    import json

    found = task["cache"]["earlier"].get(made_of.digest)
    return json.loads(found[1]) if found is not None else {}


def _problem(task: Task, made_of: Fingerprint, base: str) -> str:
    """Return why no earlier result can be taken over, "" when one can."""
    found = task["cache"]["earlier"].get(made_of.digest)
    if found is None:
        return _difference(task["cache"]["latest"], made_of)
    if found[0]:
        return "expired"
    outputs: Mapping[str, str] = _earlier(task, made_of)["outputs"]
    missing = [path for path in outputs if not os.path.lexists(os.path.join(base, path))]
    if missing:
        return f"outputs missing: {_some(missing)}"
    changed = [path for path, was in outputs.items() if fingerprint.content(base, path) != was]
    return f"outputs changed: {_some(changed)}" if changed else ""


def _difference(latest: bytes | None, made_of: Fingerprint) -> str:
    """Return what has changed since the job's last execution."""
    import json

    if latest is None:
        return _FIRST
    before = json.loads(latest)
    if before["parts"] is None:
        return "something has changed"
    found = []
    parts = {name: value[:SHORT] for name, value in made_of.parts.items()}
    names = [name for name in {**before["parts"], **parts} if before["parts"].get(name) != parts.get(name)]
    if names:
        words = dict.fromkeys("values in the script" if name.startswith("value ") else name for name in names)
        found.append(f"{_some(list(words))} changed")
    files = [] if before["files"] is None else _changed_files(before["files"], made_of.files)
    if files:
        found.append(f"inputs changed: {_some(files)}")
    elif before["files"] is None and not names:
        found.append("inputs changed")
    return "; ".join(found) or "no earlier result that is still kept"


def _changed_files(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    changed = [path for path, value in now.items() if path in before and before[path] != value[:SHORT]]
    return [
        *changed,
        *(f"{path} (new)" for path in now if path not in before),
        *(f"{path} (gone)" for path in before if path not in now),
    ]


def _some(names: list[str]) -> str:
    more = len(names) - _NAMED
    return _readable(", ".join(names[:_NAMED])) + (f" and {more:,} more" if more > 0 else "")
