"""The store: everything that knows Redis, and the only place where a status changes.

It works with ids, keys, records and outcomes. It does not know `Job` objects, flows, plans or YAML: higher layers build those
from its replies. A transition is one Lua file (`lua/`), guards first, writes last; time is the server's; the same call sent
twice changes nothing the second time.

    schema/    what is stored: keys, fields of jobs, records, outcomes, arguments and replies of scripts
    client/    how it travels: sessions, scripts, pipelines, the asynchronous connection of a worker, clusters, errors
    lua/       the transitions, one file each, by the noun whose state changes
    jobs, runs, queues, workers, groups, semaphores, cache, cron, schedules, backfills, webhooks     views of the store, one for each noun
    run_upload runs on their way in, in chunks
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flowq.store.store import Store

__all__ = ["Store"]


def __getattr__(name: str) -> Any:
    """Import `Store` on first use: records and outcomes are used without the import time of redis-py."""
    if name == "Store":
        from flowq.store.store import Store

        return Store
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
