"""The names of the living cron schedulers, under RQ's module name."""

from typing import Any

from flowq.connections.stores import store_for


def get_keys(connection: Any = None) -> list[str]:
    """Return the names of the living schedulers, the one with the oldest heartbeat first."""
    return store_for(connection).crons.schedulers()
