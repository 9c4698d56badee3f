"""Calls to the kernel beyond POSIX. Linux has all of them; elsewhere each call reports that it is not available.

Without parent-death signals and subreapers (macOS) the fork server still kills process groups; only a daemon that left its
group by `setsid` can outlive its job there.
"""

from __future__ import annotations

import _socket
import errno
import operator
import os
import signal
import sys
import time

_SO_NWRITE = 0x1024  # of macOS
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)
PACKAGE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))  # directory of flowq itself
# Settings of flowq itself, which no process that runs user code of a flow sees.
PRIVATE = (
    "FLOWQ_REDIS_URL",
    "FLOWQ_SECRET_KEY",
    "FLOWQ_NAMESPACE",
    "FLOWQ_ALLOW_EVICTION",
    "FLOWQ_CACHE",
    "FLOWQ_CONFIG",
    "FLOWQ_HOME",
    "FLOWQ_LINGER",
    "FLOWQ_REDIS_SERVER",
    "FLOWQ_STORE",
    "FLOWQ_PYTHON",
    "FLOWQ_COMPAT",
    "FLOWQ_DEBUG",
    "FLOWQ_KEEP_PLACE",
    "FLOWQ_ISOLATION",
    "FLOWQ_HEARTBEAT",
    "_FLOWQ_COMPLETE",
    "_FLOWQ_URL_SOURCE",
)

SWEEPS = sys.platform == "linux"  # whether orphans of a job become children of its fork server, which kills them
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_SIGNAL_SET = 128  # bytes of a `sigset_t`
_LISTED = 4096  # bytes of the list of children: some hundred
_SIGKILL = int(signal.SIGKILL)  # the enum's members copy pages in each horse


def describe(error: OSError) -> str:
    """Return the text of a system error, with the limit if too many files are open."""
    text = error.strerror or str(error)
    if error.errno != errno.EMFILE:
        return text
    try:
        import resource
    except (ImportError, OSError):  # to import takes a descriptor
        return text
    return f"{text}: this process may have {resource.getrlimit(resource.RLIMIT_NOFILE)[0]} (`ulimit -n` raises that)"


if sys.platform == "linux":
    # Once per process tree, before the first fork: the horses inherit the loaded function.
    import ctypes

    _prctl = ctypes.CDLL(None).prctl
    _NO_PRIORITY = os.sched_param(0)
    _gives_way = False  # see `give_way`
    _ENDED = {b"X", b"Z"}
    _NO_PROCESS = [b"X", *[b"0"] * 50]
    _MADV_COLLAPSE = 25
    _EXITING = 4  # PF_EXITING, of the kernel's flags of a process
    _KILLED = 1 << _SIGKILL - 1  # what the kernel makes of any signal that ends a process

    _libc = ctypes.CDLL(None, use_errno=True)

    class ChildEnds:
        """A descriptor, `fd`, that can be read when children have ended. SIGCHLD is blocked for it, so no handler runs."""

        __slots__ = ("fd",)

        def __init__(self) -> None:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
            mask = (1 << (signal.SIGCHLD - 1)).to_bytes(ctypes.sizeof(ctypes.c_ulong), sys.byteorder).ljust(_SIGNAL_SET, b"\0")
            self.fd: int = _libc.signalfd(-1, mask, os.O_NONBLOCK | os.O_CLOEXEC)
            if self.fd < 0:
                raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))

        def leave(self) -> None:
            """Undo it in a child that was forked, which has closed `fd`."""
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})

    def become_subreaper() -> bool:
        """Let orphaned descendants become children of this process; return whether the kernel does that."""
        return bool(_prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0)

    def give_way() -> None:
        """Let this process, and those that it forks, interrupt no other process when they wake up, until they `take_part`.

        A worker that hands out tasks goes before a process that begins with one of them. Where another policy was set before, that one stays.
        """
        global _gives_way  # noqa: PLW0603 - the policy is one of the whole process
        try:
            if _gives_way or os.sched_getscheduler(0) == os.SCHED_OTHER:
                os.sched_setscheduler(0, os.SCHED_BATCH, _NO_PRIORITY)
                _gives_way = True
        except OSError:
            pass  # a sandbox, or a C library, has no such call

    def take_part() -> None:
        """Take `give_way` back: a job, and what it starts, are processes like others."""
        if _gives_way:
            os.sched_setscheduler(0, os.SCHED_OTHER, _NO_PRIORITY)

    def collapse(start: int, size: int) -> None:
        """Put memory of this process into huge pages, if the kernel can and has some. Addresses are multiples of 2 MiB."""
        _libc.madvise(ctypes.c_void_p(start), ctypes.c_size_t(size), _MADV_COLLAPSE)

    def die_with_parent(parent: int) -> None:
        """Have this process killed when `parent` dies. Exits at once if that has happened already.

        The order matters: a parent that died before the call sends no signal any more, but is then no longer our parent.
        """
        _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)

    def settle_below(parent: int) -> None:
        """Do both in one, as each horse does: `die_with_parent` and `become_subreaper`."""
        _prctl(_PR_SET_PDEATHSIG, _SIGKILL, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)
        _prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)

    def end_with_parent(tied: bool) -> None:
        """Set whether the kernel kills this process when the thread of its parent that started it ends."""
        _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL if tied else 0, 0, 0, 0)

    def is_unread(sock: _socket.socket) -> bool:
        """Return whether the peer of a local socket has not read all that was sent. The kernel's answer: the peer may hang."""
        import fcntl
        import termios

        return fcntl.ioctl(sock, termios.TIOCOUTQ, bytes(4)) != bytes(4)  # SIOCOUTQ, which has the same number

    def boottime() -> float:
        """Return seconds of a clock that never jumps and also counts while the machine sleeps."""
        return time.clock_gettime(time.CLOCK_BOOTTIME)

    def is_stopped(pid: int) -> bool:
        """Return whether a process does not run on by itself: it was stopped (SIGSTOP), is being traced, or has ended."""
        return _stat(pid)[0] not in {b"R", b"S", b"D"}

    def has_ended(pid: int) -> bool:
        """Return whether a process has ended, also when its parent has not waited for it yet."""
        return _stat(pid)[0] in _ENDED

    def is_ending(pid: int) -> bool:
        """Return whether a process has ended, or has got a signal that ends it: on a busy machine it may be a while until it has done so."""
        fields = _stat(pid)
        return fields[0] in _ENDED or bool(int(fields[6]) & _EXITING or int(fields[28]) & _KILLED)

    def children_of(pid: int) -> set[int]:
        """Return the pids of the children of another process, those of all its threads, zombies included; none if it takes a descriptor too many."""
        found: set[int] = set()
        try:
            for task in os.listdir(f"/proc/{pid}/task"):
                with open(f"/proc/{pid}/task/{task}/children", "rb") as file:
                    found.update(map(int, file.read().split()))
        except OSError as error:  # it has ended, or the kernel lists no children
            return set() if error.errno in {errno.EMFILE, errno.ENFILE} else _children_by_scan(pid)
        return found

    def _stat(pid: int) -> list[bytes]:
        """Return what the kernel tells of a process, from its state on (`man proc_pid_stat`, the third field): of one that has ended, if there is none."""
        try:
            with open(f"/proc/{pid}/stat", "rb") as file:
                # the second field is the program's name in parentheses and may hold anything
                return file.read().rpartition(b")")[2].split() or _NO_PROCESS
        except OSError:  # it ended while we looked
            return _NO_PROCESS

    class ChildList:
        """The pids of the children of the process that made it, zombies included. Holds one descriptor, `fd`, or -1."""

        __slots__ = ("fd",)

        def __init__(self) -> None:
            try:
                # Kept open: it is read after every job, and must be readable when no descriptor is left to be had.
                self.fd = os.open(f"/proc/self/task/{os.getpid()}/children", os.O_RDONLY)
            except FileNotFoundError:  # a kernel without CONFIG_PROC_CHILDREN
                self.fd = -1

        def pids(self) -> set[int]:
            """Return the current pids."""
            if self.fd < 0:
                return _children_by_scan(os.getpid())
            data = b""
            while piece := os.pread(self.fd, 65536, len(data)):
                data += piece
            return {int(pid) for pid in data.split()}

        def count(self) -> int:
            """Return how many there are, -1 if it takes more to find out."""
            return os.pread(self.fd, _LISTED, 0).count(b" ") if self.fd >= 0 else -1

        def close(self) -> None:
            """Close the descriptor."""
            if self.fd >= 0:
                os.close(self.fd)

    def _children_by_scan(parent: int) -> set[int]:
        pids = {int(name) for name in os.listdir("/proc") if name.isdecimal()}
        return {pid for pid in pids if int(_stat(pid)[1]) == parent}

    def threads() -> int:
        """Return how many threads this process has, those of native libraries included."""
        return len(os.listdir("/proc/self/task"))

