"""The store: everything that knows Redis, and the only place where a status changes.

It speaks ids, keys, records and outcomes. It does not know `Job` objects, flows, plans or YAML: those stand above it and are built
from what it returns. A transition is one Lua file (`lua/`), guards first, writes last; time is the server's; the same call sent
twice changes nothing the second time.

    keys      names of keys, for Python and Lua          scripts   loads and composes the Lua files
    session   one client, one namespace: calls scripts   errors    redis errors in flowq's words
    records   what reading returns                       outcomes  what transitions return
    jobs, runs, queues, workers, crons, caches   the store's views; `link` is a worker's asynchronous connection
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flowq.store.store import Store

__all__ = ["Store"]


def __getattr__(name: str) -> Any:
    """Import `Store` on first use: records and outcomes are wanted without the weight of redis-py."""
    if name == "Store":
        from flowq.store.store import Store

        return Store
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
