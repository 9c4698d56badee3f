"""The names of cron entries that created jobs, under RQ's module name."""

from typing import Any

from flowq.connections.stores import store_for


def get_names(connection: Any = None, cleanup: bool = True) -> list[str]:  # noqa: ARG001 - RQ's signature
    """Return the names under which a job was created within a year, the longest ago first."""
    return store_for(connection).crons.names()
