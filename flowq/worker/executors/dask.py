"""The client of a Dask cluster. A machine is one of Dask's workers, named by its address; its relay is in that process (`dask_node`)."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Final

from distributed import Client

from flowq.worker.executors import dask_node
from flowq.worker.executors.cluster import first_line

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Coroutine

    from flowq.worker.executor_settings import ExecutorSettings
    from flowq.worker.executors.engine import Resources
    from flowq.worker.executors.wire import Message

_CONNECT: Final = 10.0  # s
_ANSWER: Final = (
    5.0  # s for an answer of the scheduler; Dask itself would try for half a minute to connect to one that has died
)
_CLOSE: Final = 2.0  # s for leaving it
_LOGGERS: Final = ("distributed", "distributed.client")  # Dask's settings give each a level of its own


class DaskCluster:
    """A Dask cluster."""

    def __init__(self, settings: ExecutorSettings, driver: str) -> None:
        for name in _LOGGERS:
            logging.getLogger(name).setLevel(logging.CRITICAL)  # they log each broken connection, and so does the driver
        self._settings = settings
        self._driver = driver
        self._client: Client | None = None

    async def connect(self) -> None:
        """Connect to the scheduler."""
        self._client = await Client(self._settings.address, asynchronous=True, set_as_default=False, timeout=_CONNECT)

    async def machines(self) -> Collection[str]:
        """Return the addresses of Dask's workers."""
        if self._there.status != "running":
            raise ConnectionError("the scheduler has ended")
        identity = await asyncio.wait_for(self._there.scheduler.identity(), _ANSWER)
        found: dict[str, Any] = identity["workers"]
        return found.keys()

    def submit(self, token: str, resources: Resources) -> Any:
        """Submit a task; its resources are those that Dask's workers were started with."""
        return self._there.submit(
            dask_node.execute,
            self._driver,
            token,
            self._settings.python,
            key=f"flowq-{token}",
            pure=False,
            retries=0,
            resources=dict(resources),
        )

    async def failure(self, task: Any) -> str:
        """Wait for the error of a task. Its result is not asked for: it may be gone, and Dask would compute it again."""
        try:
            error = await task.exception()
        except (asyncio.CancelledError, OSError):
            return ""
        return first_line(error) if isinstance(error, Exception) and task.status == "error" else ""

    def forget(self, task: Any, *, cancel: bool) -> Coroutine[Any, Any, None] | None:
        """Cancel or release a future."""
        if cancel and self._client is not None:
            canceled: Coroutine[Any, Any, None] = self._client.cancel([task], force=True)
            return canceled
        task.release()
        return None

    async def pull(self, machine: str) -> list[Message]:
        """Wait for messages in a call to a worker of Dask."""
        found: list[Message] = await self._call(machine, dask_node.pull)
        return found

    async def push(self, machine: str, messages: list[Message]) -> None:
        """Bring messages by a call to a worker of Dask."""
        await self._call(machine, dask_node.push, messages)

    async def drop(self, machines: list[str]) -> None:
        """End nodes, if the scheduler is there."""
        if self._there.status == "running":
            await self._there.run(dask_node.drop, self._driver, workers=machines, on_error="ignore")

    async def leave(self) -> None:
        """Close the client."""
        client, self._client = self._there, None
        await client.close(_CLOSE)

    @property
    def _there(self) -> Client:
        assert self._client is not None
        return self._client

    async def _call(self, machine: str, function: Callable[..., Any], *arguments: object) -> Any:
        answers = await self._there.run(function, self._driver, *arguments, workers=[machine])
        return answers[machine]
