"""Settings: their values and sources.

A setting comes from the first source that has it: an argument (`-u`), the environment, the nearest `flowq.toml` or
`[tool.flowq]` in a `pyproject.toml` (walking up from the working directory), else its default. The TOML parser is imported only
if such a file exists.
"""

import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from flowq.durations import parse_duration
from flowq.exceptions import ConfigError, TimeoutFormatError
from flowq.isolation import read_isolation

NAMESPACE: Final = "flowq"

_NAMESPACE = re.compile(r"[A-Za-z0-9_.:-]{1,64}")  # braces would end the hash tag, spaces would need quoting
_LARGEST = 4 * 1024 * 1024  # bytes of a file of settings
_STORE = re.compile(r"file:///.|(?!file:)[a-z][a-z0-9+.-]*://.")
_PASSWORD = re.compile(
    r"""(?P<before>(?://|^|["' ])[^/@:\s"']*:(?!//|\s)|//(?=[^/@:]+@)).*(?=@)|(?P<query>[?&]\w*(?:pass|secret|token|credential)\w*=)[^&]*""",
    re.DOTALL | re.IGNORECASE,
)
"""What may be a password, also in an address that is wrong: without a scheme, or with characters that had to be escaped. So all counts up to the last `@`."""


@dataclass(frozen=True, slots=True)
class Setting:
    """A value and its source, such as "FLOWQ_REDIS_URL" or "/home/me/project/flowq.toml"."""

    value: str
    source: str


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings; None if not set."""

    url: Setting | None  # of the server; None: the embedded one
    namespace: Setting
    home: Setting | None  # directory of the embedded server; None: the default, see `flowq.embedded.directory`
    allow_eviction: Setting  # "true" or "false": use a server although it may evict keys
    keep_place: Setting  # how long a run without a worker keeps its place in its concurrency group: a duration such as "24h"
    python: Setting | None  # interpreter of jobs with `call`, absolute or `~/…`, for flows that name none; None: the worker's

    isolation: Setting | None  # of the jobs of a worker, see `flowq.isolation`; None: `job`
    store: Setting | None  # address of the file store, for what is too large for the server; None: there is none
    heartbeat: Setting | None  # where schedulers tell that they live: "$NAME" of a variable, or a file, with the address
    notify: Setting | None  # messages about the runs of all flows: JSON of the file's value, which the compiler checks
    executors: (
        Setting | None
    )  # where jobs can be executed, by name: JSON likewise, which `flowq.worker.executor_settings` checks

    def __iter__(self) -> Iterator[tuple[str, Setting | None]]:
        """Yield name and setting. Passwords in URLs are not hidden: see `redact`."""
        return ((item.name, getattr(self, item.name)) for item in fields(self))


_VARIABLES: Final = {
    "url": "FLOWQ_REDIS_URL",
    "namespace": "FLOWQ_NAMESPACE",
    "home": "FLOWQ_HOME",
    "allow_eviction": "FLOWQ_ALLOW_EVICTION",
    "keep_place": "FLOWQ_KEEP_PLACE",
    "python": "FLOWQ_PYTHON",
    "isolation": "FLOWQ_ISOLATION",
    "store": "FLOWQ_STORE",
    "heartbeat": "FLOWQ_HEARTBEAT",
}
_URL_SOURCE: Final = "_FLOWQ_URL_SOURCE"  # from one process of flowq to another, see `environment_of`
_OF_FILES: Final = ("notify", "executors")  # settings without a variable
_BOOLEANS: Final = {"1": "true", "true": "true", "yes": "true", "0": "false", "false": "false", "no": "false"}


def load_settings(
    url: str | Setting | None = None,
    namespace: str | None = None,
    *,
    directory: str | Path | None = None,
    environ: Mapping[str, str] = os.environ,
) -> Settings:
    """Return the effective settings.

    Args:
        url: the server, which takes precedence over all other sources; a `Setting` tells what its source is called.
        namespace: the namespace, likewise.
        directory: where the search for a file starts; None: the working directory.
        environ: the environment. An empty variable counts as not set.

    Raises:
        ConfigError: a value is wrong; the message names the source, the key and the expected value.
    """
    found = _from_file(Path(directory) if directory is not None else Path.cwd())
    for name, variable in _VARIABLES.items():
        if environ.get(variable):
            value = environ[variable]
            if name == "python" and value[0] != "~":
                value = str(Path.cwd() / value)
            source = _source_of_url(value, environ) if name == "url" else variable
            found[name] = Setting(f"${variable}" if name == "heartbeat" else value, source)
    for name, argument in (("url", url), ("namespace", namespace)):
        if argument:
            found[name] = argument if isinstance(argument, Setting) else Setting(argument, "argument")
    return Settings(
        url=found.get("url"),
        namespace=_checked_namespace(found.get("namespace", Setting(NAMESPACE, "default"))),
        home=found.get("home"),
        allow_eviction=_checked_boolean(found.get("allow_eviction", Setting("false", "default")), "allow_eviction"),
        keep_place=_checked_duration(found.get("keep_place", Setting("24h", "default")), "keep_place"),
        python=found.get("python"),
        isolation=_checked_isolation(found.get("isolation")),
        store=_checked_store(found.get("store")),
        heartbeat=found.get("heartbeat"),
        notify=found.get("notify"),
        executors=found.get("executors"),
    )


def variable_of(name: str) -> str:
    """Return the environment variable of a setting; "" of one that only a file can have."""
    return _VARIABLES.get(name, "")


def environment_of(url: Setting) -> dict[str, str]:
    """Return the variables with which another process of flowq uses a server, and names its source as this process does.

    An address is no argument of a process: every user of the machine can read command lines.
    """
    return {_VARIABLES["url"]: url.value, _URL_SOURCE: f"{url.source}\n{url.value}"}


def redact(url: str) -> str:
    """Return a URL with its passwords replaced by `***`, for messages and logs."""
    return _PASSWORD.sub(lambda match: f"{match['before'] or match['query'] or ''}***", url)


# -- files


def settings_files(directory: str | Path) -> Iterator[str]:
    """Yield where the settings of a directory are looked for: the first file that has any counts, and the rest does not."""
    place = Path(directory)
    return (os.path.join(folder, name) for folder in (place, *place.parents) for name in ("flowq.toml", "pyproject.toml"))


def file_setting(name: str, directory: str) -> Setting | None:
    """Return a setting as the file of a directory has it, whatever the environment says.

    Raises:
        ConfigError: the file cannot be used; as of `load_settings`.
    """
    return _from_file(Path(directory)).get(name)


def _from_file(directory: Path) -> dict[str, Setting]:
    """Return the settings of the nearest file that has any; `flowq.toml` takes precedence over the `pyproject.toml` beside it."""
    for name in settings_files(directory):
        if not os.path.lexists(name):
            continue
        path = Path(name)
        text = _read(path)
        if text is None or (path.name == "pyproject.toml" and "flowq" not in text):  # most need no parsing
            continue
        table = _table(path, text)
        if table is not None:
            return {key: _setting(path, key, value) for key, value in table.items()}
    return {}


def _read(path: Path) -> str | None:
    """Return the text of a file; None if it does not exist, or if any user could have written it.

    A command that is run below /tmp must not connect to a server that another user wrote into /tmp/flowq.toml.
    """
    try:
        # Non-blocking: opening a named pipe would otherwise wait for a writer without an end.
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            text = file.read(_LARGEST + 1).decode()
        if len(text) > _LARGEST:
            raise ConfigError(f"{path} has more than {_LARGEST:,} bytes: it is no file of settings")
        open_to_all = path.parent.stat().st_mode & 0o002
        return None if open_to_all and path.stat().st_uid != os.geteuid() else text
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}") from error


def _table(path: Path, text: str) -> dict[str, Any] | None:
    """Return the file's settings; None for a pyproject.toml without a `[tool.flowq]`."""
    try:
        document = _document(text)
    except ValueError as error:
        raise ConfigError(f"{path} is not valid TOML{_detail(path, str(error))}") from error
    if path.name == "flowq.toml":
        return document
    tool = document.get("tool", {})
    table = tool.get("flowq") if isinstance(tool, dict) else None
    if table is not None and not isinstance(table, dict):
        raise ConfigError(f"{path}: tool.flowq must be a table{_found(path, table)}")
    return table


