"""The client of a Ray cluster. A machine is one of Ray's nodes; its relay is an actor that asks for nothing (`ray_node`)."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Final

import ray
from ray.exceptions import RayError, TaskCancelledError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from flowq.worker.executors.cluster import first_line
from flowq.worker.executors.ray_node import RayRelay, execute

if TYPE_CHECKING:
    from collections.abc import Collection, Coroutine

    from flowq.worker.executor_settings import ExecutorSettings
    from flowq.worker.executors.engine import Resources
    from flowq.worker.executors.wire import Message

_OPTIONS: Final = {"cpus": "num_cpus", "gpus": "num_gpus", "memory": "memory"}
"""Resources that Ray has words for; all others are custom resources of Ray's nodes, by their names."""


class RayCluster:
    """A Ray cluster. `driver` names the driver there."""

    def __init__(self, settings: ExecutorSettings, driver: str) -> None:
        logging.getLogger("ray").setLevel(logging.ERROR)  # it warns that it gets no signals in a thread
        self._settings = settings
        self._driver = driver
        self._relays: dict[str, Any] = {}

    async def connect(self) -> None:
        """Connect to the cluster, through Ray's processes on this machine, or by an address `ray://` through its head."""
        try:
            await asyncio.to_thread(self._connect)
        except (RayError, OSError, RuntimeError, ValueError, AssertionError) as error:
            raise ConnectionError(first_line(error)) from error

    def _connect(self) -> None:
        ray.init(self._settings.address, log_to_driver=False, configure_logging=False, logging_level=logging.ERROR)
        self._task = ray.remote(max_retries=0, max_calls=0)(execute)
        self._actor = ray.remote(num_cpus=0, max_restarts=0, max_concurrency=16)(RayRelay)

    async def machines(self) -> Collection[str]:
        """Return the ids of Ray's nodes; the relay of a new one is started."""
        try:
            found = await asyncio.to_thread(ray.nodes)
        except Exception as error:
            raise ConnectionError(first_line(error)) from error
        alive = {node["NodeID"] for node in found if node["Alive"]}
        for machine in alive - self._relays.keys():
            where = NodeAffinitySchedulingStrategy(machine, soft=False)
            self._relays[machine] = self._actor.options(scheduling_strategy=where).remote(self._driver, self._settings.python)
        for machine in self._relays.keys() - alive:
            del self._relays[machine]
        return alive

    def submit(self, token: str, resources: Resources) -> Any:
        """Submit a task, with one processor if the job does not say."""
        options: dict[str, Any] = {_OPTIONS[name]: amount for name, amount in resources.items() if name in _OPTIONS}
        custom = {name: amount for name, amount in resources.items() if name not in _OPTIONS}
        return self._task.options(**options, resources=custom, name=f"flowq-{token[:8]}").remote(self._driver, token)

    async def failure(self, task: Any) -> str:
        """Wait for the end of a task."""
        try:
            await task
        except TaskCancelledError:
            return ""
        except Exception as error:  # noqa: BLE001 - of Ray or of the task, of any class
            return first_line(error)
        return ""

    def forget(self, task: Any, *, cancel: bool) -> Coroutine[Any, Any, None] | None:
        """Cancel a task, or do nothing: it ends with its job."""
        return asyncio.to_thread(ray.cancel, task) if cancel else None

    async def pull(self, machine: str) -> list[Message]:
        """Wait for messages in a call to the relay."""
        found: list[Message] = await self._relays[machine].pull.remote()
        return found

    async def push(self, machine: str, messages: list[Message]) -> None:
        """Bring messages by a call to the relay."""
        await self._relays[machine].push.remote(messages)

    async def drop(self, machines: list[str]) -> None:
        """End nodes."""
        calls = [self._relays[machine].drop.remote() for machine in machines if machine in self._relays]
        await asyncio.gather(*calls, return_exceptions=True)

    async def leave(self) -> None:
        """Leave the cluster, which ends the relays."""
        self._relays.clear()
        await asyncio.to_thread(ray.shutdown)
