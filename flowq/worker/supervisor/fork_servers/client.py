"""The supervisor's end of a fork server: ask for horses, keep one spare, pass on signals and ends.

Where a fork server comes from is the only difference between `flowq worker` (a lean interpreter started by exec) and
`Worker.work()` in a user's process (a clone of the caller, so that its imports, paths and patches are there).
"""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

from flowq.worker.fork_server import server
from flowq.worker.fork_server.children import kill_child_of, kill_groups, reaped
from flowq.worker.fork_server.preload import unchanged
from flowq.worker.ipc import channel as ipc
from flowq.worker.ipc.channel import Channel, PeerGoneError, ProtocolError
from flowq.worker.ipc.platform import PACKAGE, PRIVATE, describe
from flowq.worker.supervisor.event_loop import Loop
from flowq.worker.supervisor.fork_servers.interpreters import describe_end, program_of
from flowq.worker.supervisor.fork_servers.key import ForkServerKey

_START_LIMIT: Final = 60.0  # s a fork server may take to give its first horse: it imports what is preloaded before
_FORK_LIMIT: Final = 10.0  # s it may take for each later one
CLOSE_LIMIT: Final = 0.5  # s a fork server may take to end after its control channel; it kills and sweeps in that time
_SPARES: Final = 1  # horses forked ahead
_ROOT = os.path.dirname(PACKAGE)


class Horse:
    """A horse as the supervisor sees it. `on_exit` is called once, with its exit code, or None if it is unknown.

    `fenced`: its fork server has killed it, because no lease was renewed in time.
    """

    __slots__ = ("channel", "fenced", "fork_server", "number", "on_exit", "pid", "usage")

    def __init__(self, fork_server: ForkServerClient, number: int, pid: int, channel: Channel) -> None:
        self.fork_server = fork_server
        self.number = number
        self.pid = pid
        self.channel = channel
        self.on_exit: Callable[[int | None], None] | None = None
        self.fenced = False
        self.usage: tuple[float, ...] | None = None

    def signal(self, number: int) -> None:
        """Send a signal to the horse's process group."""
        self.fork_server.signal(self, number)


Waiter = Callable[[Horse | None, str], None]
"""A callback that gets a horse, or None and the reason why there is none."""