else:

    class ChildEnds:
        """A descriptor, `fd`, that can be read when children have ended: a pipe that a handler of SIGCHLD writes to."""

        __slots__ = ("_written", "fd")

        def __init__(self) -> None:
            self.fd, self._written = os.pipe()
            os.set_blocking(self._written, False)
            # a function that does nothing: the byte in the pipe is what matters
            signal.signal(signal.SIGCHLD, operator.is_)
            signal.set_wakeup_fd(self._written, warn_on_full_buffer=False)

        def leave(self) -> None:
            """Undo it in a child that was forked, which has closed `fd`."""
            signal.set_wakeup_fd(-1)
            os.close(self._written)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)

    def become_subreaper() -> bool:
        """Report that this system has no subreapers."""
        return False

    def give_way() -> None:
        """Do nothing: this system has no such policy."""

    def take_part() -> None:
        """Do nothing either."""

    def die_with_parent(parent: int) -> None:
        """Exit if the parent is gone already; this system cannot promise more."""
        if os.getppid() != parent:
            os._exit(1)

    def settle_below(parent: int) -> None:
        """Do what `die_with_parent` does."""
        if os.getppid() != parent:
            os._exit(1)

    def collapse(_start: int, _size: int) -> None:
        """Do nothing: not known on this system."""

    def end_with_parent(_tied: bool) -> None:
        """Do nothing: this system has no such signal."""

    def is_unread(sock: _socket.socket) -> bool:
        """Return whether the peer of a local socket has not read all that was sent."""
        return sock.getsockopt(_socket.SOL_SOCKET, _SO_NWRITE) > 0

    def boottime() -> float:
        """Return seconds of a clock that never jumps."""
        return time.monotonic()

    def is_stopped(_pid: int) -> bool:
        """Return True: not known on this system."""
        return True

    def has_ended(_pid: int) -> bool:
        """Return False: not known on this system."""
        return False

    def is_ending(_pid: int) -> bool:
        """Return False: not known on this system."""
        return False

    def children_of(_pid: int) -> set[int]:
        """Return the empty set: not known on this system."""
        return set()

    class ChildList:
        """A stand-in: orphans go to init here, so there are no unknown children."""

        __slots__ = ()
        fd = -1

        def pids(self) -> set[int]:
            """Return the empty set."""
            return set()

        def count(self) -> int:
            """Return -1: not known."""
            return -1

        def close(self) -> None:
            """Do nothing."""

    def threads() -> int:
        """Return 0: not known on this system."""
        return 0
