"""Where the output of a job is in the log of its run: `lua/job/append_logs.lua` notes it."""

from flowq.exceptions import CorruptRecordError
from flowq.store.client.session import Session
from flowq.store.schema.records import LogIndex


class JobLogs:
    """The store's view of the output of single jobs of runs."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._keys = session.keys

    def index(self, job: str) -> LogIndex | None:
        """Return where the output of a job is, None if it has printed nothing.

        Raises:
            CorruptRecordError: its record is not what flowq wrote.
        """
        with self._session.translated:
            row = self._session.client.hmget(self._keys("job", job), ["logged", "log_written", "log_first", "log_trimmed"])
        if row[0] is None:
            return None
        try:
            logged, written, first, trimmed = ("" if value is None else value.decode() for value in row)
            execution, size = int(logged.partition(":")[0]), int(written or -1)
        except ValueError as error:
            raise CorruptRecordError(f"the record of job {job} cannot be read: {error}") from error
        return LogIndex(execution, size if size >= 0 else None, first or "0", trimmed or "0")

    def mark(self, job: str, execution: int, offset: int) -> tuple[int, str] | None:
        """Return the latest mark at or before a byte of an execution: the byte and the position of the entry that begins there."""
        with self._session.translated:
            rows = self._session.client.xrevrange(self._keys("logs", job), f"{execution}-{offset}", f"{execution}-0", count=1)
        return (int(rows[0][0].partition(b"-")[2]), rows[0][1][b"e"].decode()) if rows else None
