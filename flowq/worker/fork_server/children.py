"""The children of a fork server: signal, reap, sweep.

Every child is either known (a horse, a probe) or an orphan of a horse that has ended: horses are subreapers, so whatever their
jobs start stays below them, and falls to the fork server only when the horse is gone. An unknown child is therefore always killed, unless it keeps
an embedded server: a command in a job has started it, and others use it.
"""

from __future__ import annotations

import os
import resource  # noqa: F401 - `os.wait4` imports it at its first call, and there may be no descriptor for that then
import select
import signal
import time

from flowq.worker.horse import leftovers
from flowq.worker.ipc import platform

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Final, TypeAlias

    End: TypeAlias = tuple[int, int, tuple[float, ...] | None]
    """Pid, exit code (negative for a signal), and what it used if the code is not 0: the values of `resource.struct_rusage`."""

_ENDED = getattr(os, "WEXITED", 0) | os.WNOHANG | getattr(os, "WNOWAIT", 0)
_SIGKILL = int(signal.SIGKILL)
_REAP_STEP = 0.002  # s between looks at a child that is about to end
_SWEEP_LIMIT = 2.0  # s; what does not die of SIGKILL in that time hangs in the kernel and must not hold up the worker


class Children:
    """The living children by pid, `known`.

    `listing` is a descriptor with the list of them, -1 if there is none: a fresh child should close it. `reap` reports an end only when every
    process of that child has ended. What cannot be killed, because it has become a process of another user, is waited for once.

    Args:
        files: returns the path for files of a child, "" if it has none.
    """

    __slots__ = ("_ended", "_files", "_left", "_list", "_orphans", "_servers", "_since", "_undying", "known", "listing")

    def __init__(self, files: Callable[[int], str]) -> None:
        self.known: set[int] = set()
        self._files = files
        self._list = platform.ChildList()
        self.listing = self._list.fd
        self._ended: list[End] = []  # reaped children whose leftovers are being swept
        self._orphans: set[int] = set()  # whose former parents are known, as far as that can be
        self._servers: set[int] = set()  # that keep an embedded server
        self._undying: set[int] = set()  # orphans that have outlived a sweep
        self._left: dict[int, str] = {}  # what children had left, in words
        self._since = 0.0

    def add(self, pid: int) -> None:
        """Register a child that was just forked."""
        self.known.add(pid)

    def signal(self, pid: int, number: int) -> None:
        """Send a signal to the process group of a known child; a child that has been reaped is never signalled."""
        if pid not in self.known:
            return
        if number != _SIGKILL:
            _signal_group(pid, number)
            return
        _kill(pid)
        if platform.has_ended(pid):
            self._sweep()  # what traces it keeps it from being reaped, and may be among what it has left
        elif not leftovers.may_kill(pid):
            self._give_up(pid)

    @property
    def sweeping(self) -> bool:
        """Whether processes of ended children are still dying: call `reap` again soon."""
        return bool(self._ended)

    def sweep_after(self, pid: int) -> None:
        """Kill what a child has left that has exited with 0 and was reaped; `reap` reports its end."""
        self._since = time.monotonic()
        self._ended.append((pid, 0, None))

    def reap(self) -> tuple[list[End], bool]:
        """Return the ends of the known children that have ended with all they started, and whether that is certain.

        Leftovers are killed here; while they are dying, `sweeping` is true. It is not certain if some did not die in time, or if this system
        does not tell of orphans.
        """
        while (end := self._reap_one()) is not None:
            if end[0] in self.known:
                self.known.discard(end[0])
                if not self._ended:
                    self._since = time.monotonic()
                self._ended.append(end)
        if self._ended and ((left := self._sweep()) == 0 or time.monotonic() - self._since > _SWEEP_LIMIT):
            self._undying |= self._unknown() if left else set()
            ended, self._ended = self._ended, []
            return ended, platform.SWEEPS and left == 0
        return [], False

    def left(self, pid: int) -> str:
        """Return what a child had left running whose end `reap` has returned, in words; empty for nothing."""
        return self._left.pop(pid, "")

    def kill_all(self) -> None:
        """Kill every child and everything below, and return when they are gone (or after a few seconds)."""
        deadline = time.monotonic() + _SWEEP_LIMIT
        while time.monotonic() < deadline:
            for pid in self.known:
                _kill(pid)
            while (end := self._reap_one()) is not None:
                self.known.discard(end[0])
            if self._sweep() == 0 and not any(map(leftovers.may_kill, self.known)):
                return
            time.sleep(0.001)

    def _give_up(self, pid: int) -> None:
        """Let a child count as killed that has become a program of another user: it is an orphan from now on."""
        self.known.discard(pid)
        self._left[pid] = leftovers.described({pid})
        if not self._ended:
            self._since = time.monotonic()
        self._ended.append((pid, -_SIGKILL, None))

    def _sweep(self) -> int:
        """Kill the unknown children; return how many there are, but for those that have outlived an earlier sweep."""
        unknown = self._unknown()
        self._orphans &= unknown
        self._undying &= unknown
        for pid in unknown:
            # Not reaped yet, so the pid is still theirs; they may lead a group of their own or be in any other.
            _kill(pid)
        return len(unknown - self._undying)

    def _unknown(self) -> set[int]:
        """Return the children that are to be killed."""
        unknown = self._list.pids() - self.known
        self._servers &= unknown
        self._servers |= {pid for pid in unknown - self._servers if leftovers.is_server(pid)}
        return unknown - self._servers

    def _look_at_orphans(self, former: int) -> None:
        """Note what a child has left running that has ended, before it is killed. Another job's command line is not for the log of this one."""
        new = self._unknown() - self._orphans
        if not new:
            return
        others = [pid for pid in self.known if pid != former and platform.has_ended(pid)]
        if others or self._ended:
            horses = {pid: self._files(pid) for pid in (former, *others)}
            owners = {pid: leftovers.owner(pid, horses) for pid in new}
            self._orphans |= {pid for pid in new if owners[pid] not in others}
            new = {pid for pid in new if owners[pid] == former}
        self._orphans |= new
        if left := leftovers.described(new):
            self._left[former] = left

    def _reap_one(self) -> End | None:
        usage = None
        try:
            if hasattr(os, "waitid"):
                # Look first, reap later: as long as the zombie is there, its process group id cannot be used by others.
                found = os.waitid(os.P_ALL, 0, _ENDED)
                if found is None:
                    return None
                self._look_at_orphans(found.si_pid)
                _signal_group(found.si_pid, signal.SIGKILL)
                if found.si_code == os.CLD_EXITED and found.si_status == 0:
                    pid, status = os.waitpid(found.si_pid, 0)
                else:
                    pid, status, usage = os.wait4(found.si_pid, 0)
            else:
                pid, status, usage = os.wait4(-1, os.WNOHANG)
                if pid == 0:
                    return None
                _signal_group(pid, signal.SIGKILL)
        except ChildProcessError:
            return None
        return pid, os.waitstatus_to_exitcode(status), tuple(usage) if usage is not None and status else None


