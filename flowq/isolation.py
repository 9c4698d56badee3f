"""How far the jobs of a queue are kept apart: `job`, a process for each, or `batch`, one for several that leave nothing behind in it.

A setting is one of the two words, for all queues, and `QUEUE=WORD` for one, with commas between: `batch,payments=job`.
"""

from collections.abc import Mapping
from typing import Final

JOB: Final = "job"
BATCH: Final = "batch"
EXPECTED: Final = "job or batch, for some queues as in batch,payments=job"


def read_isolation(text: str) -> dict[str, str]:
    """Return the word of each queue that is named, and under "" that of all others if there is one.

    Raises:
        ValueError: it is no such setting.
    """
    found: dict[str, str] = {}
    for item in text.split(","):
        queue, _, word = item.strip().rpartition("=")
        if word not in {JOB, BATCH} or queue in found:
            raise ValueError(f"expected {EXPECTED}, found {text!r}")
        found[queue] = word
    return found


def is_shared(setting: Mapping[str, str], queue: str, asked: str = "") -> bool:
    """Return whether a job may share its process: the worker's setting or the job asks for that, and neither refuses."""
    words = {setting.get(queue, setting.get("", "")), asked}
    return BATCH in words and JOB not in words
