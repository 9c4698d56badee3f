"""What a job asks of the machine that executes it (`resources`)."""

import re
from collections.abc import Mapping
from typing import Any, Final

from flowq.durations import format_duration, parse_duration
from flowq.exceptions import UsageError

KINDS: Final = {
    "cpus": "processors",
    "memory": "bytes",
    "gpus": "accelerators",
    "disk": "bytes of temporary files",
    "time": "seconds that the engine is asked for",
}
"""The resources by name, each with its unit as it is stored and passed on."""

SIZE: Final = "bytes as a number, or text such as 512M, 8G or 1.5T (powers of 1024)"

_SIZE: Final = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,9})?)\s*([KMGT]?)(?:i?B)?", re.IGNORECASE)
_UNITS: Final = {"": 1, "K": 1024, "M": 1024**2, "G": 1024**3, "T": 1024**4}
_MOST: Final = {"cpus": 100_000, "gpus": 100_000}
_MAX_SIZE: Final = 1024**5  # bytes; more is a typing error


def parse_resource(name: str, value: object) -> float:
    """Return the amount of a resource, in the unit of `KINDS`.

    Raises:
        UsageError: it is none.

    Example:
        >>> parse_resource("memory", "8G")
        8589934592
    """
    if name == "time":
        seconds = parse_duration(value)
        if not seconds:
            raise UsageError("a duration of 0 leaves no time at all")
        return seconds
    return _size(value) if name in {"memory", "disk"} else _count(name, value)


def parse_resources(values: Mapping[str, Any]) -> dict[str, float]:
    """Return the amounts of resources. One that is null or empty is not asked for.

    Raises:
        UsageError: a value is none; the message names the resource.
    """
    found = {}
    for name, value in values.items():
        if value is None or value == "":
            continue
        try:
            found[name] = parse_resource(name, value)
        except UsageError as error:
            raise UsageError(f"resources.{name}: {error}") from error
    return found


def describe_resources(amounts: Mapping[str, float]) -> str:
    """Return amounts as a user writes them: `cpus 4, memory 8G`."""
    return ", ".join(f"{name} {_shown(name, amount)}" for name, amount in amounts.items())


def _count(name: str, value: object) -> int:
    number = value
    if isinstance(value, str) and value.isascii() and value.isdecimal():
        number = int(value)
    if isinstance(number, float) and number.is_integer():
        number = int(number)
    least = 1 if name == "cpus" else 0
    if not isinstance(number, int) or isinstance(number, bool) or not least <= number <= _MOST[name]:
        raise UsageError(f"expected a whole number from {least} on, found {value!r:.60}")
    return number


def _size(value: object) -> int:
    match = (
        _SIZE.fullmatch(str(value).strip()) if isinstance(value, (int, float, str)) and not isinstance(value, bool) else None
    )
    size = 0 if match is None else round(float(match[1]) * _UNITS[match[2].upper()])
    if not 0 < size <= _MAX_SIZE:
        raise UsageError(f"expected {SIZE}, found {value!r:.60}")
    return size


def _shown(name: str, amount: float) -> str:
    if name == "time":
        return format_duration(amount)
    if name in {"memory", "disk"}:
        unit = next((unit for unit in "TGMK" if amount >= _UNITS[unit]), "")
        return f"{amount / _UNITS[unit]:g}{unit}"
    return f"{amount:g}"
