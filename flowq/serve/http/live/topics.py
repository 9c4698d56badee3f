"""What can be watched: `runs`, `schedules`, `run:ID`, `log:ID`, `log:ID/ORDINAL`."""

from dataclasses import dataclass
from typing import Final

from flowq.ids import is_run_id
from flowq.serve.http.replies import RefusedError

MOST: Final = 50
"""Topics of one client."""


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic: its kind, and the run and the job of those that have one."""

    kind: str
    run: str = ""
    ordinal: int | None = None

    def __str__(self) -> str:
        if not self.run:
            return self.kind
        return f"{self.kind}:{self.run}" + ("" if self.ordinal is None else f"/{self.ordinal}")


def read_topics(text: str) -> frozenset[Topic]:
    """Return the topics of a list with commas.

    Raises:
        RefusedError: one is none, or they are too many.
    """
    names = [name for name in text.split(",") if name]
    if len(names) > MOST:
        raise RefusedError(400, "query", f"topics: at most {MOST} can be watched at once")
    return frozenset(_topic(name) for name in names)


def _topic(name: str) -> Topic:
    kind, colon, rest = name.partition(":")
    if not colon and kind in {"runs", "schedules"}:
        return Topic(kind)
    run, slash, ordinal = rest.partition("/")
    number = int(ordinal) if ordinal.isascii() and ordinal.isdigit() and len(ordinal) < 10 else None
    if kind in {"run", "log"} and is_run_id(run) and (not slash or (kind == "log" and number is not None)):
        return Topic(kind, run, number)
    wanted = "runs, schedules, run:ID, log:ID, log:ID/ORDINAL"
    raise RefusedError(400, "query", f"topics: {name[:100]!r} is none of {wanted}")
