"""Clients: settings to a checked redis-py client for the store.

Every client is created here with explicit options, because redis-py's defaults differ between its constructors and versions: replies
as bytes, protocol 2, timeouts, a name for `CLIENT LIST`, and above all *no retries*. redis-py would repeat any request whose reply was
lost (one INCR counted 4); the store knows which requests may be repeated.
"""

import os
import re
import socket
import weakref
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import SplitResult, unquote

from flowq.config import Setting, Settings, describe, load_settings, redact
from flowq.connections import urls
from flowq.exceptions import ConfigError, ServerError, ServerUnavailableError

if TYPE_CHECKING:
    import redis

    from flowq.embedded.attach import Attachment
    from flowq.store import Store

SOCKET_TIMEOUT: Final = 10.0  # s for one reply; a blocking command must ask for less
CONNECT_TIMEOUT: Final = 5.0  # s
OLDEST: Final = (7, 0)
_UNKNOWN: Final = "unknown command"  # in the answer of a server whose administrator has taken a command away
_KEEPALIVE: Final = {"TCP_KEEPIDLE": 15, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 3, "TCP_USER_TIMEOUT": 30_000}  # s, s, probes, ms

_ATTACHMENTS: "weakref.WeakKeyDictionary[redis.Redis, Attachment]" = weakref.WeakKeyDictionary()
"""The attachments to the embedded server; each lasts as long as its client."""


def open_store(url: str | Setting | None = None, namespace: str | None = None, *, follow: bool = True) -> "Store":
    """Return the store on the configured server, after checking the server.

    Args:
        url: the server; None: as configured (see `flowq.config`), else the embedded server, which is started if needed.
        namespace: the prefix of all keys; None: as configured, else "flowq".
        follow: as in `flowq.store.Store`. Such a store can also read where the server refuses changes (its disk is full): the first
            change raises then.

    Raises:
        ConfigError: a setting is wrong.
        ServerUnavailableError: the server does not answer.
        ServerError: it cannot be used; the message says why.
    """
    from flowq.store import Store

    settings = load_settings(url, namespace)
    client = _connect(settings)
    store = Store(client, settings.namespace.value, follow=follow, anchor=_ATTACHMENTS.get(client))
    return store.open_to_read() if follow else store.open()


def open_client(url: str | None = None) -> "redis.Redis":
    """Return a client of the configured server, after checking that flowq can work with it.

    With the embedded server, the process counts as its user for as long as the client exists.

    Args:
        url: as in `open_store`.

    Raises:
        ConfigError, ServerUnavailableError, ServerError: as in `open_store`.
    """
    return _connect(load_settings(url))


def _connect(settings: Settings) -> "redis.Redis":
    if settings.url is None:
        return _embedded(settings.home.value if settings.home else None)
    url = settings.url.value
    try:
        client = _client(url, settings.namespace.value)
    except ConfigError as error:
        raise ConfigError(f"{error} (from {describe(settings.url, 'url')})") from error
    try:
        _check(client, url, allow_eviction=settings.allow_eviction.value == "true")
    except ServerUnavailableError as error:
        client.close()
        if settings.url.source == "argument":  # the user has just written it
            raise
        raise ServerUnavailableError(f"{error} (from {describe(settings.url, 'url')})") from error
    except BaseException:
        client.close()
        raise
    return client


def _embedded(home: str | None) -> "redis.Redis":
    # Attach before the slow import of redis, which is wasted if attaching fails.
    from flowq.embedded.attach import attach

    attachment = attach(home)
    import redis

    client = redis.Redis.from_pool(redis.ConnectionPool(**_unix(attachment.socket)))
    _ATTACHMENTS[client] = attachment
    return client


# -- one client for each kind of address


def _client(url: str, namespace: str) -> "redis.Redis":
    """Return a client of this address, not connected yet; on a cluster, of the node that holds the namespace.

    Errors never contain the password.
    """
    import redis

    parts, options = urls.parse(url)
    if parts.scheme.endswith("+sentinel"):
        return _sentinel_client(url, parts, options)
    if parts.scheme.endswith("+cluster"):
        return _cluster_client(url, parts, options, namespace)
    if parts.scheme == "unix":
        if not parts.path:
            raise ConfigError(f"{redact(url)!r} names no socket, expected unix:///path/to/socket")
        pool = redis.ConnectionPool(**{**_unix(unquote(parts.path)), **urls.user(parts), **options})
    else:
        pool = redis.ConnectionPool(
            connection_class=redis.SSLConnection if parts.scheme == "rediss" else redis.Connection,
            host=unquote(parts.hostname or "localhost"),
            port=urls.port_of(url, parts) or urls.PORT,
            **{"db": urls.database(url, parts.path), **_tcp(), **urls.user(parts), **options},
        )
    return _constructed(url, redis.Redis.from_pool(pool))


