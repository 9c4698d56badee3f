"""A user's `connection` argument to the store.

Users pass a redis-py client or nothing. The store needs replies as bytes, so for a client that decodes replies a second one for the
same address is created that does not. Without a connection the server is configured as for the command line.
"""

import weakref
from inspect import Parameter, iscoroutinefunction, signature
from typing import TYPE_CHECKING, Any

from flowq.dotted_names import load_class
from flowq.exceptions import AsyncClientError, UsageError

if TYPE_CHECKING:
    from flowq.store import Store

_MADE = "_flowq_store"
"""The attribute of a user's client that has its store: most stores use that client, so that a table would keep both."""

_OPENED: "weakref.WeakKeyDictionary[Any, weakref.ref[Store]]" = weakref.WeakKeyDictionary()
_default: "Store | None" = None


def store_for(connection: Any = None) -> "Store":
    """Return the store on a redis-py client, always the same for a client; for None, the store on the configured server.

    Raises:
        UsageError: not a redis-py client; one for asyncio is a `TypeError` as well.
        ServerError: the server cannot be used.
    """
    if connection is None:
        return default_store()
    known = _known(connection) if hasattr(connection, "execute_command") else None
    if known is not None:
        return known
    from flowq.store.store import Store

    if isinstance(connection, Store):
        return connection
    store = Store(_client_of(connection))
    vars(connection)[_MADE] = store
    return store


def with_client_class(store: "Store", client_class: Any) -> "Store":
    """Return a store on the same data with a client of the user's class, which uses the connections of the given store: keep that one.

    Args:
        store: an open store.
        client_class: a subclass of `redis.Redis`, or its dotted name.

    Raises:
        UsageError: it is none, or the server is a cluster, whose client has another class.
    """
    import redis

    from flowq.store.store import Store

    kind = load_class(client_class, redis.Redis)
    if not isinstance(store.client, redis.Redis):
        raise UsageError(f"{kind.__name__} cannot be the client of a cluster: leave the class of clients out")
    return Store(kind(connection_pool=store.client.connection_pool), store.namespace, anchor=store.anchor).open()


def connection_of(store: "Store") -> Any:
    """Return the client that users and their subclasses get as `connection`; `store_for` leads from it to a store on the same data.

    That is the store itself only where its client already serves another namespace.
    """
    client = store.client
    known = _known(client)
    if known is None:
        _OPENED[client] = weakref.ref(store)
    return client if known is None or known is store or known.namespace == store.namespace else store


def default_store() -> "Store":
    """Return the store on the configured server (environment, flowq.toml, else the embedded server), opened once per process."""
    global _default  # noqa: PLW0603 - one server per process is what "no connection given" means
    if _default is None:
        from flowq.connections.clients import open_store

        _default = open_store()
    return _default


def set_default_store(store: "Store | None") -> "Store | None":
    """Set the store for calls without a connection, and return the previous one. A worker sets it for the jobs that it forks."""
    global _default
    former, _default = _default, store
    return former


def _known(client: Any) -> "Store | None":
    made: Store | None = vars(client).get(_MADE)
    if made is not None:
        return made
    opened = _OPENED.get(client)
    return None if opened is None else opened()


def _client_of(connection: Any) -> Any:
    if iscoroutinefunction(getattr(connection, "execute_command", None)):
        raise AsyncClientError(
            f"connection must be a redis.Redis or redis.RedisCluster client, found {type(connection).__module__}."
            f"{type(connection).__name__}, which is for asyncio: make a redis.Redis client for flowq, and call it in a thread"
            " (asyncio.to_thread) where it must not block"
        )
    if hasattr(connection, "execute_command") and hasattr(connection, "connection_pool"):
        return _undecoded(connection)
    if hasattr(connection, "execute_command") and hasattr(connection, "nodes_manager"):
        from flowq.store.client.cluster import slot_client_like

        return slot_client_like(connection)
    raise UsageError(f"connection must be a redis.Redis or redis.RedisCluster client, found {type(connection).__name__}")


def _undecoded(connection: Any) -> Any:
    pool = connection.connection_pool
    if not pool.connection_kwargs.get("decode_responses"):
        return connection
    named = {name for name, found in signature(type(pool)).parameters.items() if found.kind is not Parameter.VAR_KEYWORD}
    own = {name: getattr(pool, name) for name in named | {"connection_class", "max_connections"} if hasattr(pool, name)}
    return type(connection)(connection_pool=type(pool)(**{**pool.connection_kwargs, **own, "decode_responses": False}))