@lru_cache(maxsize=8)
def _document(text: str) -> dict[str, Any]:
    """Return what a TOML file says, not to be changed. Parsing takes longer than a small flow, and each flow of a directory asks again."""
    import tomllib

    return tomllib.loads(text)


def _setting(path: Path, key: str, value: object) -> Setting:
    if key in _OF_FILES:
        return Setting(json.dumps(value, default=str), str(path))
    if key not in _VARIABLES:
        named = f" {key!r}" if _is_own(path) else ""
        raise ConfigError(f"{path}: unknown key{named}, expected one of: {', '.join((*_VARIABLES, *_OF_FILES))}")
    if key == "allow_eviction":
        if not isinstance(value, bool):
            raise ConfigError(f"{path}: {key} must be true or false{_found(path, value)}")
        return Setting(str(value).lower(), str(path))
    if key == "heartbeat":
        return _reference(path, key, value)
    if key == "isolation" and isinstance(value, dict):
        return Setting(",".join(f"{queue}={word}" for queue, word in value.items()), str(path))
    if not isinstance(value, str) or not value:
        raise ConfigError(f"{path}: {key} must be a string that is not empty{_found(path, value)}")
    if key == "home":  # relative to the file, not to the working directory
        return Setting(str(path.parent / Path(value).expanduser()), str(path))
    if key == "python":  # a home directory is that of the worker's user
        return Setting(value if value[0] == "~" else str(path.parent / value), str(path))
    return Setting(value, str(path))