class ForkServerClient:
    """One fork server. Never blocks; everything happens in callbacks of the loop.

    `threads`: how many the program had that it is a clone of, 0 for a fresh interpreter. `useless`: why it can serve no job, for one in an
    interpreter that does not start; "" for all others.
    """

    def __init__(
        self,
        loop: Loop,
        control: Channel,
        pid: int,
        *,
        threads: int = 0,
        unproven: ForkServerKey | None = None,
        on_lost: Callable[[ForkServerClient], None] | None = None,
    ) -> None:
        self.pid = pid
        self.threads = threads
        self.useless = ""
        self._unproven = unproven  # it has forked no horse yet, and may be unable to
        self.retired = False
        self._distrusted = False
        self._loop = loop
        self._control = control
        self._on_lost = on_lost
        self._numbers = 0
        self._asked = 0  # forks asked for and not answered yet
        self._spares: deque[Horse] = deque()
        self._waiters: deque[Waiter] = deque()
        self._horses: dict[int, Horse] = {}
        self._tried: set[str] = set()
        self._stamps: dict[str, tuple[int, int]] = {}
        self.lost = False
        self.begun = False  # it has answered once
        self.abandoned = False  # it was killed because it did not answer
        loop.watch(control.fileno(), self._readable, self._writable)

    @classmethod
    def start(
        cls,
        loop: Loop,
        place: ForkServerKey,
        *,
        preload: Sequence[str] = (),
        on_lost: Callable[[ForkServerClient], None] | None = None,
    ) -> ForkServerClient:
        """Start a lean interpreter as a fork server.

        Raises:
            OSError: no process or no descriptor is left.
        """
        ours, theirs = Channel.pair()
        try:
            process = subprocess.Popen(
                [*program_of(place), str(theirs.fileno()), _ROOT],
                pass_fds=(theirs.fileno(),),
                cwd=place.cwd if place.cwd and os.path.isdir(place.cwd) else None,  # if not, the horse will say so
                env=_inherited(place) | dict(place.env),
                stdin=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl+C in the terminal is for the supervisor
            )
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        with suppress(PeerGoneError):  # an interpreter that ends at once; the loop will see that
            ours.send({"path": list(place.path), "preload": _as_for_rq(preload)})
        pid = process.pid
        process.returncode = 0  # this module reaps it; the Popen object must not
        return cls(loop, ours, pid, unproven=place if place.python or place.bundle else None, on_lost=on_lost)

    @classmethod
    def clone(cls, loop: Loop, *, on_lost: Callable[[ForkServerClient], None] | None = None) -> ForkServerClient:
        """Fork the calling process as a fork server, with all that it has imported and patched."""
        ours, theirs = Channel.pair()
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()  # or the horses would write the buffered text once more
        pid = os.fork()
        if pid == 0:
            try:
                ours.close()
                os.setsid()
                signal.set_wakeup_fd(-1)
                server.serve(theirs)
            finally:
                os._exit(1)
        theirs.close()
        return cls(loop, ours, pid, threads=threading.active_count(), on_lost=on_lost)

    @property
    def limit(self) -> float:
        """The seconds that it may take from now on to give a horse."""
        return _FORK_LIMIT if self.begun else _START_LIMIT

    @property
    def busy(self) -> bool:
        """Whether horses that were given out are still there."""
        return len(self._horses) > len(self._spares)

    @property
    def _end(self) -> str:
        text = "its fork server did not answer and was killed" if self.abandoned else "its fork server has ended"
        return self.useless or text

    def obtain(self, waiter: Waiter) -> None:
        """Give a horse to `waiter`, the spare one at once, else as soon as it is forked."""
        if self.lost:
            waiter(None, self._end)
            return
        if self._spares:
            horse = self._spares.popleft()
            waiter(horse, "")
        else:
            self._waiters.append(waiter)
        self._top_up()

    def withdraw(self, waiter: Waiter) -> None:
        """Give no horse to `waiter`, which still waits for one."""
        self._waiters.remove(waiter)

    def signal(self, horse: Horse, number: int) -> None:
        """Send a signal to a horse's process group, unless the horse has ended."""
        if horse.number in self._horses and not self.lost:
            self._send((ipc.KILL, horse.number, int(number)))

    @property
    def hangs(self) -> bool:
        """Whether it has not read what it was sent, which takes it no time unless it hangs or is stopped."""
        return self._control.unread

    def kill_for(self, horse: Horse) -> bool:
        """Kill a horse in place of this server, which hangs; return whether the horse and all that it left have ended."""
        return kill_child_of(self.pid, horse.pid, {other.pid for other in self._horses.values() if other is not horse})

    def renew(self, seconds: float, patience: float = 0.0) -> None:
        """Let the horses live for `seconds` more, whatever happens to this supervisor, and for `patience` more unless it is stopped."""
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
        self._drop_spares()
        self._end_if_done()

    def close(self) -> None:
        """End the server now, with all its horses. Their `on_exit` is not called any more."""
        if not self.lost:
            self.hang_up()
            self.await_end(time.monotonic() + CLOSE_LIMIT)

    def hang_up(self) -> None:
        """Close the control channel: the server kills its horses and ends. `await_end` must follow."""
        self.lost = True
        self._loop.forget(self._control.fileno())
        self._control.close()
        for horse in self._horses.values():
            self._release(horse)
        self._signal_server(signal.SIGCONT)

    def await_end(self, by: float) -> None:
        """Collect a server after `hang_up`; kill it, with its horses, if it has not ended by this monotonic time."""
        horses, self._horses = self._horses, {}
        if reaped(self.pid, by - time.monotonic()) is None:
            self._signal_server(signal.SIGKILL)
            kill_groups(horse.pid for horse in horses.values())
            reaped(self.pid, CLOSE_LIMIT)

    # -- from the server ---------------------------------------------------------------------------------------------------

    def _readable(self) -> None:
        try:
            for message, fds in self._control.receive():
                self._take(message, fds)
        except (PeerGoneError, ProtocolError):
            self._fail()

    def _take(self, message: tuple[object, ...], fds: list[int]) -> None:
        match message:
            case (ipc.HORSE, int(number), int(pid)):
                self._asked -= 1
                self._unproven = None
                self.begun = True
                if fds[0] == ipc.LOST:  # the horse sees that the other end is closed, and exits
                    self._refuse(describe(OSError(errno.EMFILE, "Too many open files")))
                    return
                self._horses[number] = horse = Horse(self, number, pid, Channel.adopt(fds[0]))
                if self._waiters:
                    self._waiters.popleft()(horse, "")
                    self._top_up()
                elif self.retired:
                    self._release(horse)
                else:
                    self._spares.append(horse)
            case (ipc.FENCED, int(number)):
                self._fenced(self._horses.get(number))
            case (ipc.EXITED, int(number), int(code), *usage):
                self._exited(self._horses.pop(number, None), code, *usage)
            case (ipc.NO_FORK, int(), str(why)):
                self._asked -= 1
                self._refuse(why)
            case (ipc.WARMED, str(), dict(stamps)):
                self._stamps = stamps
                self._drop_spares()  # they were forked before and would have to import it once more
                self._top_up()

    def _refuse(self, why: str) -> None:
        self._distrusted = self.threads > 0  # a copy of a program keeps what that had open: a new one may have more room
        if self._waiters:
            self._waiters.popleft()(None, why)

    def _fenced(self, horse: Horse | None) -> None:
        if horse is not None:
            horse.fenced = True
            if horse in self._spares:
                self._spares.remove(horse)

    def _exited(self, horse: Horse | None, code: int, usage: object = None) -> None:
        if horse is None:
            return
        if isinstance(usage, tuple):
            horse.usage = usage
        if horse in self._spares:  # killed while it waited: out of memory, or by a user
            self._spares.remove(horse)
        if horse.on_exit is not None:
            horse.on_exit(code)
        self._release(horse)
        self._end_if_done()

    def _fail(self) -> None:
        """Handle the server's end. Its children die by their parent-death signal; make sure of it."""
        self.lost = True
        self._loop.forget(self._control.fileno())
        self._control.close()
        horses, self._horses = self._horses, {}
        self._spares.clear()
        kill_groups(horse.pid for horse in horses.values())
        code = reaped(self.pid, CLOSE_LIMIT)
        if self._unproven and not self.abandoned:
            self.useless = describe_end(self._unproven, code)
        for horse in horses.values():
            if horse.on_exit is not None:
                horse.on_exit(None)
            self._release(horse)
        waiters, self._waiters = self._waiters, deque()
        for waiter in waiters:
            waiter(None, self._end)
        if self._on_lost is not None:
            self._on_lost(self)

    # -- to the server -----------------------------------------------------------------------------------------------------

    def _top_up(self) -> None:
        wanted = len(self._waiters) + (0 if self.retired else _SPARES) - len(self._spares)
        while self._asked < wanted:
            self._asked += 1
            self._numbers += 1
            self._send((ipc.FORK, self._numbers))

    def _send(self, message: tuple[object, ...]) -> None:
        if self.lost:
            return
        try:
            self._control.send(message)
        except PeerGoneError:
            return  # the loop sees the end of the channel and settles everything in one place
        self._signal_server(signal.SIGCONT)  # a job can have stopped its parent
        if self._control.sending:
            self._loop.wants_write(self._control.fileno(), True)

    def _signal_server(self, number: int) -> None:
        try:
            os.kill(self.pid, number)
        except ProcessLookupError:
            pass  # another part of this process has waited for all children

    def _writable(self) -> None:
        try:
            if self._control.flush():
                self._loop.wants_write(self._control.fileno(), False)
        except PeerGoneError:
            self._loop.wants_write(self._control.fileno(), False)

    def _drop_spares(self) -> None:
        while self._spares:
            self._release(self._spares.popleft())

    def _release(self, horse: Horse) -> None:
        """Close our end of a horse's channel; a spare that waits for a task exits then."""
        self._loop.forget(horse.channel.fileno())
        horse.channel.close()

    def _end_if_done(self) -> None:
        if self.retired and not self._horses and not self._waiters and not self.lost:
            self.close()


def _as_for_rq(preload: Sequence[str]) -> list[str]:
    """Return the modules to import, with those that let `import rq` give flowq where the environment asks for that.

    They are a layer above, so this is by their names. `rq` itself comes last: instrumentations patch it when it is imported.
    """
    return ["flowq.compat.auto", *preload, "rq"] if os.environ.get("FLOWQ_COMPAT") == "rq" else list(preload)


def _inherited(place: ForkServerKey) -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name not in PRIVATE and name not in place.withheld}
