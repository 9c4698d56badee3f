"""The fork server: forks horses into lanes, reaps them, and takes everything down when its supervisor is gone.

It is started by exec (`flowq.worker.supervisor.fork_servers.client` says how: a lean interpreter) or as a clone of the process that called `Worker.work()`;
the loop is the same. It is single-threaded, holds no connection and runs no user code except modules that a probe has shown to
be harmless (`preload`).
"""

from __future__ import annotations

import errno
import gc
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
from flowq.worker.fork_server.succession import DONE, OTHER, Succession
from flowq.worker.horse import horse, shell
from flowq.worker.horse.own_process import OwnProcess
from flowq.worker.ipc import channel as ipc
from flowq.worker.ipc import platform
from flowq.worker.ipc.channel import Channel, PeerGoneError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

STARTED = "\0"
"""What an interpreter that a flow names writes to standard error once it has shown that it is one."""

_IDLE = -1
_SWEEP_STEP = 5  # ms between looks at leftovers that are being killed
_ROOM = 3  # descriptors that are not for lanes: what commands have written is read, and their files are removed


class ForkServer:
    """One fork server, from its first request to the end of its control channel. `warm_after`: as of `Entrance`."""

    def __init__(self, control: Channel, user_code: at_fork.UserCode, warm_after: float) -> None:
        self._control = control
        self._user_code = user_code
        self._lanes = Lanes()
        self._children = Children(self._lanes.files)
        self._preloader = ModulePreloader()
        self._fence = Fence()
        self._scratch = ScratchDirectory()
        self._ends = platform.ChildEnds()
        self._succession = Succession(control, self._children, self._lanes, self._scratch, self._ends, user_code=user_code)
        self._warm_after = warm_after

    def serve(self) -> None:
        """Serve until the control channel ends; then kill all that is left."""
        # The supervisor decides when this ends, by the control channel. Blocked, not ignored: a horse inherits it, and a signal that
        # is meant for a horse in its first moments then waits until the horse can be ended by it, instead of being lost.
        signal.pthread_sigmask(signal.SIG_BLOCK, platform.STOP_SIGNALS)
        platform.become_subreaper()
        platform.give_way()
        horse.prepare()
        rehearsal.settle()
        self._succession.rehearsed(rehearsal.sample(), self._warm_after)
        try:
            self._receive()  # before the first poll: requests may have come together with the greeting, and are buffered here then
            self._loop()
        except PeerGoneError:
            pass
        finally:
            self._children.kill_all()
            self._scratch.remove()

    def _loop(self) -> None:
        poller = select.poll()
        poller.register(self._control.fileno(), select.POLLIN)
        ends = self._ends.fd
        poller.register(ends, select.POLLIN)
        follow = self._succession.follow
        while True:
            patience = self._patience()
            ready = poller.poll(patience)
            for fd, _ in ready:
                if fd == ends:
                    os.read(fd, 4096)
                else:
                    self._receive()
            while (found := follow()) == DONE:
                pass
            if found == OTHER:
                self._report_ends()
            if not (ready and patience):
                self._check_clocks()

    def _receive(self) -> None:
        received = self._control.receive()
        for _, fds in received:  # before the first fork: a horse closes the streams of all lanes but its own
            self._lanes.streams.extend(fd for fd in fds if fd != ipc.LOST)
        for message, fds in received:
            self._obey(message, fds)

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
        if stream == ipc.LOST or not _has_room():
            self._lanes.drop(stream)
            self._control.tell((ipc.NO_FORK, number, platform.describe(OSError(errno.EMFILE, "Too many open files"))))
            return
        self._lanes.open(number, stream)
        try:
            pid = self._succession.fork(number)
        except OSError as error:
            self._lanes.close(number)
            self._control.tell((ipc.NO_FORK, number, platform.describe(error)))
        else:
            self._control.tell((ipc.HORSE, number, pid))

    def _become_child(self) -> None:
        """Close everything of the server's in a fresh child that is no horse."""
        at_fork.restore()
        for fd in self._succession.descriptors():
            os.close(fd)
        self._ends.leave()
        self._control.close()

    def _warm(self, module: str) -> None:
        with self._user_code:
            pid = self._preloader.probe(module, self._become_child)
        if pid is not None:
            self._children.add(pid)

    def _report_ends(self) -> None:
        ends, swept = self._children.reap()
        for pid, code, usage in ends:
            self._report(pid, code, usage, swept, self._children.left(pid))

    def _report(self, pid: int, code: int, usage: tuple[float, ...] | None, swept: bool, left: str) -> None:
        """Report the end of a horse; the next one is in its lane by then, if this one has ended well and has left nothing.

        One with files has become a command, or was killed beside one.
        """
        number = self._lanes.left(pid)
        if number is None:
            self._probed(pid, code)
            return
        scratch = self._lanes.scratch(number)
        has_files = os.access(scratch, os.F_OK)
        if has_files:
            written = shell.collect(scratch)
            remove_tree(scratch)
            if swept and code == 0 and self._succession.judge(number, written, left):
                return
            self._control.tell((ipc.ENDED, number, code, written, left))
        successor = 0
        if swept and (code == 0 or has_files):
            try:
                successor = self._succession.fork(number)
            except OSError:
                successor = 0
        self._control.tell(
            (ipc.EXITED, number, code, successor) if usage is None else (ipc.EXITED, number, code, successor, usage)
        )
        if not successor:
            self._lanes.close(number)

    def _probed(self, pid: int, code: int) -> None:
        with self._user_code:
            answer = self._preloader.probed(pid, code)
        if answer is None:
            return
        if answer[0] == ipc.WARMED:
            rehearsal.set_apart()
            if not rehearsal.sample():  # what was imported has replaced how plain jobs are executed
                self._succession.rehearsed(b"", self._warm_after)
        self._control.tell(answer)
        if (module := self._preloader.waiting()) is not None:
            self._warm(module)

    def _check_clocks(self) -> None:
        now = platform.boottime()
        if self._fence.passed():
            for number, pid in tuple(self._lanes.horses.items()):
                self._control.tell((ipc.FENCED, number))
                self._children.signal(pid, signal.SIGKILL)
        if self._preloader.deadline is not None and now >= self._preloader.deadline and self._preloader.pid is not None:
            self._children.signal(self._preloader.pid, signal.SIGKILL)
            self._preloader.give_up()


