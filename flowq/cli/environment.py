"""Variables of the environment that look like settings of flowq, and are none."""

import re
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Final

from flowq.worker.ipc.platform import PRIVATE

_PREFIX: Final = "FLOWQ_"
_OF_JOBS: Final = frozenset(
    f"{_PREFIX}{name}"
    for name in ("ATTEMPT", "EXECUTION", "FLOW_DIR", "IDEMPOTENCY_KEY", "JOB_ID", "JOB_NAME", "OUTPUT", "RUN_ID")
)  # what flowq sets for jobs, which may call flowq in turn
_VALUE: Final = re.compile(rf"{_PREFIX}V\d+")
_LIKENESS: Final = 0.75  # of names without the prefix: HOEM and HOME have it, DATA and STORE have not
_SETTINGS: Final = {name.removeprefix(_PREFIX): name for name in PRIVATE if name.startswith(_PREFIX)}


def misspelt(environ: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield variables that nothing reads, with the setting that each of them resembles.

    Others that begin as flowq's do may be a user's own: nothing is said about them, nor about empty ones, which count as not set.
    """
    for name, value in environ.items():
        if not value or not name.upper().startswith(_PREFIX) or name in PRIVATE or name in _OF_JOBS or _VALUE.fullmatch(name):
            continue
        rest = name.upper().removeprefix(_PREFIX)
        alike = get_close_matches(rest, _SETTINGS, 1, _LIKENESS) or [known for known in _SETTINGS if rest in known.split("_")]
        if alike:
            yield name, _SETTINGS[alike[0]]
