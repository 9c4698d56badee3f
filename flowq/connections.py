"""Connections: from settings to a client that the store can work with.

Every client is made here, with everything that matters said aloud, because redis-py's defaults differ between its constructors
and versions: replies stay bytes, protocol 2, time-outs, a name that `CLIENT LIST` shows, and above all *no retries*. redis-py would
send a request whose reply was lost again, whatever it was (an INCR counted 4 for 1); the store knows which ones may be repeated.

Addresses:

    redis://[user[:password]@]host[:port][/db]                      rediss:// likewise, with TLS
    unix:///path/to/socket[?db=n]
    redis+sentinel://[user[:password]@]host[:port][,host[:port]…]/service[/db]      rediss+sentinel:// likewise, with TLS
    redis+cluster://[user[:password]@]host[:port][,host[:port]…]    rediss+cluster:// likewise, with TLS
"""

import os
import re
import socket
import weakref
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import SplitResult, parse_qs, quote, unquote, urlencode, urlsplit

from flowq.config import Settings, load_settings, redact
from flowq.exceptions import ConfigError, ServerError

if TYPE_CHECKING:
    import redis

    from flowq.embedded.attach import Attachment
    from flowq.store import Store

SOCKET_TIMEOUT: Final = 10.0  # s for one reply; a blocking command must ask for less
CONNECT_TIMEOUT: Final = 5.0  # s
PORT: Final = 6379
SENTINEL_PORT: Final = 26379
OLDEST: Final = (7, 0)

_SCHEMES: Final = ("redis", "rediss", "unix", "redis+sentinel", "rediss+sentinel", "redis+cluster", "rediss+cluster")
_OPTIONS: Final = re.compile(
    r"db|socket_timeout|socket_connect_timeout|socket_keepalive|ssl_\w+|sentinel_username|sentinel_password"
)

_ATTACHMENTS: "weakref.WeakKeyDictionary[redis.Redis, Attachment]" = weakref.WeakKeyDictionary()
"""The use of the embedded server lasts as long as the client that needs it."""


def open_store(url: str | None = None, namespace: str | None = None, *, follow: bool = True) -> "Store":
    """Return the store on the server that applies: checked, ready to use.

    Args:
        url: the server; None: as configured (see `flowq.config`), else the embedded server, which is started if needed.
        namespace: the prefix of all keys; None: as configured, else "flowq".
        follow: as in `flowq.store.Store`.

    Raises:
        ConfigError: a setting is wrong.
        ServerUnavailableError: the server does not answer.
        ServerError: it cannot be used; says why.
    """
    from flowq.store import Store

    settings = load_settings(url, namespace)
    client = _connect(settings)
    return Store(client, settings.namespace.value, follow=follow, anchor=_ATTACHMENTS.get(client)).open()


