"""Numbers that Lua and Python share: in Lua, `D.RESULT_TTL` is replaced by its value in the table below."""

import re
from typing import Final

from flowq import defaults

CONSTANTS: Final[dict[str, int]] = {
    "RESULT_TTL": int(defaults.RESULT_TTL * 1000),  # ms
    "FAILURE_TTL": int(defaults.FAILURE_TTL * 1000),  # ms
    "CALLBACK_TIMEOUT": int(defaults.CALLBACK_TIMEOUT * 1000),  # ms
    "RESULTS_KEPT": defaults.RESULTS_KEPT,
}

_CONSTANT: Final = re.compile(r"\bD\.(\w+)")


def with_constants(lua: str) -> str:
    """Return a Lua text with the constants written out."""
    return _CONSTANT.sub(lambda match: str(CONSTANTS[match[1]]), lua)
