"""The supervisor's end of a fork server: ask for horses, keep one spare, pass on signals and ends.

Where a fork server comes from is the only difference between `flowq worker` (a lean interpreter started by exec) and
`Worker.work()` in a user's process (a clone of the caller, so that its imports, paths and patches are there).
"""

from __future__ import annotations

import errno
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from flowq.worker.fork_server import server
from flowq.worker.fork_server.preload import unchanged
from flowq.worker.ipc import channel as ipc
from flowq.worker.ipc.channel import Channel, PeerGoneError, ProtocolError
from flowq.worker.ipc.platform import PACKAGE, PRIVATE, describe
from flowq.worker.supervisor.event_loop import Loop

_CLOSE_LIMIT = 0.5  # s a fork server may take to end after its control channel; it kills and sweeps in that time
_REAP_STEP = 0.002  # s between looks at a fork server that is about to end
_ROOT = os.path.dirname(PACKAGE)
# The package is found wherever this one was found; afterwards the path is what the interpreter has by itself.
_BOOT = (
    "import sys; sys.path.insert(0, sys.argv[2]);"
    " from flowq.worker.fork_server import server; sys.path.remove(sys.argv[2]); server.main()"
)


@dataclass(frozen=True, slots=True)
class ForkServerKey:
    """The key of a fork server: horses of one directory, import path and environment can share imported modules.

    A `shared` one is for jobs with different environments: each sets its own in its horse, so that nothing may be kept imported there
    that could have read another one. `withheld` variables are not inherited from this process.
    """

    cwd: str | None = None
    path: tuple[str, ...] = ()
    env: tuple[tuple[str, str], ...] = ()
    shared: bool = False
    withheld: tuple[str, ...] = ()


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

    `threads`: how many the program had that it is a clone of, 0 for a fresh interpreter.
    """

    def __init__(
        self,
        loop: Loop,
        control: Channel,
        pid: int,
        *,
        threads: int = 0,
        spares: int = 1,
        on_lost: Callable[[ForkServerClient], None] | None = None,
    ) -> None:
        self.pid = pid
        self.threads = threads
        self.retired = False
        self._distrusted = False
        self._loop = loop
        self._control = control
        self._spares_wanted = spares
        self._on_lost = on_lost
        self._numbers = 0
        self._asked = 0  # forks asked for and not answered yet
        self._spares: deque[Horse] = deque()
        self._waiters: deque[Waiter] = deque()
        self._horses: dict[int, Horse] = {}
        self._tried: set[str] = set()
        self._stamps: dict[str, tuple[int, int]] = {}
        self.lost = False
        self._unanswered = False  # it was killed because it did not answer
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
                [sys.executable, "-P", "-c", _BOOT, str(theirs.fileno()), _ROOT],
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
        ours.send({"path": list(place.path), "preload": [*_compatibility(), *preload]})
        pid = process.pid
        process.returncode = 0  # this module reaps it; the Popen object must not
        return cls(loop, ours, pid, on_lost=on_lost)

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
    def _end(self) -> str:
        return "its fork server did not answer and was killed" if self._unanswered else "its fork server has ended"

    @property
    def busy(self) -> bool:
        """Whether horses that were given out are still there."""
        return len(self._horses) > len(self._spares)

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

    def signal(self, horse: Horse, number: int) -> None:
        """Send a signal to a horse's process group, unless the horse has ended."""
        if horse.number in self._horses and not self.lost:
            self._send((ipc.KILL, horse.number, int(number)))

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
        """Kill a server that does not answer. Its end is noticed and told like any other."""
        if not self.lost:
            self._unanswered = True
            os.kill(self.pid, signal.SIGKILL)

    def retire(self) -> None:
        """Take no new jobs, and end when the last horse has."""
        self.retired = True
        self._drop_spares()
        self._end_if_done()

    def close(self) -> None:
        """End the server now, with all its horses. Their `on_exit` is not called any more."""
        if self.lost:
            return
        self._loop.forget(self._control.fileno())
        self._control.close()
        for horse in self._horses.values():
            self._release(horse)
        horses, self._horses = self._horses, {}
        self.lost = True
        if not _reaped(self.pid, _CLOSE_LIMIT):
            os.kill(self.pid, signal.SIGKILL)
            _kill_groups(horses)
            _reaped(self.pid, _CLOSE_LIMIT)

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
        _kill_groups(horses)
        _reaped(self.pid, _CLOSE_LIMIT)
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
        wanted = len(self._waiters) + (0 if self.retired else self._spares_wanted) - len(self._spares)
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
        if self._control.sending:
            self._loop.wants_write(self._control.fileno(), True)

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


def _compatibility() -> list[str]:
    """Return the module that lets `import rq` give flowq where the environment asks for that; a layer above, so by its name."""
    return ["flowq.compat.auto"] if os.environ.get("FLOWQ_COMPAT") == "rq" else []


def _inherited(place: ForkServerKey) -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name not in PRIVATE and name not in place.withheld}


def _kill_groups(horses: dict[int, Horse]) -> None:
    """Kill horses whose fork server does not; each is the leader of a group of its own."""
    for horse in horses.values():
        try:
            os.killpg(horse.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            continue


def _reaped(pid: int, limit: float) -> bool:
    """Collect a fork server that has ended or is about to; return False if it has not ended within `limit` seconds."""
    deadline = time.monotonic() + limit
    try:
        while os.waitpid(pid, os.WNOHANG) == (0, 0):
            if time.monotonic() > deadline:
                return False
            select.select((), (), (), _REAP_STEP)  # not `time.sleep`, which programs and their tests replace
    except ChildProcessError:
        pass  # another part of this process has waited for all children already
    return True
