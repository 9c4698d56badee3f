"""The processes that a job has left running. They end with the job: its log names them, because that surprises their authors."""

from __future__ import annotations

import os

from flowq.worker.ipc import platform

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Final

_NAMED: Final = 5
_KILLED: Final = "killed, because the job has ended"
_BEYOND: Final = "of another user and cannot be killed"
_LOOKS: Final = 1000  # for a command line: a process can have given up the memory that it is in
_LONGEST: Final = 120  # characters of a command line
_SERVER: Final = b"from flowq.embedded.watchdog import main; main()"
_OWN: Final = (b"resource_tracker", b"multiprocessing.forkserver")  # Python's helpers, which end when their pipe is closed


def report() -> None:
    """Write a line about the processes below this one to its standard error, if there are any."""
    if not are_there():
        return
    note = described(platform.children_of(os.getpid()))
    try:
        os.write(2, f"[flowq: {note}]\n".encode(errors="backslashreplace") if note else b"")
    except OSError:
        pass  # the job closed or broke its own output


def described(processes: set[int]) -> str:
    """Return a sentence about the processes, and those below them, that a job has left running; empty if all have ended."""
    found = sorted(_running(processes))
    told = (
        _named([entry for entry in found if may_kill(entry[0])], "background process is", "background processes are", _KILLED),
        _named([entry for entry in found if not may_kill(entry[0])], "process is", "processes are", _BEYOND),
    )
    return "; ".join(filter(None, told))


def _named(found: list[tuple[int, str]], one: str, many: str, what: str) -> str:
    if not found:
        return ""
    named = ", ".join(f"{pid} ({command})" for pid, command in found[:_NAMED])
    more = f" and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
    return f"{f'a {one}' if len(found) == 1 else f'{len(found)} {many}'} {what}: {named}{more}"


def may_kill(pid: int) -> bool:
    """Return whether this process has the right to signal another one, or that has ended."""
    try:
        os.kill(pid, 0)
    except PermissionError:
        return False
    except ProcessLookupError:
        pass
    return True


def owner(pid: int, horses: Mapping[int, str]) -> int:
    """Return which of some horses, each with the path for its files, has started a process; 0 if that cannot be told."""
    try:
        session = os.getsid(pid)
        variables = b"" if session in horses else _read(f"/proc/{pid}/environ")
    except OSError:  # it has ended, or runs with other rights
        return 0
    named = (horse for horse, files in horses.items() if files and f"FLOWQ_OUTPUT={files}/".encode() in variables)
    return session if session in horses else next(named, 0)


def is_server(pid: int) -> bool:
    """Return whether a process keeps an embedded server. It is everybody's, whose command ever has started it: it does not end with a job."""
    try:
        return _SERVER in _read(f"/proc/{pid}/cmdline")
    except OSError:
        return False


def are_there() -> bool:
    """Return whether this process has children, ended or not; the usual answer takes a microsecond. False where it cannot be told."""
    if not hasattr(os, "waitid"):
        return False
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def _running(processes: set[int]) -> Iterator[tuple[int, str]]:
    """Yield those that have not ended of some processes and all below them, with their command lines."""
    below = set(processes)
    while below:
        pid = below.pop()
        if is_server(pid):
            continue
        below.update(platform.children_of(pid))
        command = _command(pid)
        if command is not None:
            yield pid, command


def _command(pid: int) -> str | None:
    """Return the command line of a process; None if it has ended, has been told to, as a job that is stopped, or is a helper of Python's."""
    if platform.is_ending(pid):
        return None
    try:
        for _ in range(_LOOKS):
            if line := _read(f"/proc/{pid}/cmdline"):
                break
            if platform.has_ended(pid):
                return None
            os.sched_yield()  # it is about to execute another program
        else:
            return "a process without a command line"
        own = _read("/proc/self/cmdline")
    except OSError:
        return None
    if any(name in line for name in _OWN):
        return None
    if line == own:
        return "a fork of the job's process"
    words = line.rstrip(b"\0").replace(b"\0", b" ").decode("utf-8", "backslashreplace")
    text = "".join(letter if letter.isprintable() else " " for letter in words)
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "…"


def _read(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()
