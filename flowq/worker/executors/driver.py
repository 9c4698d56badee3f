"""The driver: the process that stands where a fork server stands, for a worker whose jobs are executed elsewhere.

`python -m flowq.worker.executors.driver FD`: the descriptor of the control channel; the first message is the greeting. It is single-threaded
but for what an engine starts. It ends with its control channel, and all nodes with it.
"""

from __future__ import annotations

import logging
import operator
import os
import signal
import sys
import time
from collections import deque
from typing import TYPE_CHECKING, Final

from flowq import __version__
from flowq.bundles.cache import BundleCache
from flowq.ids import nonce
from flowq.log_format import log_to_stderr
from flowq.worker.executor_settings import ExecutorSettings
from flowq.worker.executors import wire
from flowq.worker.executors.stand_in import Stage, StandIn
from flowq.worker.ipc import channel as ipc
from flowq.worker.ipc import platform
from flowq.worker.ipc.channel import Channel, PeerGoneError, ProtocolError
from flowq.worker.supervisor.event_loop import Loop

if TYPE_CHECKING:
    from collections.abc import Callable

    from flowq.worker.executors.engine import EngineOwner, ExecutorEngine, Post
    from flowq.worker.executors.wire import Message

_log = logging.getLogger("flowq.worker")
_TURN: Final = 0.5  # s between looks at the clock
_RENEWED: Final = 0.2  # of a lease: how often the driver renews it for a supervisor that is late
_PAUSED: Final = 3.0  # s between two turns after which this process itself did not run


