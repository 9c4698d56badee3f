"""Addresses of servers: parsed, checked, and written for another process. Errors never contain a password.

redis://[user[:password]@]host[:port][/db]                      rediss:// likewise, with TLS
unix:///path/to/socket[?db=n]
redis+sentinel://[user[:password]@]host[:port][,host[:port]…]/service[/db]      rediss+sentinel:// likewise, with TLS
redis+cluster://[user[:password]@]host[:port][,host[:port]…]    rediss+cluster:// likewise, with TLS
"""

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import SplitResult, parse_qs, quote, unquote, urlencode, urlsplit

from flowq.config import redact
from flowq.exceptions import ConfigError

if TYPE_CHECKING:
    import redis

PORT: Final = 6379
SENTINEL_PORT: Final = 26379

_SCHEMES: Final = ("redis", "rediss", "unix", "redis+sentinel", "rediss+sentinel", "redis+cluster", "rediss+cluster")
_OPTIONS: Final = re.compile(
    r"db|socket_timeout|socket_connect_timeout|socket_keepalive|ssl_\w+|sentinel_username|sentinel_password"
)
_HOST: Final = re.compile(r"[\w.-]+(?::\d+)?(?:/\d*)?")  # an address without its scheme, and without a password
_ESCAPES: Final = "in a password `/` is written %2F, `?` %3F, `#` %23, `[` %5B, `]` %5D, `@` %40 and `%` %25"


def is_deleted(client: "redis.Redis") -> bool:
    """Return whether the directory of the socket to which this client connects does not exist; False for other addresses."""
    path = str(client.connection_pool.connection_kwargs.get("path") or "")
    return bool(path) and not Path(path).parent.is_dir()


def url_of(client: "redis.Redis") -> str:
    """Return the address with which another process creates an equal client. It holds the password: keep it off command lines.

    Raises:
        ConfigError: no address can express this kind of client, and FLOWQ_REDIS_URL is not set.
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


def parse(url: str) -> tuple[SplitResult, dict[str, Any]]:
    """Return the parts of an address and its options; refuse unknown options, some of which redis-py ignores."""
    scheme = url.partition("://")[0]
    if scheme not in _SCHEMES or "://" not in url:
        meant = url if _HOST.fullmatch(url) else url.partition("://")[2] if scheme in {"http", "https", "tcp"} else ""
        hint = f"; did you mean redis://{meant}?" if _HOST.fullmatch(meant) else ""
        raise ConfigError(
            f"{redact(url)!r} is not a server's address, expected one that starts with {', '.join(f'{s}://' for s in _SCHEMES)}{hint}"
        )
    try:
        parts = urlsplit(url)
        query = parse_qs(parts.query, strict_parsing=bool(parts.query))
    except ValueError as error:
        raise ConfigError(f"{redact(url)!r} is not a server's address: {_without_password(str(error))}") from None
    unknown = [name for name in query if not _OPTIONS.fullmatch(name)]
    if unknown:
        raise ConfigError(
            f"{redact(url)!r}: unknown option {_without_password(repr(unknown[0]))}, expected db, socket_timeout, ssl_ca_certs or another ssl_ option"
        )
    return parts, {name: _option(url, name, values[-1]) for name, values in query.items()}


def _without_password(text: str) -> str:
    """Return a part of an address for a message; where it may be the end of a password, how that is written."""
    return f"the part before the host; {_ESCAPES}" if "@" in text else text


def _option(url: str, name: str, text: str) -> Any:
    try:
        if name == "db":
            return int(text)
        if name in {"socket_timeout", "socket_connect_timeout"}:
            return float(text)
    except ValueError as error:
        raise ConfigError(f"{redact(url)!r}: {name} must be a number, found {_without_password(repr(text))}") from error
    return {"true": True, "false": False}.get(text.lower(), text)


def addresses(url: str, parts: SplitResult, port: int) -> list[tuple[str, int]]:
    """Return the hosts of an address with several hosts, which urllib does not split."""
    hosts = [urlsplit(f"//{item}") for item in parts.netloc.rpartition("@")[2].split(",") if item]
    return [(unquote(host.hostname or "localhost"), port_of(url, host) or port) for host in hosts]


def port_of(url: str, parts: SplitResult) -> int | None:
    """Return the port of an address, or None."""
    try:
        return parts.port
    except ValueError:
        hint = f"; {_ESCAPES}" if "@" in url.rpartition(parts.netloc)[2] else ""
        raise ConfigError(f"{redact(url)!r}: the port must be a number from 1 to 65535{hint}") from None


def database(url: str, path: str) -> int:
    """Return the database number in the path of an address; 0 if there is none."""
    text = path.strip("/")
    if text and not text.isdigit():
        raise ConfigError(f"{redact(url)!r}: the database must be a number, found {_without_password(repr(text))}")
    return int(text or 0)


def user(parts: SplitResult) -> dict[str, str]:
    """Return user name and password of an address, as arguments for a client."""
    found = {"username": parts.username, "password": parts.password}
    return {name: unquote(value) for name, value in found.items() if value}


def user_of_several(parts: SplitResult) -> dict[str, str]:
    """Return user name and password of an address with several hosts."""
    return user(parts._replace(netloc=parts.netloc.rpartition("@")[0] + "@several"))
