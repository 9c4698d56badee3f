"""The engine whose nodes are below the workers of a Dask cluster: each job is a task there, which takes the place of the job in Dask's queue.

Dask repeats tasks whose worker has died, and keeps what it is given: so a task is only a token, and the driver grants each token once. Messages
go by calls to the workers (`Client.run`), past the scheduler's records. The client has a thread with an event loop of its own.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from distributed import Client
from distributed.comm import CommClosedError

from flowq.ids import nonce
from flowq.worker.executors import dask_node, wire

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from flowq.worker.executor_settings import ExecutorSettings
    from flowq.worker.executors.engine import EngineOwner, Post, Resources
    from flowq.worker.executors.wire import Message

_log = logging.getLogger("flowq.worker")
_LOOK: Final = 0.5  # s between looks which workers the cluster has
_CONNECT: Final = 10.0  # s
_FIRST_PAUSE: Final = 1.0  # s before another attempt to connect
_LONGEST_PAUSE: Final = 60.0
_CLOSE: Final = 2.0  # s for the nodes to end when the driver does
_LOST: Final = (OSError, CommClosedError, TimeoutError)


class DaskEngine:
    """Nodes in a Dask cluster. A node has the address of its Dask worker as name."""

    def __init__(self, settings: ExecutorSettings, owner: EngineOwner, post: Post) -> None:
        self._settings = settings
        self._owner = owner
        self._post = post
        self._id = nonce()
        self._nodes: set[str] = set()  # that have greeted; of the driver's thread
        # what follows belongs to the event loop
        self._loop = asyncio.new_event_loop()
        self._client: Client | None = None
        self._why = ""  # there is no client; "" while the first attempt is made
        self._waiting: list[tuple[str, Resources]] = []
        self._futures: dict[str, Any] = {}
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
        """Let the cluster forget a task; it would be repeated if its worker died while the result is held."""
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
        if message[0] == dask_node.GONE:
            self._lost(node, str(message[1]))
            return
        if message[0] == wire.HELLO:
            self._nodes.add(node)
        self._owner.received(node, message)

    def _lost(self, node: str, why: str) -> None:
        if node in self._nodes:
            self._nodes.remove(node)
            self._owner.lost(node, why)

    # -- the event loop ----------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        logging.getLogger("distributed").setLevel(logging.ERROR)  # it logs each broken connection, and so does this engine
        self._main = self._loop.create_task(self._serve())
        try:
            self._loop.run_until_complete(self._main)
        except asyncio.CancelledError:
            pass  # by `close`

    async def _serve(self) -> None:
        pause = _FIRST_PAUSE
        while True:
            try:
                async with Client(self._settings.address, asynchronous=True, set_as_default=False, timeout=_CONNECT) as client:
                    pause, self._client = _FIRST_PAUSE, client
                    try:
                        await self._work(client)
                    finally:
                        await self._leave()
            except _LOST as error:
                self._why = f"the Dask cluster at {self._settings.address} cannot be used: {_first_line(error)}"
            self._client = None
            self._give_up()
            await asyncio.sleep(pause)
            pause = min(_LONGEST_PAUSE, pause * 2)

    async def _work(self, client: Client) -> None:
        """Keep a link to every worker of the cluster."""
        waiting, self._waiting = self._waiting, []
        for token, resources in waiting:
            self._submit(token, resources)
        while client.status == "running":
            known = (await client.scheduler.identity())["workers"]
            for address in known.keys() - self._links.keys():
                self._links[address] = _Link(self, client, address)
            for address in self._links.keys() - known.keys():
                self._unlink(address, "its Dask worker has left the cluster")
            await asyncio.sleep(_LOOK)
        raise ConnectionError("the scheduler has ended")

    async def _leave(self) -> None:
        """End the nodes, as far as they can be reached."""
        client = self._client
        assert client is not None
        addresses = list(self._links)
        for address in addresses:
            self._unlink(address, "the Dask cluster was left")
        if addresses and client.status == "running":
            await asyncio.wait_for(client.run(dask_node.drop, self._id, workers=addresses, on_error="ignore"), _CLOSE / 2)

    def _give_up(self) -> None:
        tokens = [*self._futures, *(token for token, _ in self._waiting)]
        self._futures.clear()
        self._waiting.clear()
        for token in tokens:
            self._refuse(token, self._why)

    def _submit(self, token: str, resources: Resources) -> None:
        client = self._client
        if client is None:
            if self._why:
                self._refuse(token, self._why)
            else:
                self._waiting.append((token, resources))
            return
        future = client.submit(
            dask_node.execute,
            self._id,
            token,
            self._settings.python,
            key=f"flowq-{token}",
            pure=False,
            retries=0,
            resources=dict(resources),
        )
        self._futures[token] = future
        self.later(self._watch(token, future))

    async def _watch(self, token: str, future: Any) -> None:
        """Tell the owner if the cluster cannot execute the task: its workers lack flowq, or die of it."""
        try:
            error = await future.exception()  # its result is not asked for: it may be gone, and Dask would compute it again
        except (asyncio.CancelledError, *_LOST):
            return
        if isinstance(error, Exception) and future.status == "error" and token in self._futures:
            self._refuse(token, f"Dask could not start the job: {_first_line(error)}")

    def _forget(self, token: str, cancel: bool) -> None:
        self._waiting = [item for item in self._waiting if item[0] != token]
        future = self._futures.pop(token, None)
        if future is not None and cancel and self._client is not None:
            self.later(self._client.cancel([future], force=True))
        elif future is not None:
            future.release()

    def _send(self, node: str, message: Message) -> None:
        link = self._links.get(node)
        if link is not None:
            link.unsent.put_nowait(message)

    def _drop(self, node: str) -> None:
        if self._client is not None and node in self._links:
            self.later(self._client.run(dask_node.drop, self._id, workers=[node], on_error="ignore"))

    def _unlink(self, address: str, why: str) -> None:
        self._links.pop(address).close()
        self._post(lambda: self._lost(address, why))

    def _refuse(self, token: str, why: str) -> None:
        self._post(lambda: self._owner.refused(token, f"executor {self._settings.name}: {why}"))

    def _stop(self) -> None:
        self._main.cancel()

    def tell(self, address: str, messages: list[Message]) -> None:
        """Pass on the messages of a node."""
        for message in messages:
            self._post(partial(self._received, address, message))

    def broken(self, address: str, error: Exception) -> None:
        """Handle that a worker of the cluster cannot be called any more."""
        if address in self._links:
            self._unlink(address, f"its Dask worker does not answer: {_first_line(error)}")

    def later(self, work: Coroutine[Any, Any, Any]) -> None:
        """Do something beside the rest."""
        self._tasks.add(task := self._loop.create_task(work))  # the loop itself does not keep it from being collected
        task.add_done_callback(self._tasks.discard)

    @property
    def id(self) -> str:
        """The name of this driver in the cluster."""
        return self._id


class _Link:
    """The calls to one worker of the cluster: one that waits for messages, and one that brings some."""

    def __init__(self, engine: DaskEngine, client: Client, address: str) -> None:
        self.unsent: asyncio.Queue[Message] = asyncio.Queue()
        self._engine = engine
        self._client = client
        self._address = address
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
        except Exception as error:  # noqa: BLE001 - of the cluster or the worker, of any class
            self._engine.broken(self._address, error)

    async def _pull(self) -> None:
        found = await self._call(dask_node.pull, self._engine.id)
        if found:
            self._engine.tell(self._address, found)

    async def _push(self) -> None:
        messages = [await self.unsent.get()]
        while not self.unsent.empty():
            messages.append(self.unsent.get_nowait())
        await self._call(dask_node.push, self._engine.id, messages)

    async def _call(self, function: Callable[..., Any], *arguments: object) -> Any:
        answers = await self._client.run(function, *arguments, workers=[self._address])
        return answers[self._address]


def _first_line(error: BaseException) -> str:
    text = str(error).strip().splitlines()
    return text[0] if text else type(error).__name__
