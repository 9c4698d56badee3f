"""The engine of clusters: each job is a task there, which takes the place of the job in the cluster's own queue.

A cluster may repeat tasks whose machine has died, and keeps what it is given: so a task is only a token, and the driver grants each token once.
Messages go by calls to relays (`relay`), one on each machine of the cluster, past the queue. The client has a thread with an event loop of its own.
What differs from cluster to cluster is in a `Cluster`.
"""

from __future__ import annotations

import asyncio
import threading
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Protocol

from flowq.ids import nonce
from flowq.worker.executors import wire
from flowq.worker.executors.relay import GONE

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Coroutine

    from flowq.worker.executor_settings import ExecutorSettings
    from flowq.worker.executors.engine import EngineOwner, Post, Resources
    from flowq.worker.executors.wire import Message

_LOOK: Final = 0.5  # s between looks which machines the cluster has
_FIRST_PAUSE: Final = 1.0  # s before another attempt to connect
_LONGEST_PAUSE: Final = 60.0
_CLOSE: Final = 2.0  # s for the nodes to end when the driver does


class Cluster(Protocol):
    """A client of one cluster. It is used in one event loop, in which nothing may block. `driver` names the driver in the cluster."""

    async def connect(self) -> None:
        """Reach the cluster; again after it was lost.

        Raises:
            OSError: it cannot be reached. The text says why.
        """

    async def machines(self) -> Collection[str]:
        """Return the names of the machines, or places for nodes, that the cluster has now.

        Raises:
            OSError: the cluster is gone.
        """

    def submit(self, token: str, resources: Resources) -> Any:
        """Let the relay of some machine begin a token, when there is a place; return a handle of that task."""

    async def failure(self, task: Any) -> str:
        """Wait for the end of a task; return why the cluster could not execute it, "" if it did or was told to forget it."""

    def forget(self, task: Any, *, cancel: bool) -> Coroutine[Any, Any, None] | None:
        """Let the cluster forget a task; with `cancel` it is not begun, if that can be. Return what is left to be waited for."""

    async def pull(self, machine: str) -> list[Message]:
        """Return the messages of the node on a machine, as soon as there are some; any exception: it cannot be called."""

    async def push(self, machine: str, messages: list[Message]) -> None:
        """Give messages to the node on a machine; any exception: it cannot be called."""

    async def drop(self, machines: list[str]) -> None:
        """End the nodes on machines, as far as they can be reached."""

    async def leave(self) -> None:
        """Close the connection."""


