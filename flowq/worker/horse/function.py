"""Execute a task of kind "call" or "pickle": find the callable, run it under its timeout, encode what it returns."""

from __future__ import annotations

import os
import sys
from types import CoroutineType

from flowq.timeouts import JobStopped, JobTimeoutException
from flowq.worker.horse import allowlist, callbacks, own_process, result_encoding
from flowq.worker.horse.own_process import OWN_FRAMES, OwnProcess
from flowq.worker.horse.result_encoding import InvalidResultError
from flowq.worker.ipc.messages import failed, finished, retry

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Final

    from flowq.worker.ipc.messages import Task, TaskResult

_FOLDERS: Final = 8  # named in a message
_MAX_ERROR: Final = 128 * 1024  # characters of a traceback that are kept; endless recursion and giant messages exist


class _CallableError(Exception):
    """The task names something that is not there or cannot be called."""


def execute(task: Task, announce: callbacks.Announce | None = None) -> TaskResult:
    """Execute the task in this process and return its outcome. Only `os._exit` and signals get past this function.

    What the job forks never comes back from here.
    `announce` is called when the function has ended and a callback follows: with the seconds it may take (None: no more than before), and
    the outcome of the function if it has failed.
    """
    if task.get("hooks"):
        try:
            with OwnProcess():
                callbacks.adopt(task["hooks"])
        except BaseException as broken:  # noqa: BLE001 - a module of the user's that does not import here
            return failed("error", traceback_text(broken), exception_name(broken))
    if task["kind"] == "callback":
        return callbacks.after_death(task)
    through = callbacks.methods(task)
    return perform(task, callbacks.aside(task, announce)) if through is None else through(task, announce)


def perform(task: Task, aside: callbacks.Aside | None) -> TaskResult:
    """Call the task's function, then the callbacks that follow, and return the outcome."""
    outcome, error = _attempt(task, aside)
    if aside is not None and error is not None:
        aside.failed(outcome, error)
    return outcome


def _attempt(task: Task, aside: callbacks.Aside | None) -> tuple[TaskResult, BaseException | None]:
    """Return the outcome, and the exception where there was one."""
    try:
        with OwnProcess():
            penalty = callbacks.penalty(task)
            with penalty:
                with OwnProcess():
                    value = _call(task)
                outcome = encoded(task, value)
            if aside is not None and outcome["outcome"] == "finished":
                aside.succeeded(value)
            elif aside is not None:
                aside.retried(value)
    except BaseException as error:  # noqa: BLE001 - whatever a job raises is that job's failure
        return failure(task, error), error
    if getattr(penalty, "fired", False):
        late = JobTimeoutException(overslept(task))
        return failed("timeout", str(late), "JobTimeoutException"), late
    return outcome, None


def failure(task: Task, error: BaseException) -> TaskResult:
    """Return the outcome of a job that has raised this; `JobStopped` is raised again: it is not the job's, and the caller handles it."""
    try:
        return _failure(task, error)
    except Exception:  # noqa: BLE001 - the exception's own methods raise: say at least what it was
        return failed("error", _unshown(error), exception_name(error)) | {"bases": _bases(error)}


def _failure(task: Task, error: BaseException) -> TaskResult:
    match error:
        case InvalidResultError():
            return failed("invalid_result", str(error))
        case _CallableError():
            return failed("error", str(error), "ImportError")
        case JobTimeoutException():
            return failed("timeout", traceback_text(error), exception_name(error))
        case JobStopped():
            raise error
        case SystemExit():
            return failed("error", _exit_text(error), "SystemExit", _exit_code(error))
    if isinstance(error, ModuleNotFoundError) and task["kind"] == "call":
        error.add_note(_searched(task))
    return failed("error", traceback_text(error), exception_name(error)) | {"bases": _bases(error)}


def overslept(task: Task) -> str:
    """Return the error of a job that has caught the exception of its timeout."""
    return (
        f"the job ran longer than its timeout of {task['timeout']:g} s; it caught JobTimeoutException and went on to its end,"
        " which counts as a timeout all the same"
    )


def _call(task: Task) -> object:
    if task["kind"] == "call":
        function, args, kwargs = imported(task["module"], task["attribute"]), task["args"], task["kwargs"]
    elif (replaced := callbacks.performer(task)) is not None:
        if task.get("allow"):
            _decoded(task)
        function, args, kwargs = replaced, (), {}
    else:
        function, args, kwargs = _decoded(task)
    return awaited(function(*args, **kwargs))


def awaited(value: object) -> object:
    """Return the result of a coroutine, other values as they are."""
    return own_process.run(value) if isinstance(value, CoroutineType) else value


def _decoded(task: Task) -> tuple[Callable[..., object], list[object], dict[str, object]]:
    """Return what a plain job calls: a function by its name, or a method of an object."""
    serializer = callbacks.serializer(task)
    if serializer is None:
        import pickle as serializer
    name, args, kwargs, *instance = serializer.loads(task["payload"])
    return chosen(task, name, instance, args, kwargs)


def named(task: Task, name: str, instance: list[object]) -> Callable[..., object]:
    """Return the function of that name, or the method of the one object in `instance`."""
    if instance:
        kind = type(instance[0])
        _permit(f"{kind.__module__}.{kind.__qualname__}.{name}", task)
        return _attribute(instance[0], name, kind.__qualname__)
    _permit(name, task)
    return _by_dotted_name(name)


def _permit(name: str, task: Task) -> None:
    """Check that the worker allows this, before its module is imported."""
    if (refused := allowlist.refusal(name, task.get("allow") or ())) is not None:
        raise _CallableError(refused)