def _sentinel_client(url: str, parts: SplitResult, options: dict[str, Any]) -> "redis.Redis":
    from redis.sentinel import Sentinel

    service, _, database = parts.path.removeprefix("/").partition("/")
    addresses = urls.addresses(url, parts, urls.SENTINEL_PORT)
    if not service or not addresses:
        raise ConfigError(f"{redact(url)!r} is incomplete, expected redis+sentinel://host:port,host:port/service")
    own = {name: options.pop(f"sentinel_{name}") for name in ("username", "password") if f"sentinel_{name}" in options}
    sentinel: Any = Sentinel(addresses, sentinel_kwargs={**_tcp(), **own})  # type: ignore[no-untyped-call]
    settings = {"db": urls.database(url, database), **_tcp(), **urls.user_of_several(parts), **options}
    client: redis.Redis = sentinel.master_for(unquote(service), ssl=parts.scheme == "rediss+sentinel", **settings)
    return _constructed(url, client)


def _cluster_client(url: str, parts: SplitResult, options: dict[str, Any], namespace: str) -> "redis.Redis":
    from flowq.store.client.cluster import slot_client

    addresses = urls.addresses(url, parts, urls.PORT)
    if not addresses:
        raise ConfigError(f"{redact(url)!r} names no node, expected redis+cluster://host:port,host:port")
    if urls.database(url, parts.path) or options.pop("db", 0):
        raise ConfigError(f"{redact(url)!r}: a cluster has no databases but 0: use a namespace of your own (FLOWQ_NAMESPACE)")
    settings = {**_tcp(), **urls.user_of_several(parts), **options}
    return _constructed(url, slot_client(addresses, namespace, settings, tls=parts.scheme == "rediss+cluster"))


# -- options of every connection


def _common() -> dict[str, Any]:
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    return {
        "protocol": 2,
        "decode_responses": False,
        "socket_timeout": SOCKET_TIMEOUT,
        "socket_connect_timeout": CONNECT_TIMEOUT,
        "retry": Retry(NoBackoff(), 0),
        "client_name": f"flowq-{_host()}-{os.getpid()}",
    }


def _tcp() -> dict[str, Any]:
    # A host that is gone, or a firewall that has forgotten a connection, says nothing: who only waits must ask whether the other end is there.
    own = {getattr(socket, name): value for name, value in _KEEPALIVE.items() if hasattr(socket, name)}
    return {**_common(), "socket_keepalive": True, "socket_keepalive_options": own}


def _unix(path: str) -> dict[str, Any]:
    import redis

    return {"connection_class": redis.UnixDomainSocketConnection, "path": path, **_common()}


def _host() -> str:
    return re.sub(r"[^\w.-]", "-", socket.gethostname(), flags=re.ASCII)  # a client's name has no spaces


def _constructed(url: str, client: "redis.Redis") -> "redis.Redis":
    """Create a connection object without connecting, because redis-py checks most options only then."""
    from redis.exceptions import RedisError

    try:
        client.connection_pool.make_connection()
    except (TypeError, ValueError, RedisError) as error:
        raise ConfigError(f"{redact(url)!r} has an option that does not fit: {error}") from error
    return client


# -- requirements on the server


def _check(client: "redis.Redis", url: str, *, allow_eviction: bool) -> None:
    """Check that the server answers, is new enough and does not evict keys.

    The check is skipped for a user whose ACL forbids INFO, and on a server that does not know it any more (`rename-command`): flowq does not require it.
    """
    from redis.exceptions import NoPermissionError, ResponseError

    from flowq.store.client.errors import Translated

    name = f"the server at {redact(url)}"
    with Translated(name, opening=True):
        try:
            facts: dict[str, Any] = client.info("server")
            facts |= client.info("memory")
        except ResponseError as error:
            if not isinstance(error, NoPermissionError) and _UNKNOWN not in str(error):
                raise
            client.ping()
            return
    version = str(facts.get("redis_version", "0"))
    if tuple(int(part) for part in version.split(".")[:2] if part.isdigit()) < OLDEST:
        raise ServerError(
            f"{name} is Redis {version}, flowq needs Redis >= 7.0 or Valkey: use a newer server, or the embedded one"
        )
    policy = facts.get("maxmemory_policy", "noeviction")
    if facts.get("maxmemory") and policy != "noeviction" and not allow_eviction:
        raise ServerError(
            f"{name} may throw away jobs when its memory is full (maxmemory-policy {policy}): set maxmemory-policy noeviction,"
            " or accept it with FLOWQ_ALLOW_EVICTION=true"
        )
