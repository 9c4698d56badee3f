"""The names of cron schedulers that live, where users of RQ look for them."""

from typing import Any

from flowq.connections.stores import store_for


def get_keys(connection: Any = None) -> list[str]:
    """Return the names of the schedulers that live, the one that was silent for longest first."""
    return store_for(connection).crons.schedulers()
