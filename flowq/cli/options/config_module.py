"""`-c/--config`: a Python module with RQ's settings for the server, the queues and logging."""

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote, urlencode

from flowq.exceptions import UsageError

_SSL_OPTIONS: Final = {
    "REDIS_SSL_CA_CERTS": "ssl_ca_certs",
    "REDIS_SSL_CA_DATA": "ssl_ca_data",
    "REDIS_SSL_CERT_REQS": "ssl_cert_reqs",
    "REDIS_SSL_KEYFILE": "ssl_keyfile",
    "REDIS_SSL_CERTFILE": "ssl_certfile",
}
_TRUE: Final = frozenset({"y", "yes", "t", "true", "1"})
_FALSE: Final = frozenset({"n", "no", "f", "false", "0", ""})
_PLACE: Final = ("REDIS_HOST", "REDIS_PORT", "REDIS_DB", "REDIS_PASSWORD", "REDIS_SSL")


def read_settings(path: str) -> dict[str, Any]:
    """Return the upper-case names of a settings module.

    Args:
        path: the dotted name of the module, or its file.

    Raises:
        UsageError: it cannot be found, or its code raised an exception.
    """
    from flowq.jobs.user_modules import import_user_module

    module = import_user_module(path, "settings module")
    return {name: value for name, value in vars(module).items() if name.isupper()}


def url_of(settings: Mapping[str, Any], path: str) -> str | None:
    """Return the address of the server in the settings; None if they have none.

    Raises:
        UsageError: a setting is wrong; the message names it.
    """
    if settings.get("REDIS_URL") is not None:
        if not isinstance(settings["REDIS_URL"], str):
            raise UsageError(f"{path}: REDIS_URL must be a string, found {settings['REDIS_URL']!r}")
        return str(settings["REDIS_URL"])
    if settings.get("SENTINEL") is not None:
        return _sentinel(settings["SENTINEL"], path)
    if not any(settings.get(name) is not None for name in _PLACE):
        return None
    user = _user(None, settings.get("REDIS_PASSWORD"))
    scheme = "rediss" if _boolean(settings.get("REDIS_SSL", False), path) else "redis"
    place = f"{settings.get('REDIS_HOST') or 'localhost'}:{settings.get('REDIS_PORT') or 6379}/{settings.get('REDIS_DB') or 0}"
    options = {name: settings[key] for key, name in _SSL_OPTIONS.items() if settings.get(key) is not None}
    return f"{scheme}://{user}{place}" + (f"?{urlencode(options)}" if options and scheme == "rediss" else "")


def queues_of(settings: Mapping[str, Any], path: str) -> tuple[str, ...]:
    """Return the names of the queues in the settings.

    Raises:
        UsageError: `QUEUES` is no list of texts.
    """
    queues = settings.get("QUEUES") or ()
    if not isinstance(queues, (list, tuple)) or not all(isinstance(name, str) for name in queues):
        raise UsageError(f"{path}: QUEUES must be a list of names, found {queues!r}")
    return tuple(queues)


def _sentinel(sentinel: Any, path: str) -> str:
    if not isinstance(sentinel, Mapping):
        raise UsageError(f"{path}: SENTINEL must be a dictionary, found {sentinel!r}")
    places = sentinel.get("INSTANCES") or [("localhost", 26379)]
    try:
        hosts = ",".join(f"{host}:{int(port)}" for host, port in places)
    except (TypeError, ValueError) as error:
        raise UsageError(f"{path}: SENTINEL['INSTANCES'] must be a list of (host, port), found {places!r}") from error
    scheme = "rediss+sentinel" if sentinel.get("SSL") else "redis+sentinel"
    user = _user(sentinel.get("USERNAME"), sentinel.get("PASSWORD"))
    own = _mapping(sentinel, "SENTINEL_KWARGS", path)
    options = {f"sentinel_{name}": own[name] for name in ("username", "password") if own.get(name) is not None}
    if sentinel.get("SOCKET_TIMEOUT") is not None:
        options["socket_timeout"] = sentinel["SOCKET_TIMEOUT"]
    options |= {name: value for name, value in _mapping(sentinel, "CONNECTION_KWARGS", path).items() if value is not None}
    url = f"{scheme}://{user}{hosts}/{quote(str(sentinel.get('MASTER_NAME') or 'mymaster'), safe='')}/{sentinel.get('DB') or 0}"
    return url + (f"?{urlencode(options)}" if options else "")


def _mapping(sentinel: Mapping[str, Any], key: str, path: str) -> Mapping[str, Any]:
    found = sentinel.get(key) or {}
    if not isinstance(found, Mapping):
        raise UsageError(f"{path}: SENTINEL[{key!r}] must be a dictionary, found {found!r}")
    return found


def _user(name: str | None, password: str | None) -> str:
    if not name and not password:
        return ""
    return f"{quote(str(name or ''), safe='')}:{quote(str(password or ''), safe='')}@"


def _boolean(value: Any, path: str) -> bool:
    text = str(value).lower()
    if text not in _TRUE | _FALSE:
        raise UsageError(f"{path}: REDIS_SSL must be true or false, found {value!r}")
    return text in _TRUE
