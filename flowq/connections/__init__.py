"""Connections: from settings to a client, and from a client to the store.

urls      addresses of servers, parsed and written
clients   redis-py clients with every option that matters set, and the check of the server behind them
stores    from what users pass as `connection` to the `Store`
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flowq.connections.clients import open_client, open_store

__all__ = ["open_client", "open_store"]


def __getattr__(name: str) -> Any:
    """Import `open_store` and `open_client` on first use: the command line's start-up does not pay for them."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from flowq.connections import clients

    return getattr(clients, name)