def imported(module: str, attribute: str) -> Callable[..., object]:
    """Return the function of a module, which is imported if it is not yet."""
    return _attribute(_module(module), attribute, module)


def chosen(
    task: Task, name: str, instance: list[object], args: list[object], kwargs: dict[str, object]
) -> tuple[Callable[..., object], list[object], dict[str, object]]:
    """Return what a plain job calls, where modules are imported for it: one may replace `Job.perform`."""
    call = named(task, name, instance)
    replaced = callbacks.performer(task)
    return (call, args, kwargs) if replaced is None else (replaced, [], {})


def encoded(task: Task, value: object) -> TaskResult:
    """Return the outcome of a job whose function has returned this.

    Raises:
        InvalidResultError: it cannot be a result.
    """
    # A job that returns a Retry has imported it: no need to import it in every horse.
    known = sys.modules.get("flowq.retry")
    if known is not None and isinstance(value, known.Retry):
        return retry(value.max, list(value.intervals), value.enqueue_at_front)
    if task["kind"] == "call":
        return finished(result_encoding.to_json(value, task["limit"]))
    return finished(result_encoding.to_bytes(value, task["limit"], callbacks.serializer(task)))


def _module(name: str) -> object:
    __import__(name)  # not importlib.import_module: that one leaves its own frames in a traceback
    return sys.modules[name]


def _searched(task: Task) -> str:
    """Return which interpreter looked for a module where, without the folders of its standard library."""
    library = os.path.dirname(os.__file__)
    own = (library, os.path.join(library, "lib-dynload"))
    folders = [folder or "." for folder in sys.path if folder not in own and not folder.endswith(".zip")]
    more = f" and {len(folders) - _FOLDERS} more" if len(folders) > _FOLDERS else ""
    hint = "" if task.get("python") else "; `python: .venv` in the flow names another interpreter"
    version = ".".join(map(str, sys.version_info[:3]))
    return f"{sys.executable} (Python {version}) looked in {', '.join(folders[:_FOLDERS])}{more}{hint}"


def _attribute(module: object, attribute: str, where: str) -> Callable[..., object]:
    if "<locals>" in attribute:
        raise _CallableError(
            f"{where}.{attribute} is a function inside a function, which a worker cannot import: move it to the top of its module"
        )
    target = module
    for part in attribute.split("."):
        try:
            target = getattr(target, part)
        except AttributeError as error:
            file = getattr(module, "__file__", None)
            raise _CallableError(f"module {where!r} ({file or 'built in'}) has no {attribute!r}") from error
    if not callable(target):
        raise _CallableError(f"{where}.{attribute} is a {type(target).__name__}, not something that can be called")
    return target


def _by_dotted_name(name: str) -> Callable[..., object]:
    """Find `package.module.Class.method`: the longest prefix that can be imported is the module."""
    parts = name.split(".")
    for cut in range(len(parts) - 1, 0, -1):
        module = ".".join(parts[:cut])
        try:
            found = _module(module)
        except ModuleNotFoundError as error:
            # Only "this prefix is no module" may be tried further; a missing import inside the user's module is his error.
            if error.name is None or not (module == error.name or module.startswith(error.name + ".")) or cut == 1:
                raise
            continue
        return _attribute(found, ".".join(parts[cut:]), module)
    return _attribute(_module("builtins"), name, "builtins")


def exception_name(error: BaseException) -> str:
    """Return the dotted name of an exception's class."""
    kind = type(error)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def _bases(error: BaseException) -> list[str]:
    """Return the names of the exception's base classes, for `retry: {on: …}`."""
    return [f"{kind.__module__}.{kind.__qualname__}" for kind in type(error).__mro__[1:-2]]


def traceback_text(error: BaseException) -> str:
    """Return the traceback as text, without the frames of flowq: only the user's own code is of interest."""
    try:
        import traceback

        report = traceback.TracebackException.from_exception(error)
        parts: list[traceback.TracebackException | None] = [report]
        seen = set()
        while parts:
            part = parts.pop()
            if part is not None and id(part) not in seen:
                seen.add(id(part))
                part.stack[:] = [frame for frame in part.stack if not frame.filename.startswith(OWN_FRAMES)]
                parts += (part.__cause__, part.__context__, *(part.exceptions or ()))
        text = "".join(report.format()).rstrip("\n")
    except Exception:  # noqa: BLE001 - a broken __str__, no memory left: say at least what it was
        return _unshown(error)
    if len(text) <= _MAX_ERROR:
        return text
    half = _MAX_ERROR // 2
    return f"{text[:half]}\n… {len(text) - 2 * half} characters left out …\n{text[-half:]}"


def _unshown(error: BaseException) -> str:
    return f"{exception_name(error)} (its traceback could not be formatted)"


def print_traceback(outcome: TaskResult) -> None:
    """Write the traceback of a failed function to the standard error of the process: it is the last part of the job's log."""
    text = outcome.get("error", "")
    if "\n" not in text:
        return
    try:
        with open(2, "w", encoding="utf-8", errors="backslashreplace", closefd=False) as stream:
            stream.write(f"{text}\n")
    except OSError:
        pass  # the job closed or broke its own output; its outcome stands


def _exit_code(error: SystemExit) -> int:
    if error.code is None:
        return 0
    return error.code if isinstance(error.code, int) else 1


def _exit_text(error: SystemExit) -> str:
    if error.code is not None and not isinstance(error.code, int):
        return f"SystemExit: {_shown(error.code)}"
    return f"the job called sys.exit({'' if error.code is None else error.code}) in place of returning a result"


def _shown(value: object) -> str:
    try:
        return str(value)
    except Exception:  # noqa: BLE001 - a `__str__` of the job's may raise anything
        return f"an object of {type(value).__qualname__} that cannot be shown"
