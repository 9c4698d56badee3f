"""Execute a task of kind "shell" or "argv": write the script, start it, wait, read `$FLOWQ_OUTPUT`.

Usually the horse becomes the command (`become`): a second process for it would cost more than half of the job. The fork server reads
`$FLOWQ_OUTPUT` then (`collect`), and the supervisor judges the end, or another horse if that takes long (`is_much`).

A horse that has to do something after the command starts it as a child (`execute`): for a cache, for artifacts. It stays between the fork server
and the command and ignores SIGTERM, which goes to the whole group, so that a command that cleans up on SIGTERM has its grace period and its end
is reported as what it was. One that comes before there is a command is kept for it: a job that is canceled in its first moment must not
run out its grace period.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]
import errno
import os
import signal
import stat

from flowq.defaults import MAX_RESULT
from flowq.worker.horse import output_file, result_encoding
from flowq.worker.horse.exit_text import exit_text, killed_text
from flowq.worker.horse.output_file import OutputError
from flowq.worker.horse.result_encoding import InvalidResultError
from flowq.worker.ipc import platform
from flowq.worker.ipc.messages import failed, finished

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Final, NoReturn

    from flowq.worker.ipc.messages import Task, TaskResult

_AFTER: Final = frozenset(("artifacts", "cache", "deaf", "fetch"))  # of tasks whose horse outlives the command
_OUTPUT: Final = "output"
_SCRIPT: Final = "script"
_CHUNK: Final = 64 * 1024  # bytes of one read
_MUCH: Final = 64 * 1024  # bytes of `$FLOWQ_OUTPUT`; to parse the most that there can be takes seconds
_INSERTED: Final = "FLOWQ_V"  # the compiler's names of the values that a script refers to
# What commands expect to be at its default: the interpreter ignores some, a parent like `nohup` or a shell's `&` others, and a shell
# cannot trap what was ignored when it started.
_RESTORED: Final = tuple(set(range(1, 32)) - {signal.SIGKILL, signal.SIGSTOP})


def can_become(task: Task) -> bool:
    """Return whether the horse of a task can become its command: nothing is left to do after it, and the fork server sees to what it leaves.

    `setsid` goes on in a child if it leads a group, as a horse does, and would end at once: so where one is named, it has a process above it.
    """
    if task["kind"] not in {"shell", "argv"} or not _AFTER.isdisjoint(task) or not platform.SWEEPS:
        return False
    words = task["argv"] if task["kind"] == "argv" else (*task["shell"], task["script"])
    return not any("setsid" in word for word in words)


def become(task: Task, scratch: str, tell: Callable[[dict[str, bool]], object]) -> TaskResult:
    """Become the command of a task; return the outcome of one that cannot be executed. `tell` takes a message for the supervisor."""
    try:
        _make_files(task, scratch)
    except OSError as error:
        return failed("error", _no_scratch(scratch, error))
    argv, env = _command(task, scratch)
    try:
        programs = _programs(argv[0], env)
        tell({"executes": True})
        _reset_signals()
        _become(programs, argv, env)
    except (OSError, ValueError) as error:
        outcome = _not_started(argv, env, error)
    _remove_files(scratch)
    return outcome


def collect(scratch: str) -> bytes | str:
    """Return what a command has written to its `$FLOWQ_OUTPUT`, or why that cannot be read, and remove its files.

    All its processes have ended. There is no more than one byte beyond the limit of a result.
    """
    written = _written(os.path.join(scratch, _OUTPUT), MAX_RESULT + 1)
    _remove_files(scratch)
    return written


def is_much(written: bytes | str) -> bool:
    """Return whether what a command has written is to be judged in a process of its own, where it holds up no other job."""
    return len(written) > _MUCH


def judged(code: int, written: bytes | str, limit: int) -> TaskResult:
    """Return the outcome of a command.

    Args:
        code: of its exit, negative for a signal.
        written: to its `$FLOWQ_OUTPUT`, or why that could not be read.
        limit: bytes of a result.
    """
    if code < 0:
        return failed("killed", killed_text(-code), exit_code=128 - code)
    if code > 0:
        return failed("error", exit_text(code), exit_code=code)
    if isinstance(written, str):
        return failed("invalid_result", written, exit_code=0)
    try:
        if len(written) > limit:
            return failed("invalid_result", f"$FLOWQ_OUTPUT has more than the limit of {limit:,} bytes")
        value = output_file.parse(written)
        return finished(result_encoding.to_json(value, limit) if value else b"{}")
    except (OutputError, InvalidResultError) as error:
        return failed("invalid_result", str(error), exit_code=0)


def execute(task: Task, scratch: str) -> TaskResult:
    """Execute the command to its end and return the outcome. `scratch` is created; the parent removes what the command has made there."""
    _signal.pthread_sigmask(_signal.SIG_BLOCK, (_signal.SIGTERM,))
    try:
        _make_files(task, scratch)
    except OSError as error:
        return failed("error", _no_scratch(scratch, error))
    try:
        return _execute(task, scratch)
    finally:  # before the outcome is told: the next job may need the room
        _remove_files(scratch)


def _execute(task: Task, scratch: str) -> TaskResult:
    argv, env = _command(task, scratch)
    try:
        pid = _spawn(argv, env)
    except OSError as error:
        return _not_started(argv, env, error)
    _pass_on(pid)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return judged(code, _written(env["FLOWQ_OUTPUT"], task["limit"] + 1) if code == 0 else b"", task["limit"])


def _make_files(task: Task, scratch: str) -> None:
    os.makedirs(os.path.dirname(scratch), mode=0o700, exist_ok=True)
    os.mkdir(scratch, 0o700)
    _write(os.path.join(scratch, _OUTPUT), b"")
    if task["kind"] == "shell":
        _write(os.path.join(scratch, _SCRIPT), task["script"].encode())


def _remove_files(scratch: str) -> None:
    for remove, path in ((os.unlink, f"{scratch}/{_OUTPUT}"), (os.unlink, f"{scratch}/{_SCRIPT}"), (os.rmdir, scratch)):
        try:
            remove(path)
        except OSError:
            continue  # the command has put something else there, which the fork server removes


def _command(task: Task, scratch: str) -> tuple[list[str], dict[str, str]]:
    """Return the arguments and the environment of a command."""
    env = {name: value for name, value in os.environ.items() if name not in platform.PRIVATE}
    env["FLOWQ_OUTPUT"] = os.path.join(scratch, _OUTPUT)
    if task["kind"] == "argv":
        return task["argv"], env
    env.update(task["variables"])
    return [*(task["shell"] or _default_shell(env)), os.path.join(scratch, _SCRIPT)], env


def _not_started(argv: list[str], env: Mapping[str, str], error: OSError | ValueError) -> TaskResult:
    number = error.errno if isinstance(error, OSError) else None
    known = OSError(number or errno.EINVAL, os.strerror(number or errno.EINVAL))  # else it is a NUL character
    return failed("error", _cannot_start(argv, env, known), exit_code=126 if number == errno.EACCES else 127)


def unreadable(error: OSError) -> str:
    """Return why the result of a command cannot be read."""
    return f"$FLOWQ_OUTPUT cannot be read any more: {error.strerror}"


def _reset_signals() -> None:
    for number in _RESTORED:
        _signal.signal(number, _signal.SIG_DFL)
    _signal.pthread_sigmask(_signal.SIG_SETMASK, ())


def _default_shell(env: Mapping[str, str]) -> list[str]:
    bash = _find("bash", env)
    return [bash, "--noprofile", "--norc", "-euo", "pipefail"] if bash else ["/bin/sh", "-eu"]


def _find(program: str, env: Mapping[str, str]) -> str | None:
    for directory in env.get("PATH", os.defpath).split(os.pathsep):
        candidate = os.path.join(directory, program)
        if directory and os.access(candidate, os.X_OK) and os.path.isfile(candidate):
            return candidate
    return None


def _write(path: str, data: bytes) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        while data:
            data = data[os.write(fd, data) :]
    finally:
        os.close(fd)


def _spawn(argv: list[str], env: dict[str, str]) -> int:
    """Start the program and return its pid. Not `posix_spawn`: the child must ask to die with this horse.

    Raises:
        OSError: the program could not be executed.
    """
    programs = _programs(argv[0], env)
    told, tell = os.pipe()
    me = os.getpid()
    pid = os.fork()
    if pid == 0:
        try:
            platform.die_with_parent(me)
            _reset_signals()
            _become(programs, argv, env)
        except OSError as error:
            os.write(tell, str(error.errno or errno.EINVAL).encode())
        except ValueError:  # a NUL character
            os.write(tell, str(errno.EINVAL).encode())
        finally:
            os._exit(127)
    os.close(tell)
    problem = os.read(told, 16)
    os.close(told)
    if problem:
        os.waitpid(pid, 0)
        number = int(problem)
        raise OSError(number, os.strerror(number))
    return pid


def _written(path: str, size: int) -> bytes | str:
    """Return the file, at most `size` bytes of it, or why it cannot be read."""
    try:
        return _read(path, size)
    except OutputError as error:
        return str(error)
    except OSError as error:
        return unreadable(error)


def _read(path: str, size: int) -> bytes:
    """Return the file, at most `size` bytes of it.

    Raises:
        OutputError: it is none: the command has put a pipe in its place, on which to wait would have no end, or a device.
    """
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise OutputError("$FLOWQ_OUTPUT is not a file any more: append lines to it, and put nothing else in its place")
        parts = []
        while size and (part := os.read(fd, min(size, _CHUNK))):
            parts.append(part)
            size -= len(part)
    finally:
        os.close(fd)
    return b"".join(parts)


def _programs(name: str, env: Mapping[str, str]) -> list[str]:
    """Return the files that may be the program of a name, in the order in which they are to be tried: nearly always one.

    Searched before the fork: a failed execution costs the child more than a tenth of a millisecond and some copied pages.

    Raises:
        FileNotFoundError: there is none.
    """
    if os.path.dirname(name):
        return [name]
    found = []
    for directory in env.get("PATH", os.defpath).split(os.pathsep):
        file = os.path.join(directory, name)
        try:
            os.stat(file)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except (OSError, ValueError):
            pass  # the execution will say the same
        found.append(file)
    if not found:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
    return found


def _become(programs: list[str], argv: list[str], env: Mapping[str, str]) -> NoReturn:
    """Replace this process by the first of the programs that can be executed.

    Raises:
        OSError: of the first one that is there.
    """
    problem = OSError(errno.ENOENT, os.strerror(errno.ENOENT))
    for program in programs:
        try:
            os.execve(program, argv, env)
        except OSError as error:
            if problem.errno in {errno.ENOENT, errno.ENOTDIR}:
                problem = error
    raise problem


def _pass_on(pid: int) -> None:
    """Forward SIGTERM to the command from now on, and an earlier one that arrived before it existed."""
    if _signal.SIGTERM in _signal.sigpending():
        os.kill(pid, _signal.SIGTERM)
    _signal.signal(_signal.SIGTERM, _signal.SIG_IGN)
    _signal.pthread_sigmask(_signal.SIG_UNBLOCK, (_signal.SIGTERM,))


def _no_scratch(scratch: str, error: OSError) -> str:
    where = os.path.dirname(os.path.dirname(scratch))
    return (
        f"a command needs a place for its files, and none can be made in {where}: {error.strerror};"
        " make room there, or start the worker with TMPDIR set to a directory that it can write to"
    )


def _cannot_start(argv: list[str], env: Mapping[str, str], error: OSError) -> str:
    match error.errno:
        case errno.ENOENT:
            return _without_interpreter(argv[0], env) or f"command not found: {argv[0]}"
        case errno.EACCES:
            return f"not an executable program: {argv[0]}"
        case errno.E2BIG:
            return _too_big(argv, env)
        case errno.EINVAL:
            return f"{argv[0]!r} cannot be started: an argument or variable contains a NUL character or is otherwise invalid"
        case _:
            return f"{argv[0]} cannot be started: {error.strerror}"


def _without_interpreter(program: str, env: Mapping[str, str]) -> str:
    """Return a message about a program that is there, and whose interpreter is not; else ""."""
    for path in [program] if "/" in program else [os.path.join(place, program) for place in os.get_exec_path(env)]:
        try:
            with open(path, "rb") as file:  # no suppress(): a horse imports no contextlib
                first = file.readline(256)
        except OSError:
            continue
        if first.startswith(b"\x7fELF"):
            return f"{path} cannot be started: it was built for another system, whose loader is not there"
        if first.startswith(b"#!"):
            named = first[2:].decode("utf-8", "backslashreplace").strip(" \t\n")
            why = ": save the file with the line ends of Unix" if named.endswith("\r") else ""
            return f"{path} cannot be started: its first line names an interpreter that is not there, {named!r}{why}"
    return ""


def _too_big(argv: list[str], env: Mapping[str, str]) -> str:
    """Return a message that names the largest value: nearly always one value is the cause."""
    arguments = {f"argument {index}": len(os.fsencode(item)) for index, item in enumerate(argv)}
    variables = {f"the variable {name}": len(os.fsencode(f"{name}={value}")) for name, value in env.items()}
    sizes = arguments | variables
    largest = max(sizes, key=sizes.__getitem__)
    inserted = " (a value that an expression puts into the script)" if largest.startswith(f"the variable {_INSERTED}") else ""
    return (
        f"{argv[0]} cannot be started: arguments ({sum(arguments.values()):,} bytes) and environment"
        f" ({sum(variables.values()):,} bytes) are larger than the system allows; the largest is {largest}{inserted} with"
        f" {sizes[largest]:,} bytes: hand over large values in a file, or use a `call`, which has no such limit"
    )
