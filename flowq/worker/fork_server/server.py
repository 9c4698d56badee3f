"""The fork server: forks horses into lanes, reaps them, and takes everything down when its supervisor is gone.

It is started by exec (`flowq.worker.supervisor.fork_servers.client` says how: a lean interpreter) or as a clone of the process that called `Worker.work()`;
the loop is the same. It is single-threaded, holds no connection and runs no user code except modules that a probe has shown to
be harmless (`preload`).
"""

from __future__ import annotations

import errno
import operator
import os
import select
import signal
import sys

from flowq.worker.fork_server import at_fork, rehearsal
from flowq.worker.fork_server.children import Children
from flowq.worker.fork_server.fence import Fence
from flowq.worker.fork_server.lanes import Lanes
from flowq.worker.fork_server.preload import ModulePreloader
from flowq.worker.fork_server.scratch import ScratchDirectory, remove_tree
from flowq.worker.horse import horse
from flowq.worker.horse.entry import Entrance
from flowq.worker.horse.own_process import OwnProcess
from flowq.worker.ipc import channel as ipc
from flowq.worker.ipc import platform
from flowq.worker.ipc.channel import Channel, PeerGoneError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

_IDLE = -1
_SWEEP_STEP = 5  # ms between looks at leftovers that are being killed


class _Tied:
    """Context manager for code of users in a fork server: an import, an at-fork hook. It may hang, and the server ends with its parent then."""

    __slots__ = ("_parent",)

    def __init__(self, parent: int) -> None:
        self._parent = parent

    def __enter__(self) -> None:
        platform.end_with_parent(True)
        if os.getppid() != self._parent:
            platform.end_with_parent(False)
            raise PeerGoneError

    def __exit__(self, *_: object) -> None:
        platform.end_with_parent(False)  # at any other time it sees the end of its control channel, and sweeps before it ends


