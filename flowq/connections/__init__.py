"""Connections: settings to a client, and a client to the store.

urls      addresses of servers, parsed and written
imports   what redis-py imports beside itself
clients   redis-py clients with all important options set, and the check of their server
stores    a user's `connection` argument to the `Store`
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flowq.connections.clients import open_client, open_store

__all__ = ["open_client", "open_store"]


def __getattr__(name: str) -> Any:
    """Import `open_store` and `open_client` on first use, to keep the start-up of the command line fast."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from flowq.connections import clients

    return getattr(clients, name)
