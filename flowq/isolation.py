"""How far the jobs of a queue are kept apart: `job`, a process for each, or `batch`, one for several that leave nothing behind in it.

A setting is one of the two words, for all queues, and `QUEUE=WORD` for one, with commas between: `batch,payments=job`. `batch:20` is `batch` with
at most so many jobs in one process.
"""

import re
from collections.abc import Collection, Mapping
from typing import Final

JOB: Final = "job"
BATCH: Final = "batch"
MOST: Final = 100  # jobs in one process, unless a setting has another number
EXPECTED: Final = "job, batch or batch:NUMBER, for some queues as in batch,payments=job"
_WORD: Final = re.compile(r"job|batch(:[1-9][0-9]{0,5})?")


def read_isolation(text: str) -> dict[str, str]:
    """Return the word of each queue that is named, and under "" that of all others if there is one.

    Raises:
        ValueError: it is no such setting.
    """
    found: dict[str, str] = {}
    for item in text.split(","):
        queue, _, word = item.strip().rpartition("=")
        if not _WORD.fullmatch(word) or queue in found:
            raise ValueError(f"expected {EXPECTED}, found {text!r}")
        found[queue] = word
    return found


def jobs_in_process(setting: Mapping[str, str], queue: str, asked: str = "") -> int:
    """Return how many jobs may have one process, one after the other, if this is one of them; 0 if it has a process of its own.

    It may share one if the worker's setting or the job asks for that, and neither refuses. The number is the worker's.
    """
    word, _, most = setting.get(queue, setting.get("", "")).partition(":")
    return int(most or MOST) if _is_shared({word, asked}) else 0


def _is_shared(words: Collection[str]) -> bool:
    return BATCH in words and JOB not in words
