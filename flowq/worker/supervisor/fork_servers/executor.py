"""The supervisor's end of an executor: its driver stands where a fork server stands, and what it calls horses are elsewhere."""

from __future__ import annotations

import logging
import signal
from typing import TYPE_CHECKING, Final

from flowq.worker.supervisor.fork_servers.client import ForkServerClient
from flowq.worker.supervisor.fork_servers.starting import start_driver

if TYPE_CHECKING:
    from collections.abc import Callable

    from flowq.worker.executor_settings import ExecutorSettings
    from flowq.worker.supervisor.event_loop import Loop
    from flowq.worker.supervisor.fork_servers.lane import Lane

_log = logging.getLogger("flowq.worker")
_CLOSE_LIMIT: Final = 3.0  # s a driver may take to end its nodes


class ExecutorClient(ForkServerClient):
    """The driver of one executor. It serves all jobs of a worker, whatever their place: a node has fork servers for that."""

    close_limit = _CLOSE_LIMIT

    @classmethod
    def drive(
        cls, loop: Loop, settings: ExecutorSettings, *, on_lost: Callable[[ForkServerClient], None] | None = None
    ) -> ExecutorClient:
        """Start a driver.

        Raises:
            OSError: no process or no descriptor is left.
        """
        client = cls(loop, *start_driver(settings), on_lost=on_lost)
        client.executor = settings.name
        client.start_timeout = settings.start_timeout
        return client

    def kill_for(self, lane: Lane) -> bool:  # noqa: ARG002 - as of a fork server
        """Return False: what a driver does not kill in time is killed by its node, when no lease comes."""
        return False

    def distrust(self) -> None:
        """Do nothing: that one job was not started in time says nothing about the next one."""

    def _lose(self, lane: Lane) -> None:
        """Handle that the driver has ended: the job may still run for a moment, so it is lost with its lease, not failed."""
        lane.fenced = True
        lane.exited(-signal.SIGKILL)