class ClusterEngine:
    """Nodes in a cluster. A node has the name of its machine."""

    def __init__(
        self, settings: ExecutorSettings, owner: EngineOwner, post: Post, make: Callable[[ExecutorSettings, str], Cluster]
    ) -> None:
        self._settings = settings
        self._owner = owner
        self._post = post
        self._nodes: set[str] = set()  # that have greeted; of the driver's thread
        # what follows belongs to the event loop
        self._loop = asyncio.new_event_loop()
        self._cluster = make(settings, nonce())
        self._connected = False
        self._why = ""  # it is not connected; "" while the first attempt is made
        self._waiting: list[tuple[str, Resources]] = []
        self._asked: dict[str, Any] = {}  # tasks by token
        self._links: dict[str, _Link] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    # -- the interface of an engine, in the driver's thread ----------------------------------------------------------------

    def start(self, token: str, resources: Resources) -> None:
        """Submit a task for a token."""
        asked = {name: amount for name, amount in resources.items() if name not in self._settings.ignore}
        self._call(self._submit, token, asked)

    def send(self, node: str, message: Message) -> None:
        """Send a message to a node."""
        self._call(self._send, node, message)

    def nodes(self) -> list[str]:
        """Return the nodes that have greeted."""
        return list(self._nodes)

    def cancel(self, token: str) -> None:
        """Take a task back."""
        self._call(self._forget, token, True)

    def done(self, token: str) -> None:
        """Let the cluster forget a task; it could be repeated if its machine died while the result is held."""
        self._call(self._forget, token, False)

    def lose(self, node: str, why: str) -> None:
        """Give up a node."""
        self._call(self._drop, node)
        self._lost(node, why)

    def tick(self, now: float) -> None:
        """Do nothing: the event loop looks by itself."""

    def close(self) -> None:
        """End all nodes, and leave the cluster."""
        self._call(self._stop)
        self._thread.join(_CLOSE)

    def _call(self, function: Callable[..., None], *arguments: object) -> None:
        self._loop.call_soon_threadsafe(function, *arguments)

    def _received(self, node: str, message: Message) -> None:
        if message[0] == GONE:
            self._lost(node, str(message[1]))
            return
        if message[0] == wire.HELLO:
            self._nodes.add(node)
        elif node not in self._nodes:  # it was given up, and nothing watches it
            self._call(self._drop, node)
            if message[0] == wire.READY:
                self._call(self._refuse, message[1], f"node {node} was given up before the job began")
            return
        self._owner.received(node, message)

    def _lost(self, node: str, why: str) -> None:
        if node in self._nodes:
            self._nodes.remove(node)
            self._owner.lost(node, why)

    # -- the event loop ----------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        self._main = self._loop.create_task(self._serve())
        try:
            self._loop.run_until_complete(self._main)
        except asyncio.CancelledError:
            pass  # by `close`

    async def _serve(self) -> None:
        pause = _FIRST_PAUSE
        while True:
            try:
                await self._cluster.connect()
                pause, self._connected = _FIRST_PAUSE, True
                try:
                    await self._work()
                except OSError as error:
                    self._away(error)  # first: jobs may come while it is left
                finally:
                    self._connected = False
                    await self._leave()
            except OSError as error:
                self._away(error)
            self._give_up()
            await asyncio.sleep(pause)
            pause = min(_LONGEST_PAUSE, pause * 2)

    async def _work(self) -> None:
        """Keep a link to every machine of the cluster."""
        waiting, self._waiting = self._waiting, []
        for token, resources in waiting:
            self._submit(token, resources)
        while True:
            known = set(await self._cluster.machines())
            for machine in known - self._links.keys():
                self._links[machine] = _Link(self, self._cluster, machine)
            for machine in self._links.keys() - known:
                self._unlink(machine, "it has left the cluster")
            await asyncio.sleep(_LOOK)

    def _away(self, error: OSError) -> None:
        self._why = f"the cluster at {self._settings.address} cannot be used: {first_line(error)}"

    async def _leave(self) -> None:
        """End the nodes, as far as they can be reached."""
        machines = list(self._links)
        for machine in machines:
            self._unlink(machine, "the cluster was left")
        try:
            if machines:
                await asyncio.wait_for(self._cluster.drop(machines), _CLOSE / 2)
        finally:
            await self._cluster.leave()

    def _give_up(self) -> None:
        tokens = [*self._asked, *(token for token, _ in self._waiting)]
        self._asked.clear()
        self._waiting.clear()
        for token in tokens:
            self._refuse(token, self._why)

    def _submit(self, token: str, resources: Resources) -> None:
        if self._connected:
            self._asked[token] = task = self._cluster.submit(token, resources)
            self._later(self._watch(token, task))
        elif self._why:
            self._refuse(token, self._why)
        else:
            self._waiting.append((token, resources))

    async def _watch(self, token: str, task: Any) -> None:
        """Tell the owner if the cluster cannot execute the task: its machines lack flowq, or die of it. One that was granted is not refused by that."""
        why = await self._cluster.failure(task)
        if token in self._asked:
            self._refuse(token, f"the cluster could not start the job: {why or 'its node has ended before'}")

    def _forget(self, token: str, cancel: bool) -> None:
        self._waiting = [item for item in self._waiting if item[0] != token]
        task = self._asked.pop(token, None)
        if task is not None and (rest := self._cluster.forget(task, cancel=cancel)) is not None:
            self._later(rest)

    def _send(self, node: str, message: Message) -> None:
        link = self._links.get(node)
        if link is not None:
            link.unsent.put_nowait(message)

    def _drop(self, node: str) -> None:
        if self._connected and node in self._links:
            self._later(self._cluster.drop([node]))

    def _unlink(self, machine: str, why: str) -> None:
        self._links.pop(machine).close()
        self._post(lambda: self._lost(machine, why))

    def _refuse(self, token: str, why: str) -> None:
        self._post(lambda: self._owner.refused(token, f"executor {self._settings.name}: {why}"))

    def _stop(self) -> None:
        self._main.cancel()

    def tell(self, machine: str, messages: list[Message]) -> None:
        """Pass on the messages of a node."""
        for message in messages:
            self._post(partial(self._received, machine, message))

    def broken(self, machine: str, error: Exception) -> None:
        """Handle that a machine of the cluster cannot be called any more."""
        if machine in self._links:
            self._unlink(machine, f"it does not answer: {first_line(error)}")

    def _later(self, work: Coroutine[Any, Any, Any]) -> None:
        """Do something beside the rest."""
        self._tasks.add(task := self._loop.create_task(work))  # the loop itself does not keep it from being collected
        task.add_done_callback(self._tasks.discard)


class _Link:
    """The calls to one machine of the cluster: one that waits for messages, and one that brings some."""

    def __init__(self, engine: ClusterEngine, cluster: Cluster, machine: str) -> None:
        self.unsent: asyncio.Queue[Message] = asyncio.Queue()
        self._engine = engine
        self._cluster = cluster
        self._machine = machine
        self._tasks = [asyncio.create_task(self._keep(step)) for step in (self._pull, self._push)]

    def close(self) -> None:
        for task in self._tasks:
            if task is not asyncio.current_task():
                task.cancel()

    async def _keep(self, step: Callable[[], Coroutine[Any, Any, None]]) -> None:
        try:
            while True:
                await step()
        except asyncio.CancelledError:
            raise
        except Exception as error:  # noqa: BLE001 - of the cluster or the machine, of any class
            self._engine.broken(self._machine, error)

    async def _pull(self) -> None:
        found = await self._cluster.pull(self._machine)
        if found:
            self._engine.tell(self._machine, found)

    async def _push(self) -> None:
        messages = [await self.unsent.get()]
        while not self.unsent.empty():
            messages.append(self.unsent.get_nowait())
        await self._cluster.push(self._machine, messages)


def first_line(error: BaseException) -> str:
    """Return the first line of an error's text; the texts of clusters are long."""
    text = str(error).strip().splitlines()
    return text[0] if text else type(error).__name__
