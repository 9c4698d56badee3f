"""Numbers that Lua and Python share: in Lua, `D.RESULT_TTL` is replaced by its value in the table below."""

import re
from typing import Final

from flowq import defaults

TIME_BOUNDS: Final = (10, 50, 100, 500, 1_000, 5_000, 30_000, 60_000, 300_000, 1_800_000, 7_200_000, 86_400_000)
"""Bounds (ms) of the buckets in which times are counted, up to a day."""

COUNTED_NAMES: Final = 200
"""Flows, queues and schedules, each, that are counted by their names: those of others are counted together."""

COUNTED_SERIES: Final = 50_000
"""Counters from which on no more names are counted by themselves."""

CONSTANTS: Final[dict[str, int | tuple[int, ...]]] = {
    "RESULT_TTL": int(defaults.RESULT_TTL * 1000),  # ms
    "FAILURE_TTL": int(defaults.FAILURE_TTL * 1000),  # ms
    "CALLBACK_TIMEOUT": int(defaults.CALLBACK_TIMEOUT * 1000),  # ms
    "RESULTS_KEPT": defaults.RESULTS_KEPT,
    "TIME_BOUNDS": TIME_BOUNDS,
    "COUNTED_NAMES": COUNTED_NAMES,
    "COUNTED_SERIES": COUNTED_SERIES,
}

_CONSTANT: Final = re.compile(r"\bD\.(\w+)")


def with_constants(lua: str) -> str:
    """Return a Lua text with the constants written out."""
    return _CONSTANT.sub(lambda match: _written(CONSTANTS[match[1]]), lua)


def _written(value: int | tuple[int, ...]) -> str:
    return str(value) if isinstance(value, int) else f"{{ {', '.join(map(str, value))} }}"