def own_children() -> set[int]:
    """Return the pids of this process's children (none where the system cannot tell)."""
    listing = platform.ChildList()
    try:
        return listing.pids()
    finally:
        listing.close()


def kill_child_of(server: int, horse: int, others: set[int]) -> bool:
    """Kill a horse and orphans in place of their fork server, which hangs; return whether they have ended. False where it cannot be told.

    `others`: its other horses. It does not reap while it hangs, so the pids of its children are still theirs.
    """
    ended = platform.has_ended(horse)  # first: what is below a horse becomes a child of the server before the horse has ended
    living = [pid for pid in platform.children_of(server) - others if not (platform.has_ended(pid) or leftovers.is_server(pid))]
    for pid in living:
        _kill(pid)
    return ended and not living


def kill_groups(leaders: Iterable[int]) -> None:
    """Kill the groups of horses whose fork server cannot."""
    for pid in leaders:
        try:
            os.killpg(pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            continue


def reaped(pid: int, limit: float) -> int | None:
    """Collect a child of this process that has ended or is about to; return its exit code, or None if it has not ended within `limit` seconds."""
    deadline = time.monotonic() + limit
    try:
        while (found := os.waitpid(pid, os.WNOHANG)) == (0, 0):
            if time.monotonic() > deadline:
                return None
            select.select((), (), (), _REAP_STEP)  # not `time.sleep`, which programs and their tests replace
    except ChildProcessError:
        return 0  # another part of this process has waited for all children already
    return os.waitstatus_to_exitcode(found[1])


SPARED: Final[set[int]] = set()
"""Children of this process that it has started for a while, and that are no orphans."""


def reap_orphans(keep: set[int]) -> None:
    """Reap the children of this process, except those to keep, that have ended: of what it starts for a while, something may be left."""
    for pid in own_children() - keep - SPARED:
        if platform.has_ended(pid):
            reaped(pid, 0.0)


def kill_orphans(keep: set[int]) -> None:
    """Kill every child of this process except those to keep, and the orphans that it then adopts, until none is left."""
    listing = platform.ChildList()
    deadline = time.monotonic() + _SWEEP_LIMIT
    try:
        while time.monotonic() < deadline:
            unknown = {pid for pid in listing.pids() - keep - SPARED if not leftovers.is_server(pid)}
            if not unknown:
                break
            for pid in unknown:
                _kill(pid)
            for pid in unknown:
                try:
                    os.waitpid(pid, os.WNOHANG)
                except ChildProcessError:
                    continue
            time.sleep(0.001)
    finally:
        listing.close()


def _kill(pid: int) -> None:
    """Kill a process that is not reaped yet, and its children if it does not die: one that traces it can keep it in its exit."""
    _signal_group(pid, _SIGKILL)
    if platform.is_stopped(pid):
        for child in platform.children_of(pid):
            _signal_group(child, _SIGKILL)


def _signal_group(pid: int, number: int) -> None:
    """Signal the group that `pid` leads, and `pid` itself if it does not lead one (yet)."""
    try:
        os.killpg(pid, number)
    except (ProcessLookupError, PermissionError):
        try:
            os.kill(pid, number)
        except (ProcessLookupError, PermissionError):
            pass  # it has ended, or runs with other rights: nothing can be done
