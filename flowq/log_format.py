"""The form of log lines: text in the syntax of `logging`, or one JSON object per line for programs that collect logs."""

import json
import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

JSON: Final = "json"
"""The format that stands for JSON lines."""

_ABOUT_A_JOB: Final = "job %s: "  # so begin the messages about one, whose id is the first argument
_GIVEN: Final = ("run", "flow", "job", "outcome")  # with `extra`

# What `logging` finds out for each record unless it is told not to, and the fields of a format that need it.
_LOOKED_UP: Final[Mapping[str, tuple[str, ...]]] = {
    "logThreads": ("thread",),  # and threadName
    "logProcesses": ("process)",),
    "logMultiprocessing": ("processName",),
    "logAsyncioTasks": ("taskName",),
    "_srcfile": ("pathname", "filename", "module", "lineno", "funcName"),
}


class TextFormatter(logging.Formatter):
    """Log lines in the syntax of `logging`. Their time is written out once a second: a busy worker writes thousands of lines in one."""

    def __init__(self, log_format: str, date_format: str) -> None:
        super().__init__(log_format, date_format)
        self._second = -1
        self._time = ""

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802 - of `logging`
        """Return the time of a record."""
        second = int(record.created)
        if second != self._second or not datefmt:  # the format without a name has milliseconds
            self._time = super().formatTime(record, datefmt)
            self._second = second
        return self._time


class JsonFormatter(logging.Formatter):
    """Log lines as JSON objects with `time` (UTC), `level`, `process`, `message`; of an exception `traceback`.

    A record about a job has its id, `job`. One about a run, or a job of one, has `run` and `flow`: those come with `extra`. One about the end of an attempt has its `outcome`.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of a record."""
        time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line = {
            "time": time.replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "process": record.name.removeprefix("flowq."),
            "pid": record.process,
            "message": record.getMessage(),
        }
        if record.args and isinstance(record.args, tuple) and str(record.msg).startswith(_ABOUT_A_JOB):
            line["job"] = str(record.args[0])
        line |= {name: str(found) for name in _GIVEN if (found := getattr(record, name, ""))}
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def formatter_of(log_format: str, date_format: str) -> logging.Formatter:
    """Return the formatter for a format: `json`, or one in the syntax of `logging`."""
    return JsonFormatter() if log_format == JSON else TextFormatter(log_format, date_format)


def log_to_stderr(level: str, log_format: str, date_format: str, *, sparing: bool = False) -> None:
    """Log to standard error from a level on, unless logging is set up already.

    Args:
        level: the lowest one that is logged.
        log_format: as of `formatter_of`.
        date_format: likewise.
        sparing: find out only what the format asks for, in the whole process. Other handlers would lack the rest: for processes in which only flowq logs.
    """
    if sparing and not logging.getLogger().handlers:
        for name, fields in _LOOKED_UP.items():
            if log_format != JSON and not any(field in log_format for field in fields):
                setattr(logging, name, None)
    handler = logging.StreamHandler()
    handler.setFormatter(formatter_of(log_format, date_format))
    logging.basicConfig(level=level.upper(), handlers=[handler])
