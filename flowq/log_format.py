"""The form of log lines: text in the syntax of `logging`, or one JSON object per line for programs that collect logs."""

import json
import logging
from datetime import UTC, datetime
from typing import Final

JSON: Final = "json"
"""The format that stands for JSON lines."""


class JsonFormatter(logging.Formatter):
    """Log lines as JSON objects with `time` (UTC), `level`, `process`, `message` and, of an exception, `traceback`."""

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
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def formatter_of(log_format: str, date_format: str) -> logging.Formatter:
    """Return the formatter for a format: `json`, or one in the syntax of `logging`."""
    return JsonFormatter() if log_format == JSON else logging.Formatter(log_format, date_format)


def log_to_stderr(level: str, log_format: str, date_format: str) -> None:
    """Log to standard error from a level on, unless logging is set up already."""
    handler = logging.StreamHandler()
    handler.setFormatter(formatter_of(log_format, date_format))
    logging.basicConfig(level=level.upper(), handlers=[handler])