def _has_room() -> bool:
    spare: list[int] = []
    try:
        while len(spare) < _ROOM:
            spare.append(os.dup(0))
    except OSError:
        return False
    finally:
        for fd in spare:
            os.close(fd)
    return True


def serve_clone(control: Channel, warm_after: float) -> NoReturn:
    """Turn this copy of a user's process into a fork server; it ends with the control channel."""
    user_code = at_fork.UserCode()
    user_code.hooks = at_fork.program_has_some()
    gc.freeze()  # a collection would copy all memory that the program shares with this, and call finalizers of its garbage a second time
    _serve(control, user_code, warm_after)


def _serve(control: Channel, user_code: at_fork.UserCode, warm_after: float) -> NoReturn:
    code = horse.BROKEN
    try:
        server = ForkServer(
            control, user_code, warm_after
        )  # kept to the end: Python warns of sockets that are given up unclosed
        server.serve()
        code = 0
    finally:
        os._exit(code)


def main() -> None:
    """Run as the program of an exec'd fork server; `sys.argv[1]` is the control descriptor. The first message is the greeting."""
    control = Channel.adopt(int(sys.argv[1]))
    for lock in sys.argv[3:]:  # of files that travelled: held until the end, and no business of programs that jobs start
        os.set_inheritable(int(lock), False)
    greeting, fds = control.wait()
    for fd in fds:  # where standard error goes: until now, it was for one who asks why there is no interpreter
        os.write(2, STARTED.encode())
        os.dup2(fd, 2)
        os.close(fd)
    for name in greeting["unset"]:
        os.environ.pop(name, None)  # for this process alone: it binds functions before its forks, not after each
    sys.path[:0] = greeting["path"]
    user_code = at_fork.UserCode()
    with user_code:
        for module in greeting["preload"]:
            _preload(module)
    _serve(control, user_code, greeting["warm_after"])


def _preload(module: str) -> None:
    try:
        with OwnProcess():
            __import__(module)
    except Exception as error:  # noqa: BLE001 - user code; the job that needs it will show the whole traceback
        sys.stderr.write(f"flowq: cannot preload {module}: {type(error).__name__}: {error}\n")