class Driver:
    """The executions of one worker on one executor."""

    def __init__(self, control: Channel, make: Callable[[Loop, EngineOwner, Post], ExecutorEngine], cache: BundleCache) -> None:
        self._control = control
        self._cache = cache
        self._loop = Loop()
        self._posted: deque[Callable[[], None]] = deque()
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_write, False)
        self._lanes: dict[int, StandIn] = {}
        self._tokens: dict[str, StandIn] = {}
        self._lease = 0.0  # s; 0 before the first one
        self._leased_until = 0.0  # boot time: the horses of all nodes are killed then
        self._patient_until = 0.0  # boot time: the latest end of a lease that this process renews
        self._asked: dict[str, float] = {}  # monotonic time since which each node has not answered a LEASE
        self._engine = make(self._loop, self, self._post)

    def serve(self) -> None:
        """Serve until the control channel ends."""
        self._loop.watch(self._control.fileno(), self._obey_all, self._flush)
        self._loop.watch(self._wake_read, self._woken)
        looked = time.monotonic()
        try:
            self._obey_all()  # requests may have come together with the greeting
            while True:
                self._loop.turn(_TURN)
                now = time.monotonic()
                if now - looked > _PAUSED:
                    self._asked = dict.fromkeys(self._asked, now)  # it is not the nodes that were silent
                self._tick(now)
                looked = now
        except (PeerGoneError, ProtocolError):
            pass
        finally:
            self._engine.close()

    def _post(self, call: Callable[[], None]) -> None:
        self._posted.append(call)
        try:
            os.write(self._wake_write, b"\0")
        except BlockingIOError:
            pass  # it will wake up for those that are there

    def _woken(self) -> None:
        os.read(self._wake_read, 65536)
        while self._posted:
            self._posted.popleft()()

    # -- from the supervisor -----------------------------------------------------------------------------------------------

    def _obey_all(self) -> None:
        for message, fds in self._control.receive():
            self._obey(message, fds)

    def _obey(self, message: tuple[object, ...], fds: list[int]) -> None:
        match message:
            case (ipc.LANE, int(number)):
                self._open(number, fds[0])
            case (ipc.KILL, int(number), int(sign)):
                if (lane := self._lanes.get(number)) is not None:
                    self._kill(lane, sign)
            case (ipc.LEASE, float(seconds), float(patience)):
                self._lease = seconds
                self._patient_until = platform.boottime() + seconds + patience
                self._renew(seconds)

    def _open(self, number: int, stream: int) -> None:
        if stream == ipc.LOST:
            self._tell((ipc.NO_FORK, number, "the driver of the executor has too many open files"))
            return
        self._lanes[number] = StandIn(self._loop, number, Channel.adopt(stream), self)
        self._tell((ipc.HORSE, number, os.getpid()))

    def _kill(self, lane: StandIn, sign: int) -> None:
        if lane.stage is Stage.GRANTED:
            self._engine.send(lane.node, (wire.SIGNAL, lane.token, sign))
            lane.killed(sign)
        else:
            lane.drop(sign)

    # -- owner of the lanes ------------------------------------------------------------------------------------------------

    def wants(self, lane: StandIn) -> None:
        """Get the task of a lane started."""
        lane.token = nonce()
        self._tokens[lane.token] = lane
        self._engine.start(lane.token, lane.task.get("resources") or {})

    def took(self, lane: StandIn, size: int) -> None:
        """Tell the node that output was taken."""
        self._engine.send(lane.node, (wire.TAKEN, lane.token, size))

    def left(self, lane: StandIn, code: int, *, fenced: bool) -> None:
        """Report the end of an execution."""
        del self._lanes[lane.number]
        if self._tokens.pop(lane.token, None) is not None:
            if lane.node:
                self._engine.done(lane.token)
            else:
                self._engine.cancel(lane.token)
        if fenced:
            self._tell((ipc.FENCED, lane.number))
        self._tell((ipc.EXITED, lane.number, code, 0))

    # -- owner of the engine -----------------------------------------------------------------------------------------------

    def received(self, node: str, message: Message) -> None:
        """Handle a message of a node."""
        self._asked.pop(node, None)
        match message:
            case (wire.HELLO, str(version), str(host)):
                self._greet(node, version, host)
            case (wire.READY, str(token), str(number)):
                self._grant(node, token, number)
            case (wire.WANTED, str(name)):
                self._engine.send(node, (wire.BUNDLE, name, self._archive(name)))
            case (wire.ALIVE,):
                pass
            case (str(kind), str(token), *rest):
                lane = self._tokens.get(token)
                if lane is not None and lane.node == node:
                    self._pass_on(lane, kind, *rest)
                elif kind != wire.EXITED:
                    self._engine.send(node, (wire.SIGNAL, token, int(signal.SIGKILL)))  # it was given up

    def lost(self, node: str, why: str) -> None:
        """Fence what was granted to a node."""
        self._asked.pop(node, None)
        granted = [lane for lane in self._lanes.values() if lane.stage is Stage.GRANTED and lane.node == node]
        _log.warning(
            "executor: node %s is lost: %s; %d of its jobs are given to others when their leases are over",
            node,
            why,
            len(granted),
        )
        for lane in granted:
            lane.fence()

    def refused(self, token: str, why: str) -> None:
        """Let a job go back to its queue that will not be started."""
        lane = self._tokens.get(token)
        if lane is not None and lane.stage is Stage.ASKED:
            lane.hand_back(why)
            lane.exited()

    def _greet(self, node: str, version: str, host: str) -> None:
        if _minor(version) != _minor(__version__):
            self._engine.lose(
                node,
                f"it has flowq {version} on {host}, and this worker has {__version__}: install the same minor version there",
            )
            return
        _log.info("executor: node %s is there, on %s", node, host)
        self._engine.send(node, (wire.LEASE, max(0.0, self._leased_until - platform.boottime())))

    def _grant(self, node: str, token: str, number: str) -> None:
        lane = self._tokens.get(token)
        if lane is None or lane.stage is not Stage.ASKED:
            self._engine.send(node, (wire.REFUSE, token, number))
            return
        self._engine.send(node, (wire.GRANT, token, number, *lane.grant(node)))

    @staticmethod
    def _pass_on(lane: StandIn, kind: str, *rest: object) -> None:
        match (kind, *rest):
            case (wire.BEGUN,):
                lane.begun()
            case (wire.OUTPUT, int(stream), bytes(data)):
                lane.write(stream & 1, data)
            case (wire.OUTCOME, dict(outcome)):
                lane.outcome(outcome)
            case (wire.UNSTARTED, str(why)):
                lane.hand_back(why)
            case (wire.FENCED,):
                lane.fence()
            case (wire.EXITED,):
                lane.exited()

    def _archive(self, name: str) -> bytes | None:
        """Return a bundle: the supervisor has fetched it from the store before it gave a task that needs it."""
        try:
            with open(self._cache.archive(os.path.basename(name)), "rb") as file:
                return file.read()
        except OSError:
            return None

    # -- time --------------------------------------------------------------------------------------------------------------

    def _tick(self, now: float) -> None:
        for lane in [lane for lane in self._lanes.values() if lane.kill_by is not None and now >= lane.kill_by]:
            _log.warning("executor: node %s does not end a job that was killed: the job counts as lost", lane.node)
            lane.fence()
        self._stand_by()
        for node, asked in tuple(self._asked.items()):
            if now - asked > self._lease:
                self._engine.lose(node, f"it has not answered for {self._lease:g} s")
        self._engine.tick(now)

    def _stand_by(self) -> None:
        """Renew in place of a supervisor that runs but waits for its server, as its fork servers would bear with it (`fork_server.fence`)."""
        now = platform.boottime()
        if not self._lease or now < self._leased_until - self._lease * (1 - 2 * _RENEWED) or now >= self._patient_until:
            return
        if not platform.is_stopped(os.getppid()):
            self._renew(min(self._lease, self._patient_until - now))

    def _renew(self, seconds: float) -> None:
        self._leased_until = platform.boottime() + seconds
        for node in self._engine.nodes():
            self._asked.setdefault(node, time.monotonic())
            self._engine.send(node, (wire.LEASE, seconds))

    # -- to the supervisor -------------------------------------------------------------------------------------------------

    def _tell(self, message: tuple[object, ...]) -> None:
        self._control.send(message)
        if self._control.sending:
            self._loop.wants_write(self._control.fileno(), True)

    def _flush(self) -> None:
        if self._control.flush():
            self._loop.wants_write(self._control.fileno(), False)


