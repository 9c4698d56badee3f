"""The supervisor's end of a fork server: keep lanes with horses that wait, pass on signals and ends.

Where a fork server comes from is the only difference between `flowq worker` (a lean interpreter started by exec) and
`Worker.work()` in a user's process (a clone of the caller, so that its imports, paths and patches are there).
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from flowq.worker.fork_server.children import kill_child_of, kill_groups, reaped
from flowq.worker.fork_server.preload import unchanged
from flowq.worker.ipc import channel as ipc
from flowq.worker.ipc.channel import Channel, PeerGoneError, ProtocolError
from flowq.worker.ipc.platform import describe
from flowq.worker.supervisor.event_loop import Loop
from flowq.worker.supervisor.fork_servers.key import ForkServerKey
from flowq.worker.supervisor.fork_servers.lane import Lane
from flowq.worker.supervisor.fork_servers.starting import start_clone, start_interpreter

_START_LIMIT: Final = 60.0  # s a fork server may take to give its first horse: it imports what is preloaded before
_FORK_LIMIT: Final = 10.0  # s it may take for each later one
_CLOSE_LIMIT: Final = 0.5  # s a fork server may take to end after its control channel; it kills and sweeps in that time
_SPARES: Final = 1  # lanes with a horse that waits for a task
_PIPED: Final = 8  # lanes that keep their pipes while no job is in them
_KEPT: Final = 16  # horses that have had jobs and wait for more
_MORE_SPARES: Final = 2  # as soon as a job has waited while the horse of the one before exited

Waiter = Callable[[Lane | None, str], None]
"""A callback that gets a lane with a horse, or None and the reason why there is none."""


class ForkServerClient:
    """One fork server. Never blocks; everything happens in callbacks of the loop.

    `threads`: of the program that it is a clone of, 0 for a fresh interpreter. `shared`: its jobs have different environments. `useless`: why its
    interpreter serves no job, "" for all others. `executor`: the name of the one that it drives, `start_timeout`: s a job may wait there, `away`: there was no place for the last one.
    """

    close_limit: float = _CLOSE_LIMIT
    shared: bool = False
    executor: str = ""
    away: bool = False
    start_timeout: float = 0.0

    def __init__(
        self,
        loop: Loop,
        control: Channel,
        pid: int,
        *,
        threads: int = 0,
        unproven: Callable[[int | None], str] | None = None,
        on_lost: Callable[[ForkServerClient], None] | None = None,
    ) -> None:
        self.pid = pid
        self.threads, self.useless = threads, ""
        self._unproven = unproven  # why it gave no horse: it has given none yet
        self.retired = False
        self._distrusted = False
        self._loop = loop
        self._control = control
        self._on_lost = on_lost
        self._numbers = self._returning = self._asked = 0  # asked: lanes without a horse
        self._spares = _SPARES
        self._lanes: dict[int, Lane] = {}  # by number, until there is no horse in it any more
        self._ready: deque[Lane] = deque()  # whose horse waits for a task
        self._kept: deque[tuple[str, Lane]] = deque()  # whose horse has had jobs of that group, and waits for another one
        self._waiters: deque[tuple[Waiter, str | None]] = deque()
        self._unsent: list[Channel] = []  # the other ends of lanes, until they are on their way
        self._tried: set[str] = set()
        self._stamps: dict[str, tuple[int, int]] = {}
        self.lost = self.begun = self.abandoned = False  # begun: it has answered once; abandoned: killed, as it did not answer
        loop.watch(control.fileno(), self._readable, self._writable)

    @classmethod
    def start(
        cls,
        loop: Loop,
        place: ForkServerKey,
        *,
        preload: Sequence[str] = (),
        warm_after: float = 0.0,
        on_lost: Callable[[ForkServerClient], None] | None = None,
    ) -> ForkServerClient:
        """Start a lean interpreter as a fork server.

        Raises:
            OSError: no process or no descriptor is left.
            UsageError: the flow names what is no program.
        """
        control, pid, unproven = start_interpreter(place, preload, warm_after)
        return cls(loop, control, pid, unproven=unproven, on_lost=on_lost)

    @classmethod
    def clone(
        cls, loop: Loop, *, warm_after: float = 0.0, on_lost: Callable[[ForkServerClient], None] | None = None
    ) -> ForkServerClient:
        """Fork the calling process as a fork server, with all that it has imported and patched."""
        return cls(loop, *start_clone(warm_after), threads=threading.active_count(), on_lost=on_lost)

    @property
    def limit(self) -> float:
        """The seconds that it may take from now on to give a horse."""
        return _FORK_LIMIT if self.begun else _START_LIMIT

    @property
    def busy(self) -> bool:
        """Whether horses that were given out are still there."""
        return len(self._lanes) - self._asked > len(self._ready) + len(self._kept)

    @property
    def _end(self) -> str:
        return self.useless or f"its fork server {'did not answer and was killed' if self.abandoned else 'has ended'}"

    def obtain(self, waiter: Waiter, group: str | None = None) -> None:
        """Give a lane with a horse to `waiter`: at once if one waits, else as soon as there is one. See `group_of`."""
        if self.lost:
            waiter(None, self._end)
            return
        self._signal_server(signal.SIGCONT)  # a job can have stopped its parent
        kept = None if group is None else next((item for item in reversed(self._kept) if item[0] == group), None)
        if kept is not None:
            self._kept.remove(kept)
            waiter(kept[1], "")
        elif self._ready:
            waiter(self._ready.popleft(), "")
        else:
            self._spares = _MORE_SPARES if self._returning else self._spares
            self._waiters.append((waiter, group))
        self._top_up(0 if self.retired else self._spares)

    def keep(self, lane: Lane, group: str) -> None:
        """Take back a lane whose horse waits for another task of the group."""
        if self.lost or self.retired or not lane.stay():
            lane.close()
            return
        waiting = next((item for item in self._waiters if item[1] == group), None)
        if waiting is not None:
            self._waiters.remove(waiting)
            waiting[0](lane, "")
            return
        self._kept.append((group, lane))
        while len(self._kept) > _KEPT:
            self._kept.popleft()[1].close()

    def expect(self, lane: Lane) -> None:
        """Count on a lane whose horse should exit soon."""
        lane.returning = True
        self._returning += 1

    def give_up(self, lane: Lane) -> None:
        """Do not count on a lane any more: its horse takes too long to exit."""
        if lane.returning:
            lane.returning = False
            self._returning -= 1
            self._top_up(0)

    def withdraw(self, waiter: Waiter) -> None:
        """Give no horse to `waiter`, which still waits for one."""
        self._waiters.remove(next(item for item in self._waiters if item[0] == waiter))

    def signal(self, lane: Lane, number: int) -> None:
        """Send a signal to the process group of a lane's horse, unless the horse has ended."""
        if lane.number in self._lanes and not self.lost:
            self._send((ipc.KILL, lane.number, int(number)))

    @property
    def hangs(self) -> bool:
        """Whether it has not read what it was sent, which takes it no time unless it hangs or is stopped."""
        return self._control.unread

    def kill_for(self, lane: Lane) -> bool:
        """Kill a lane's horse in place of this server, which hangs; return whether the horse and all that it left have ended."""
        return kill_child_of(self.pid, lane.pid, {other.pid for other in self._lanes.values() if other is not lane})

    def renew(self, seconds: float, patience: float = 0.0) -> None:
        """Let the horses live for `seconds` more, whatever happens to this supervisor, and for `patience` more unless it is stopped."""
        for lane in tuple(self._lanes.values()):
            lane.look()
        self._send((ipc.LEASE, float(seconds), float(patience)))

    def warm(self, module: str) -> None:
        """Ask the server to hold a module imported, if that does no harm. Asked once; the server may refuse."""
        if module not in self._tried:
            self._tried.add(module)
            self._send((ipc.WARM, module))

    def fresh(self) -> bool:
        """Return whether new jobs may be given to it: the source of every module that is warm is still what was imported."""
        return not self._distrusted and unchanged(self._stamps)

    def distrust(self) -> None:
        """Record that its horses do not begin, so that the next job gets another server."""
        self._distrusted = True

    def abandon(self) -> None:
        """Kill a server that does not answer, and tell its end like any other."""
        if not self.lost:
            self.abandoned = True
            self._signal_server(signal.SIGKILL)
            self._fail()

    def retire(self) -> None:
        """Take no new jobs, and end when the last horse has."""
        self.retired = True
        self._drop_ready()
        self._end_if_done()

    def close(self) -> None:
        """End the server now, with all its horses. Their `on_exit` is not called any more."""
        if not self.lost:
            self.hang_up()
            self.await_end(time.monotonic() + self.close_limit)

    def hang_up(self) -> None:
        """Close the control channel: the server kills its horses and ends. `await_end` must follow."""
        self.lost = True
        self._loop.forget(self._control.fileno())
        self._control.close()
        self._close_lanes(self._lanes.values())
        self._signal_server(signal.SIGCONT)

    def await_end(self, by: float) -> None:
        """Collect a server after `hang_up`; kill it, with its horses, if it has not ended by this monotonic time."""
        lanes, self._lanes = self._lanes, {}
        if reaped(self.pid, by - time.monotonic()) is None:
            self._signal_server(signal.SIGKILL)
            kill_groups(lane.pid for lane in lanes.values() if lane.pid)
            reaped(self.pid, _CLOSE_LIMIT)

    # -- from the server ---------------------------------------------------------------------------------------------------

    def _lose(self, lane: Lane) -> None:
        """Handle that a horse has ended together with the server."""
        lane.exited(None)

    def _readable(self) -> None:
        try:
            for message, _ in self._control.receive():
                self._take(message)
        except (PeerGoneError, ProtocolError):
            self._fail()

    def _take(self, message: tuple[object, ...]) -> None:
        match message:
            case (ipc.EXITED, int(number), int(code), int(successor), *usage):
                self._exited(self._lanes[number], code, successor, *usage)
            case (ipc.ENDED, int(number), int(code), str() | bytes() as written, str(left)):
                self._lanes[number].command_ended(code, written, left)
            case (ipc.READS, int(number), int(pid)):
                self._lanes[number].pid = pid
            case (ipc.HORSE, int(number), int(pid)):
                self._asked -= 1
                self._unproven, self.begun = None, True
                self._lanes[number].pid = pid
                self._offer(self._lanes[number])
            case (ipc.NO_FORK, int(number), str(why)):
                self._asked -= 1
                self._lanes.pop(number).close()
                self._refuse(why)
            case (ipc.FENCED, int(number)) if (lane := self._lanes.get(number)) is not None:
                lane.fenced = True
                self.forget(lane)
            case (ipc.WARMED, str(), dict(stamps)):
                self._stamps = stamps
                self._drop_ready()  # they were forked before and would have to import it once more
                self._top_up(0 if self.retired else self._spares)

    def _offer(self, lane: Lane) -> None:
        if self._waiters:
            self._waiters.popleft()[0](lane, "")
        elif self.retired:
            lane.close()
        else:
            self._ready.append(lane)
            if len(self._ready) > _PIPED:
                lane.drop_pipes()

    def _refuse(self, why: str) -> None:
        self._distrusted = self.threads > 0  # a copy of a program keeps what that had open: a new one may have more room
        if self._waiters:
            self._waiters.popleft()[0](None, why)

    def _exited(self, lane: Lane, code: int, successor: int, usage: object = None) -> None:
        lane.exited(code, usage)
        if lane.returning:
            lane.returning = False
            self._returning -= 1
        if successor and lane.next(successor) and not self.retired:
            self._offer(lane)
            return
        self.forget(lane)
        lane.close()
        if not successor:
            del self._lanes[lane.number]
        self._top_up(0)
        self._end_if_done()

    def forget(self, lane: Lane) -> None:
        """Give the lane to no job: its horse is killed while it waits, or was, out of memory or by a user."""
        if lane in self._ready:
            self._ready.remove(lane)
        for item in tuple(self._kept):
            if item[1] is lane:
                self._kept.remove(item)

    def _fail(self) -> None:
        """Handle the server's end. Its children die by their parent-death signal; make sure of it."""
        self.lost = True
        self._loop.forget(self._control.fileno())
        self._control.close()
        lanes, self._lanes = self._lanes, {}
        self._ready.clear()
        self._kept.clear()
        kill_groups(lane.pid for lane in lanes.values() if lane.pid)
        code = reaped(self.pid, _CLOSE_LIMIT)
        if self._unproven and not self.abandoned:
            self.useless = self._unproven(code)
        for lane in lanes.values():
            self._lose(lane)
        self._close_lanes(lanes.values())
        waiters, self._waiters = self._waiters, deque()
        for waiter, _ in waiters:
            waiter(None, self._end)
        if self._on_lost is not None:
            self._on_lost(self)

    # -- to the server -----------------------------------------------------------------------------------------------------

    def _top_up(self, spares: int) -> None:
        """Make lanes for those that wait, and so many more."""
        for _ in range(len(self._waiters) + spares - len(self._ready) - self._asked - self._returning):
            try:
                self._open_lane()
            except OSError as error:
                self._refuse(describe(error))

    def _open_lane(self) -> None:
        ours, theirs = Channel.pair()
        self._numbers += 1
        self._lanes[self._numbers] = Lane(self._loop, self, self._numbers, ours)
        self._asked += 1
        self._unsent.append(theirs)
        self._send((ipc.LANE, self._numbers), (theirs.fileno(),))

    def _send(self, message: tuple[object, ...], fds: Sequence[int] = ()) -> None:
        if self.lost:
            return
        try:
            self._control.send(message, fds)
        except PeerGoneError:
            return  # the loop sees the end of the channel and settles everything in one place
        self._signal_server(signal.SIGCONT)  # a job can have stopped its parent
        if self._control.sending:
            self._loop.wants_write(self._control.fileno(), True)
        else:
            self._all_sent()

    def _all_sent(self) -> None:
        while self._unsent:
            self._unsent.pop().close()

    def _signal_server(self, number: int) -> None:
        try:
            os.kill(self.pid, number)
        except ProcessLookupError:
            pass  # another part of this process has waited for all children

    def _writable(self) -> None:
        try:
            written = self._control.flush()
        except PeerGoneError:
            written = True
        if written:
            self._loop.wants_write(self._control.fileno(), False)
            self._all_sent()

    def _drop_ready(self) -> None:
        self._close_lanes((*self._ready, *(lane for _, lane in self._kept)))
        self._ready.clear()
        self._kept.clear()

    def _close_lanes(self, lanes: Iterable[Lane]) -> None:
        for lane in lanes:
            lane.close()
        if self.lost:
            self._all_sent()

    def _end_if_done(self) -> None:
        if self.retired and len(self._lanes) == self._asked and not self._waiters and not self.lost:
            self.close()
