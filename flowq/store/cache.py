"""Earlier results of jobs with `cache`: read before an execution; `finish` writes them, and takes them over."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from flowq.store.client.session import Session

FRESH: Final = "fresh"
"""Field of a job that the user forces to run: it reuses no earlier result from now on."""


@dataclass(frozen=True, slots=True)
class Kept:
    """The kept records of one job's results.

    Attributes:
        records: by digest, the age in ms and the worker's record of the result; opaque here.
        latest: the inputs of the latest result; opaque here.
    """

    records: Mapping[str, tuple[int, bytes]] = field(default_factory=dict)
    latest: bytes | None = None


class Caches:
    """The store's view of earlier results."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._keys = session.keys

    def read(self, identity: str) -> Kept:
        """Return the kept records of one job's results, without the results themselves."""
        with self._session.translated:
            pipe = self._session.client.pipeline(transaction=False)
            pipe.hgetall(self._keys("cache", identity))
            pipe.time()
            row, (seconds, micros) = pipe.execute()
        now_ms = int(seconds) * 1000 + int(micros) // 1000
        records = {}
        for name, value in row.items():
            if name.startswith(b"="):
                at_ms, _, record = value.partition(b" ")
                records[name[1:].decode()] = (now_ms - int(at_ms), record)
        return Kept(records, row.get(b"latest"))
