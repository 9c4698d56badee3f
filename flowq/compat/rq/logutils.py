"""`rq.logutils`: setting up the log of a worker."""

import logging
from collections.abc import Callable
from typing import Any

from flowq.defaults import DEFAULT_LOGGING_DATE_FORMAT, DEFAULT_LOGGING_FORMAT


class ColorizingStreamHandler(logging.StreamHandler[Any]):
    """A handler that writes to a stream; without colours."""

    def __init__(self, exclude: Any = None, *args: Any, **options: Any) -> None:
        self.exclude = exclude
        super().__init__(*args, **options)

    @property
    def is_tty(self) -> bool:
        """Whether the stream is a terminal."""
        isatty = getattr(self.stream, "isatty", None)
        return bool(isatty and isatty())


def make_colorizer(color: str) -> Callable[[object], str]:  # noqa: ARG001
    """Return a function that returns texts as they are."""
    return str


red = green = yellow = blue = make_colorizer("")


def setup_loghandlers(
    level: int | str | None = None,
    date_format: str = DEFAULT_LOGGING_DATE_FORMAT,
    log_format: str = DEFAULT_LOGGING_FORMAT,
    name: str = "rq.worker",
) -> None:
    """Let workers log to standard error from this level on, unless logging is set up already.

    Args:
        level: None keeps the level.
        date_format: of the times in it.
        log_format: of each line.
        name: of the logger; that of workers unless given.
    """
    logger = logging.getLogger(name)
    if not logger.hasHandlers():
        handler = ColorizingStreamHandler()
        handler.setFormatter(logging.Formatter(log_format, date_format))
        logger.addHandler(handler)
    if level is not None:
        logger.setLevel(level.upper() if isinstance(level, str) else level)