def open_client(url: str | None = None) -> "redis.Redis":
    """Return a client of the server that applies, after checking that flowq can work with it.

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
        raise ConfigError(f"{error} (from {settings.url.source})") from error
    try:
        _check(client, url, allow_eviction=settings.allow_eviction.value == "true")
    except BaseException:
        client.close()
        raise
    return client


def _embedded(home: str | None) -> "redis.Redis":
    # Attached before redis is imported, which takes longer than everything else here: nothing is paid twice if this fails.
    from flowq.embedded.attach import attach

    attachment = attach(home)
    import redis

    client = redis.Redis.from_pool(redis.ConnectionPool(**_unix(attachment.socket)))
    _ATTACHMENTS[client] = attachment
    return client


# -- addresses


def url_of(client: "redis.Redis") -> str:
    """Return the address under which another process makes a client like this one. It holds the password: not for a command line.

    Raises:
        ConfigError: the client is of a kind that no single address stands for, and FLOWQ_REDIS_URL is not set either.
    """
    import redis

    kind, settings = client.connection_pool.connection_class, client.connection_pool.connection_kwargs
    known = kind in {redis.Connection, redis.SSLConnection, redis.UnixDomainSocketConnection}
    if not known or settings.get("credential_provider") is not None:
        if "FLOWQ_REDIS_URL" in os.environ:
            return os.environ["FLOWQ_REDIS_URL"]
        raise ConfigError(f"the settings of this client ({kind.__name__}) cannot be written as an address: set FLOWQ_REDIS_URL")
    names = (settings.get("username"), settings.get("password"))
    user = ":".join(quote(name or "", safe="") for name in names) + "@" if any(names) else ""
    if kind is redis.UnixDomainSocketConnection:
        return f"unix://{user}{quote(settings['path'])}?db={settings.get('db') or 0}"
    host = str(settings.get("host", "localhost"))
    address = f"{user}[{host}]" if ":" in host else f"{user}{quote(host)}"
    url = f"{address}:{settings.get('port', PORT)}/{settings.get('db') or 0}"
    if kind is redis.Connection:
        return f"redis://{url}"
    options = {name: value for name, value in settings.items() if name.startswith("ssl_") and isinstance(value, (str, bool))}
    return f"rediss://{url}" + (f"?{urlencode(options)}" if options else "")


def _client(url: str, namespace: str) -> "redis.Redis":
    """Return a client of this address, not connected yet; on a cluster, of the node that has the namespace.

    Errors name what is wrong with the address, never its password.
    """
    import redis

    parts, options = _parse(url)
    if parts.scheme.endswith("+sentinel"):
        return _sentinel_client(url, parts, options)
    if parts.scheme.endswith("+cluster"):
        return _cluster_client(url, parts, options, namespace)
    if parts.scheme == "unix":
        if not parts.path:
            raise ConfigError(f"{redact(url)!r} names no socket, expected unix:///path/to/socket")
        pool = redis.ConnectionPool(**{**_unix(unquote(parts.path)), **_user(parts), **options})
    else:
        pool = redis.ConnectionPool(
            connection_class=redis.SSLConnection if parts.scheme == "rediss" else redis.Connection,
            host=unquote(parts.hostname or "localhost"),
            port=_port(url, parts) or PORT,
            **{"db": _database(url, parts.path), **_common(), **_user(parts), **options},
        )
    return _constructed(url, redis.Redis.from_pool(pool))


def _sentinel_client(url: str, parts: SplitResult, options: dict[str, Any]) -> "redis.Redis":
    from redis.sentinel import Sentinel

    service, _, database = parts.path.removeprefix("/").partition("/")
    addresses = _addresses(url, parts, SENTINEL_PORT)
    if not service or not addresses:
        raise ConfigError(f"{redact(url)!r} is incomplete, expected redis+sentinel://host:port,host:port/service")
    own = {name: options.pop(f"sentinel_{name}") for name in ("username", "password") if f"sentinel_{name}" in options}
    sentinel: Any = Sentinel(addresses, sentinel_kwargs={**_common(), **own})  # type: ignore[no-untyped-call]
    settings = {"db": _database(url, database), **_common(), **_user_of_several(parts), **options}
    client: redis.Redis = sentinel.master_for(unquote(service), ssl=parts.scheme == "rediss+sentinel", **settings)
    return _constructed(url, client)


def _cluster_client(url: str, parts: SplitResult, options: dict[str, Any], namespace: str) -> "redis.Redis":
    from flowq.store.cluster import slot_client

    addresses = _addresses(url, parts, PORT)
    if not addresses:
        raise ConfigError(f"{redact(url)!r} names no node, expected redis+cluster://host:port,host:port")
    if _database(url, parts.path) or options.pop("db", 0):
        raise ConfigError(f"{redact(url)!r}: a cluster has no databases but 0: use a namespace of your own (FLOWQ_NAMESPACE)")
    settings = {**_common(), **_user_of_several(parts), **options}
    return _constructed(url, slot_client(addresses, namespace, settings, tls=parts.scheme == "rediss+cluster"))


def _parse(url: str) -> tuple[SplitResult, dict[str, Any]]:
    """Return the parts of an address and its options; refuse what is unknown, which redis-py partly ignores."""
    scheme = url.partition("://")[0]
    if scheme not in _SCHEMES or "://" not in url:
        raise ConfigError(
            f"{redact(url)!r} is not a server's address, expected one that starts with {', '.join(f'{s}://' for s in _SCHEMES)}"
        )
    try:
        parts = urlsplit(url)
        query = parse_qs(parts.query, strict_parsing=bool(parts.query))
    except ValueError as error:
        raise ConfigError(f"{redact(url)!r} is not a server's address: {error}") from error
    unknown = [name for name in query if not _OPTIONS.fullmatch(name)]
    if unknown:
        raise ConfigError(
            f"{redact(url)!r}: unknown option {unknown[0]!r}, expected db, socket_timeout, ssl_ca_certs or another ssl_ option"
        )
    return parts, {name: _option(url, name, values[-1]) for name, values in query.items()}


def _option(url: str, name: str, text: str) -> Any:
    try:
        if name == "db":
            return int(text)
        if name in {"socket_timeout", "socket_connect_timeout"}:
            return float(text)
    except ValueError as error:
        raise ConfigError(f"{redact(url)!r}: {name} must be a number, found {text!r}") from error
    return {"true": True, "false": False}.get(text.lower(), text)


def _addresses(url: str, parts: SplitResult, port: int) -> list[tuple[str, int]]:
    """Return the hosts of an address with several, which urllib does not split."""
    hosts = [urlsplit(f"//{item}") for item in parts.netloc.rpartition("@")[2].split(",") if item]
    return [(unquote(host.hostname or "localhost"), _port(url, host) or port) for host in hosts]


def _port(url: str, parts: SplitResult) -> int | None:
    try:
        return parts.port
    except ValueError as error:
        raise ConfigError(f"{redact(url)!r}: the port must be a number from 1 to 65535") from error


def _database(url: str, path: str) -> int:
    text = path.strip("/")
    if text and not text.isdigit():
        raise ConfigError(f"{redact(url)!r}: the database must be a number, found {text!r}")
    return int(text or 0)


def _user(parts: SplitResult) -> dict[str, str]:
    found = {"username": parts.username, "password": parts.password}
    return {name: unquote(value) for name, value in found.items() if value}


def _user_of_several(parts: SplitResult) -> dict[str, str]:
    """Return user and password of an address with several hosts."""
    return _user(parts._replace(netloc=parts.netloc.rpartition("@")[0] + "@several"))


# -- what every connection is told


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


def _unix(path: str) -> dict[str, Any]:
    import redis

    return {"connection_class": redis.UnixDomainSocketConnection, "path": path, **_common()}


def _host() -> str:
    return re.sub(r"[^\w.-]", "-", socket.gethostname(), flags=re.ASCII)  # no blanks in a client's name


def _constructed(url: str, client: "redis.Redis") -> "redis.Redis":
    """Make a connection object once, without connecting: redis-py looks at most options only then."""
    from redis.exceptions import RedisError

    try:
        client.connection_pool.make_connection()
    except (TypeError, ValueError, RedisError) as error:
        raise ConfigError(f"{redact(url)!r} has an option that does not fit: {error}") from error
    return client


# -- what a server must be


def _check(client: "redis.Redis", url: str, *, allow_eviction: bool) -> None:
    """See that the server answers, is new enough and does not throw keys away.

    A user that may not ask (ACL) is believed: the rights that flowq asks for do not include INFO.
    """
    from redis.exceptions import NoPermissionError

    from flowq.store.errors import Translated

    name = f"the server at {redact(url)}"
    with Translated(name):
        try:
            facts: dict[str, Any] = client.info("server")
            facts |= client.info("memory")
        except NoPermissionError:
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
