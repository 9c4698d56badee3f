"""The configuration of a scheduler: a Python file or module that calls `register`."""

from collections.abc import Callable, Mapping
from inspect import signature
from typing import TYPE_CHECKING, Any

from flowq import defaults
from flowq.cron.job import CronJob
from flowq.exceptions import UsageError
from flowq.jobs.user_modules import NOT_IMPORTABLE, import_user_module

if TYPE_CHECKING:
    from datetime import tzinfo
    from types import ModuleType

_registered: list[dict[str, Any]] = []


def register(  # noqa: PLR0913, PLR0917 - RQ's signature
    func: Callable[..., Any] | str,
    queue_name: str,
    args: Any = None,
    kwargs: Mapping[str, Any] | None = None,
    interval: float | str | None = None,
    cron: str | None = None,
    job_timeout: float | str | None = None,
    result_ttl: float | str | None = defaults.RESULT_TTL,
    ttl: float | str | None = None,
    failure_ttl: float | str | None = None,
    meta: Mapping[str, Any] | None = None,
    webhooks: Any = None,
    name: str = "",
    *,
    timezone: "tzinfo | str | None" = None,
    catch_up: bool = True,
    **options: Any,
) -> dict[str, Any]:
    """Register a periodic job in a configuration file. Arguments as of `CronJob`.

    Returns:
        The registered data.

    Raises:
        UsageError: an argument is wrong; the message names it.
    """
    data = dict(locals())
    data |= data.pop("options")
    CronJob(**data)  # report errors at the line that calls `register`
    _registered.append(data)
    return data


def given(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return those of the registered arguments that are not defaults: subclasses of RQ's scheduler do not know all that flowq has."""
    known = signature(register).parameters
    return {name: value for name, value in data.items() if name not in known or value != known[name].default}


def taken() -> list[dict[str, Any]]:
    """Return the data registered since the last call."""
    found = list(_registered)
    _registered.clear()
    return found


def load(path: str) -> list[dict[str, Any]]:
    """Execute a configuration and return the data that it registers.

    Args:
        path: a Python file, or the dotted name of a module.

    Raises:
        UsageError: it cannot be found or executed, or registers nothing; the message names the line.
    """
    taken()
    module = import_user_module(path, "cron configuration")
    found = taken()
    if not found:
        raise UsageError(f"the cron configuration {path} registers nothing: it has to call flowq.cron.register(…)")
    if module.__name__.startswith(NOT_IMPORTABLE):
        _refuse_functions_of(module, path, found)
    return found


def entries(path: str, zone: "tzinfo | str | None" = None) -> list[CronJob]:
    """Return the entries of a configuration, to show them; `zone` is for expressions that name none."""
    return [CronJob(**{**data, "timezone": zone if data["timezone"] is None else data["timezone"]}) for data in load(path)]


def _refuse_functions_of(module: "ModuleType", path: str, found: list[dict[str, Any]]) -> None:
    for data in found:
        if getattr(data["func"], "__module__", None) == module.__name__:
            raise UsageError(
                f"{data['func'].__name__} is defined in {path}, which workers cannot import: move it into a module of theirs, or"
                " start the scheduler where the file can be imported (-P DIRECTORY)"
            )
