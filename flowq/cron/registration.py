"""The configuration of a scheduler: a Python file or module that calls `register`."""

from collections.abc import Callable, Mapping
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
    """Say in a configuration file that a function is to be put on a queue again and again. Arguments as of `CronJob`.

    Returns:
        What was registered.

    Raises:
        UsageError: something of it is not possible; says what.
    """
    data = dict(locals())
    data |= data.pop("options")
    CronJob(**data)  # whatever is wrong is said where it stands
    _registered.append(data)
    return data


def taken() -> list[dict[str, Any]]:
    """Return what was registered since the last call."""
    found = list(_registered)
    _registered.clear()
    return found


def load(path: str) -> list[dict[str, Any]]:
    """Execute a configuration and return what it registers.

    Args:
        path: a Python file, or the dotted name of a module.

    Raises:
        UsageError: it cannot be found or executed, or registers nothing; names the line.
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
    """Return the entries that a configuration registers, for those who only look; `zone` is of expressions that do not say theirs."""
    return [CronJob(**{**data, "timezone": zone if data["timezone"] is None else data["timezone"]}) for data in load(path)]


def _refuse_functions_of(module: "ModuleType", path: str, found: list[dict[str, Any]]) -> None:
    for data in found:
        if getattr(data["func"], "__module__", None) == module.__name__:
            raise UsageError(
                f"{data['func'].__name__} is defined in {path}, which workers cannot import: move it into a module of theirs, or"
                " start the scheduler where the file can be imported (-P DIRECTORY)"
            )