def _reference(path: Path, key: str, value: object) -> Setting:
    """Return a reference to an address, which may be secret and stands in no file of the project."""
    (place, name), *more = value.items() if isinstance(value, dict) and value else [("", "")]
    if more or place not in {"env", "file"} or not isinstance(name, str) or not name:
        raise ConfigError(f'{path}: {key} must be {{env = "NAME"}} or {{file = "PATH"}} with the address{_found(path, value)}')
    return Setting(f"${name}" if place == "env" else str(path.parent / Path(name).expanduser()), str(path))


def _is_own(path: Path) -> bool:
    """Return whether a file is no link out of its directory: what a link of others points to may be secret, and is not quoted."""
    return path.resolve().is_relative_to(path.parent.resolve())


def _found(path: Path, value: object) -> str:
    return f", found {redact(repr(value))}" if _is_own(path) else ""


def _detail(path: Path, text: str) -> str:
    """Return what the parser says; of a link out of the directory only the place."""
    place = re.search(r"\(at [^()]*\)$", text)
    return f": {text}" if _is_own(path) else f" {place[0]}" if place else ""


# -- values


def _checked_namespace(setting: Setting) -> Setting:
    if not _NAMESPACE.fullmatch(setting.value):
        raise ConfigError(
            f"namespace must be 1 to 64 letters, digits and _ . : -, found {setting.value!r} (from {describe(setting, 'namespace')})"
        )
    return setting


def _checked_boolean(setting: Setting, name: str) -> Setting:
    value = _BOOLEANS.get(setting.value.lower())
    if value is None:
        raise ConfigError(f"{name} must be true or false, found {setting.value!r} (from {describe(setting, name)})")
    return Setting(value, setting.source)


def _checked_duration(setting: Setting, name: str) -> Setting:
    try:
        parse_duration(setting.value)
    except TimeoutFormatError as error:
        raise ConfigError(f"{name}: {error} (from {describe(setting, name)})") from error
    return setting


def _checked_isolation(setting: Setting | None) -> Setting | None:
    if setting is not None:
        try:
            read_isolation(setting.value)
        except ValueError as error:
            raise ConfigError(f"isolation: {error} (from {describe(setting, 'isolation')})") from error
    return setting


def _checked_store(setting: Setting | None) -> Setting | None:
    if setting is not None and not _STORE.match(setting.value):
        raise ConfigError(
            f"store must be an address such as file:///shared/flowq or s3://bucket/flowq, found {redact(setting.value)!r}"
            f" (from {describe(setting, 'store')})"
        )
    return setting


def _source_of_url(url: str, environ: Mapping[str, str]) -> str:
    """Return where the address in the environment comes from: what `environment_of` says, as long as it is about this address."""
    source, _, of = environ.get(_URL_SOURCE, "").partition("\n")
    return source if of == url else _VARIABLES["url"]


def describe(setting: Setting, name: str) -> str:
    """Return where a setting comes from, for messages."""
    return f"the argument {name!r}" if setting.source == "argument" else setting.source