def _minor(version: str) -> tuple[str, ...]:
    return tuple(version.split(".")[:2])


def _engine(settings: ExecutorSettings) -> Callable[[Loop, EngineOwner, Post], ExecutorEngine]:
    """Return what makes the engine. What it needs is imported here: the clients of clusters are large, and need not be there."""
    if settings.type == "pipe":
        from flowq.worker.executors.pipe import PipeEngine

        return lambda loop, owner, _post: PipeEngine(settings, loop, owner)
    from flowq.worker.executors.cluster import ClusterEngine

    if settings.type == "dask":
        from flowq.worker.executors.dask import DaskCluster

        return lambda _loop, owner, post: ClusterEngine(settings, owner, post, DaskCluster)
    from flowq.worker.executors.ray import RayCluster

    return lambda _loop, owner, post: ClusterEngine(settings, owner, post, RayCluster)


def main() -> None:
    """Run as the program of a driver; `sys.argv[1]` is the control descriptor."""
    for number in platform.STOP_SIGNALS:
        # The supervisor decides when this ends, by the control channel. A handler, because what is ignored would be so in commands too.
        signal.signal(number, operator.is_)
    control = Channel.adopt(int(sys.argv[1]))
    greeting, _ = control.wait()
    settings = ExecutorSettings(**greeting["executor"])
    log_to_stderr(*settings.log)
    try:
        Driver(control, _engine(settings), BundleCache(greeting["cache"])).serve()
    except BaseException:
        _log.exception("executor: the driver has failed")
        raise
    finally:
        os._exit(0)  # the client of a cluster may have threads that wait for what does not come any more


if __name__ == "__main__":
    main()
