"""The identity of the process in a stored record, and whether that process has ended.

A process id alone does not tell: it is true within one pid namespace (containers that share a host or a `/tmp` number their processes
alike), until the machine starts again, and until the id is used for another process. So a record keeps an identity: the boot of the
kernel, the namespaces, the id, and the time at which the process started. What cannot be told from here (another machine, another
container, a system without `/proc`) is unknown, never gone: a lease or a lock decides then.

And how a process of flowq ends itself.
"""

import atexit
import os
import sys
from collections.abc import Callable
from typing import Final

FEWEST_FILES: Final = 20
"""Open files of a worker without jobs; with fewer it cannot start the process of one."""

FILES_OF_A_JOB: Final = 3

_SEPARATOR: Final = " "
_STATE, _START = 0, 19  # fields of /proc/<pid>/stat behind the name of the program
_ENDED: Final = frozenset("ZXx")  # a zombie has ended, although its id is taken
_STOPPED: Final = frozenset("Tt")


def identity() -> str:
    """Return the identity of this process on this machine; empty where the system does not provide it."""
    where = scope()
    found = _stat("self")
    return _SEPARATOR.join((where, str(os.getpid()), found[1])) if where and found else ""


def missing_proc() -> str:
    """Return what a Linux without `/proc`, as some chroots are, has to be given, because workers find the processes of jobs there; else ""."""
    if sys.platform != "linux" or os.path.exists("/proc/self/task"):
        return ""
    return "there is no /proc here, in which workers find the processes of their jobs: mount it (mount -t proc proc /proc), in a chroot too"


def few_files(jobs: int = 1) -> str:
    """Return how many open files a worker needs, where this process may not have those with which one job can be executed; else "".

    Args:
        jobs: that it is to execute at once.
    """
    try:
        import resource
    except (
        ImportError,
        OSError,
    ):  # a system without limits; or to import takes a descriptor, and the first file says what is wrong
        return ""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if limit == resource.RLIM_INFINITY or limit >= FEWEST_FILES:
        return ""
    many = f"to execute {jobs} jobs at once" if jobs > 1 else "to execute a job"
    return f"a worker needs {FEWEST_FILES + FILES_OF_A_JOB * jobs} open files {many}, and may have {limit} here: `ulimit -n 1024` raises that"


def scope() -> str:
    """Return the scope of this process's ids: the boot of the kernel and the namespaces; empty where the system does not provide it."""
    try:
        if os.readlink("/proc/self") != str(os.getpid()):  # a /proc of another namespace
            return ""
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            boot = file.read().strip()
        return "/".join((boot, os.readlink("/proc/self/ns/pid"), _time_namespace()))
    except OSError:
        return ""


def is_running(process: str) -> bool | None:
    """Return whether a process runs, by its `identity`: False when it has certainly ended, None when that is unknown here.

    One that is stopped (SIGSTOP) is unknown too: it is there, but does nothing.
    """
    where, _, number = process.partition(_SEPARATOR)
    pid, _, start = number.partition(_SEPARATOR)
    if not where or not (pid.isascii() and pid.isdigit()) or where != scope():
        return None
    found = _stat(pid)
    if found is None:
        return None if _exists(int(pid)) else False  # another user's may be hidden
    state, started = found
    if started != start or state in _ENDED:
        return False
    return None if state in _STOPPED else True


def _time_namespace() -> str:
    """Return the time namespace: the time at which a process started counts from the boot that it shows."""
    try:
        return os.readlink("/proc/self/ns/time")
    except OSError:
        return ""  # a kernel without them


def _stat(process: str) -> tuple[str, str] | None:
    """Return the state of a process and when it started, None when that cannot be read."""
    try:
        with open(f"/proc/{process}/stat", encoding="utf-8", errors="replace") as file:
            fields = file.read().rpartition(")")[2].split()
        return fields[_STATE], fields[_START]
    except (OSError, IndexError):
        return None


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True


def leaving() -> Callable[[int], int]:
    """Let this process end without taking its modules apart, which takes more than ten milliseconds, and a user waits for it.

    Call it before anything else that has to be done at the end is registered: threads are awaited and such functions called as usual, before.

    Returns:
        What is to be called with the exit code, and returns it. Without that, the process ends as usual.
    """
    codes: list[int] = []

    def leave() -> None:
        if not codes:
            return
        try:
            for stream in (sys.stdout, sys.stderr):
                if stream is not None:
                    stream.flush()
        except (OSError, ValueError):
            return  # Python tells that
        os._exit(codes[-1])

    def note(code: int) -> int:
        codes.append(code)
        return code

    atexit.register(leave)
    return note
