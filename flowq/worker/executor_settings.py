"""Executors as `[executors.NAME]` of a settings file describes them: one frozen record, checked before a worker starts."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from importlib.util import find_spec
from typing import Any, Final

from flowq import defaults
from flowq.config import load_settings
from flowq.durations import parse_duration
from flowq.exceptions import ConfigError, TimeoutFormatError
from flowq.plan.resources import KINDS

_TYPES: Final = ("pipe", "dask", "ray")
_CLUSTERS: Final = {"dask": ("distributed", "tcp://scheduler:8786"), "ray": ("ray", "head:6379")}
"""Types of clusters: the package of their client, and an example of an address."""
_PER: Final = ("host", "job")
_PLACEHOLDERS: Final = ("python", "host", *KINDS)
_PLACEHOLDER: Final = re.compile(r"\{([a-z_]*)\}")
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


@dataclass(frozen=True, slots=True)
class ExecutorSettings:
    """One executor. The names are those of the keys in the file.

    Attributes:
        name: of its table.
        type: "pipe", "dask" or "ray".
        source: the file.
        command: of a pipe: the program whose stdin and stdout lead to a node, with placeholders.
        per: of a pipe: "host", one node for many jobs, or "job", a node for each.
        hosts: of a pipe for each host: values of `{host}`.
        address: of a cluster: that of its scheduler or head.
        python: the interpreter on the nodes, `{python}`; "" is this one.
        slots: jobs at once, unless the worker's command says so.
        start_timeout: s until a job has begun, counted from the request to the engine.
        ignore: resources that need not be passed to the engine.
        environment: variables that commands inherit, beside a few that every program needs.
        log: level and forms of the log, as of the worker; no key of the file.
    """

    name: str
    type: str
    source: str
    command: tuple[str, ...] = ()
    per: str = "host"
    hosts: tuple[str, ...] = ()
    address: str = ""
    python: str = ""
    slots: int = 1
    start_timeout: float = 3600.0
    ignore: tuple[str, ...] = ()
    environment: tuple[str, ...] = ()
    log: tuple[str, str, str] = ("info", defaults.DEFAULT_LOGGING_FORMAT, defaults.DEFAULT_LOGGING_DATE_FORMAT)

    def refusal(self, resources: Mapping[str, float]) -> str:
        """Return why a job that asks for these resources cannot be executed, "" if it can."""
        passed = _placeholders(self.command) if self.type == "pipe" else KINDS.keys() - {"time"}  # which clusters do not know
        lacking = [name for name in resources if name not in passed and name not in self.ignore]
        if not lacking:
            return ""
        names = ", ".join(lacking)
        remedy = f"put {{{lacking[0]}}} into its command, or " if self.type == "pipe" else "put "
        return (
            f"it asks for {names} (`resources`), which executor {self.name} does not pass on: {remedy}"
            f'"{lacking[0]}" into its list `ignore` ({self.source})'
        )


def load_executor(name: str) -> ExecutorSettings:
    """Return the settings of an executor.

    Raises:
        ConfigError: there is none of that name, or its settings are wrong.
    """
    setting = load_settings().executors
    tables = {} if setting is None else json.loads(setting.value)
    if name not in tables:
        known = f"; there are {', '.join(sorted(tables))} ({setting.source})" if setting is not None and tables else ""
        raise ConfigError(f"no executor {name}: `[executors.{name}]` in flowq.toml describes it{known}")
    assert setting is not None
    return read_executor(name, tables[name], setting.source)


def read_executor(name: str, table: object, source: str) -> ExecutorSettings:
    """Return the settings of a table.

    Raises:
        ConfigError: a key or a value is wrong; the message names the file, the key and what is expected.
    """
    where = f"{source}: executors.{name}"
    if not _NAME.fullmatch(name):
        raise ConfigError(f"{where}: a name has letters, digits, _ and -, 64 at most")
    if not isinstance(table, dict):
        raise ConfigError(f"{where} must be a table")
    keys = [item.name for item in fields(ExecutorSettings)][3:-1]
    for key, value in table.items():
        if key not in {"type", *keys}:
            raise ConfigError(f"{where}: unknown key {key!r}, expected one of: type, {', '.join(keys)}")
        _check_type(where, key, value)
    given: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in table.items()}
    if "start_timeout" in given:
        given["start_timeout"] = _seconds(where, given["start_timeout"])
    kind = given.pop("type", None)
    if kind not in _TYPES:
        raise ConfigError(f"{where}: type must be one of {', '.join(_TYPES)}, found {kind!r}")
    settings = ExecutorSettings(name, kind, source, **({"per": _per(given)} | given))
    if unknown := [name for name in settings.ignore if name not in KINDS]:
        raise ConfigError(f"{where}: ignore has {unknown[0]!r}, expected some of {', '.join(KINDS)}")
    if kind == "pipe":
        _check_pipe(where, settings)
    else:
        _check_cluster(where, settings, given)
    return settings


def _check_type(where: str, key: str, value: object) -> None:
    if key in {"command", "hosts", "ignore", "environment"}:
        if not isinstance(value, list) or not value or not all(isinstance(item, str) and item for item in value):
            raise ConfigError(f"{where}: {key} must be a list of strings, found {value!r}")
    elif key == "slots":
        if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= 512:
            raise ConfigError(f"{where}: slots must be a number from 1 to 512, found {value!r}")
    elif not isinstance(value, str) or not value:
        raise ConfigError(f"{where}: {key} must be a string that is not empty, found {value!r}")


def _seconds(where: str, text: str) -> float:
    try:
        return parse_duration(text)
    except TimeoutFormatError as error:
        raise ConfigError(f"{where}: start_timeout: {error}") from error


def _per(given: Mapping[str, Any]) -> str:
    """Return for what a pipe has one node, if the file does not say: a job with resources of its own needs one of its own."""
    return "job" if _placeholders(given.get("command", ())) & set(KINDS) else "host"


def _check_pipe(where: str, settings: ExecutorSettings) -> None:
    if not settings.command:
        raise ConfigError(
            f'{where}: a pipe needs a command, as in ["ssh", "{{host}}", "python3", "-P", "-m", "flowq.worker.node"]'
        )
    if settings.address:
        raise ConfigError(f"{where}: address is for executors of type dask and ray")
    if settings.per not in _PER:
        raise ConfigError(f"{where}: per must be host or job, found {settings.per!r}")
    found = _placeholders(settings.command)
    if unknown := sorted(found - set(_PLACEHOLDERS)):
        known = ", ".join(f"{{{name}}}" for name in _PLACEHOLDERS)
        raise ConfigError(f"{where}: command has {{{unknown[0]}}}, expected one of {known}")
    if settings.per == "host" and (resources := sorted(found & set(KINDS))):
        raise ConfigError(f'{where}: command has {{{resources[0]}}}, which differs from job to job: it needs `per = "job"`')
    if settings.per == "job" and settings.hosts:
        raise ConfigError(f'{where}: hosts is for `per = "host"`; with a node for each job, the command finds the machine')
    if bool(settings.hosts) != ("host" in found):
        raise ConfigError(f"{where}: hosts and {{host}} in command need one another")


def _check_cluster(where: str, settings: ExecutorSettings, given: Mapping[str, Any]) -> None:
    package, example = _CLUSTERS[settings.type]
    if not settings.address:
        raise ConfigError(f'{where}: {settings.type} needs the address of a cluster, as in "{example}"')
    for key in {"command", "per", "hosts", "environment"} & given.keys():
        raise ConfigError(f"{where}: {key} is for executors of type pipe")
    if find_spec(package) is None:
        raise ConfigError(
            f"{where}: type {settings.type} needs the package {package}: pip install 'flowq-workflows[{settings.type}]'"
        )


def _placeholders(command: "tuple[str, ...] | list[str]") -> set[str]:
    return {name for argument in command for name in _PLACEHOLDER.findall(argument)}
