"""The identity of the process in a stored record, and whether that process has ended.

A process id alone does not tell: it is true within one pid namespace (containers that share a host or a `/tmp` number their processes
alike), until the machine starts again, and until the id is used for another process. So a record keeps an identity: the boot of the
kernel, the namespaces, the id, and the time at which the process started. What cannot be told from here (another machine, another
container, a system without `/proc`) is unknown, never gone: a lease or a lock decides then.
"""

import os
import sys
from typing import Final

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