class ForkServer:
    """One fork server, from its first request to the end of its control channel."""

    def __init__(self, control: Channel) -> None:
        self._control = control
        self._tied = _Tied(os.getppid())
        self._children = Children()
        self._lanes = Lanes()
        self._entrance = Entrance(control, at_fork.replaced)
        self._preloader = ModulePreloader()
        self._fence = Fence()
        self._scratch = ScratchDirectory()
        self._wake_read, self._wake_write = os.pipe()

    def serve(self) -> None:
        """Serve until the control channel ends; then kill all that is left."""
        self._take_over_signals()
        platform.become_subreaper()
        horse.prepare()
        rehearsal.settle()
        poller = select.poll()
        poller.register(self._control.fileno(), select.POLLIN)
        poller.register(self._wake_read, select.POLLIN)
        try:
            self._receive()  # before the first poll: requests may have come together with the greeting, and are buffered here then
            while True:
                patience = self._patience()
                ready = poller.poll(patience)
                for fd, _ in ready:
                    if fd == self._wake_read:
                        os.read(fd, 4096)
                    else:
                        self._receive()
                self._report_ends()
                if not (ready and patience):
                    self._check_clocks()
        except PeerGoneError:
            pass
        finally:
            self._children.kill_all()
            self._scratch.remove()

    def _receive(self) -> None:
        for message, fds in self._control.receive():
            self._obey(message, fds)

    def _take_over_signals(self) -> None:
        os.set_blocking(self._wake_write, False)
        signal.signal(
            signal.SIGCHLD, operator.is_
        )  # a function that does nothing: the byte in the wake-up pipe is what matters
        signal.set_wakeup_fd(self._wake_write, warn_on_full_buffer=False)
        # The supervisor decides when this ends, by the control channel. Blocked, not ignored: a horse inherits it, and a signal that
        # is meant for a horse in its first moments then waits until the horse can be ended by it, instead of being lost.
        signal.pthread_sigmask(signal.SIG_BLOCK, platform.STOP_SIGNALS)

    def _patience(self) -> int:
        """Return the milliseconds to wait for events; 0 if something is due by the clock."""
        due = self._fence.due
        probe = self._preloader.deadline
        if probe is not None and (due is None or probe < due):
            due = probe
        patience = _IDLE if due is None else max(0, int((due - platform.boottime()) * 1000) + 1)
        return _SWEEP_STEP if self._children.sweeping and not 0 <= patience < _SWEEP_STEP else patience

    def _obey(self, message: tuple[object, ...], fds: list[int]) -> None:
        match message:
            case (ipc.LANE, int(number)):
                self._open(number, fds[0])
            case (ipc.KILL, int(number), int(sign)):
                if (pid := self._lanes.horse(number)) is not None:
                    self._children.signal(pid, sign)
            case (ipc.LEASE, float(seconds), float(patience)):
                self._fence.renew(seconds, patience)
            case (ipc.WARM, str(module)):
                self._warm(module)

    def _open(self, number: int, stream: int) -> None:
        if stream == ipc.LOST:
            self._control.tell((ipc.NO_FORK, number, platform.describe(OSError(errno.EMFILE, "Too many open files"))))
            return
        self._lanes.open(number, stream)
        try:
            pid = self._fork(number)
        except OSError as error:
            self._lanes.close(number)
            self._control.tell((ipc.NO_FORK, number, platform.describe(error)))
        else:
            self._control.tell((ipc.HORSE, number, pid))

    def _fork(self, number: int) -> int:
        """Fork a horse into a lane and return its pid.

        Raises:
            OSError: the system has no process to spare.
        """
        self._scratch.ensure()
        lane = self._lanes.next_turn(number, self._scratch.path)
        closing = self._descriptors()
        me = os.getpid()
        with self._tied:
            pid = os.fork()
            if pid == 0:
                horse.live(self._entrance, lane, closing, me)
        self._children.add(pid)
        self._lanes.entered(number, pid)
        return pid

    def _descriptors(self) -> list[int]:
        """Return the descriptors that a child closes, but for the control channel."""
        own = (self._wake_read, self._wake_write, self._scratch.lock, self._children.listing)
        return [*self._lanes.streams, *(fd for fd in own if fd >= 0)]

    def _become_child(self) -> None:
        """Close everything of the server's in a fresh child that is no horse."""
        at_fork.restore()
        signal.set_wakeup_fd(-1)
        for fd in self._descriptors():
            os.close(fd)
        self._control.close()

    def _warm(self, module: str) -> None:
        with self._tied:
            pid = self._preloader.probe(module, self._become_child)
        if pid is not None:
            self._children.add(pid)

    def _report_ends(self) -> None:
        while (pid := self._children.reap_one_at_ease()) != 0:
            self._report(pid, 0, None, True)
        ends, swept = self._children.reap()
        for pid, code, usage in ends:
            self._report(pid, code, usage, swept)

    def _report(self, pid: int, code: int, usage: tuple[float, ...] | None, swept: bool) -> None:
        """Report the end of a horse; the next one is in its lane by then, if this one has ended well and has left nothing."""
        number = self._lanes.left(pid)
        if number is None:
            self._probed(pid, code)
            return
        scratch = self._lanes.scratch(number)
        if os.access(scratch, os.F_OK):
            remove_tree(scratch)
        successor = 0
        if code == 0 and swept:
            try:
                successor = self._fork(number)
            except OSError:
                successor = 0
        self._control.tell(
            (ipc.EXITED, number, code, successor) if usage is None else (ipc.EXITED, number, code, successor, usage)
        )
        if not successor:
            self._lanes.close(number)

    def _probed(self, pid: int, code: int) -> None:
        with self._tied:
            answer = self._preloader.probed(pid, code)
        if answer is None:
            return
        if answer[0] == ipc.WARMED:
            rehearsal.settle(again=True)
        self._control.tell(answer)
        if (module := self._preloader.waiting()) is not None:
            self._warm(module)

    def _check_clocks(self) -> None:
        now = platform.boottime()
        if self._fence.passed():
            for number, pid in self._lanes.horses():
                self._control.tell((ipc.FENCED, number))
                self._children.signal(pid, signal.SIGKILL)
        if self._preloader.deadline is not None and now >= self._preloader.deadline and self._preloader.pid is not None:
            self._children.signal(self._preloader.pid, signal.SIGKILL)
            self._preloader.give_up()


def serve(control: Channel) -> NoReturn:
    """Turn this process into a fork server; it ends with the control channel."""
    code = horse.BROKEN
    try:
        ForkServer(control).serve()
        code = 0
    finally:
        os._exit(code)


def main() -> None:
    """Run as the program of an exec'd fork server; `sys.argv[1]` is the control descriptor. The first message is the greeting."""
    control = Channel.adopt(int(sys.argv[1]))
    for lock in sys.argv[3:]:  # of files that travelled: held until the end, and no business of programs that jobs start
        os.set_inheritable(int(lock), False)
    greeting, _ = control.wait()
    sys.path[:0] = greeting["path"]
    with _Tied(os.getppid()):
        for module in greeting["preload"]:
            _preload(module)
    serve(control)


def _preload(module: str) -> None:
    try:
        with OwnProcess():
            __import__(module)
    except Exception as error:  # noqa: BLE001 - user code; the job that needs it will show the whole traceback
        sys.stderr.write(f"flowq: cannot preload {module}: {type(error).__name__}: {error}\n")
