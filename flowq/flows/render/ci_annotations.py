"""Annotations that CI systems read in a job's log: folds around the output of each job, and marks at the lines of the files.

A job wrote the folded output: it must not be read as commands. A command with a random word makes GitHub ignore commands while it is
shown; GitLab's markers need control characters, which `flows/views/text.py` has made visible.
"""

import re
import secrets
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

from flowq.flows.views.text import safe_line


@dataclass(frozen=True, slots=True)
class Fold:
    """The output of one execution of a job, as safe lines. Times in seconds since the epoch."""

    key: str  # unique in the log
    title: str
    lines: Iterable[str]
    begun: int
    ended: int
    failed: bool


@dataclass(frozen=True, slots=True)
class Annotation:
    """A failure and its place; `file` is relative to the checkout, or empty."""

    file: str
    line: int
    title: str
    message: str


class Annotations(Protocol):
    """The dialect of one CI system, for one log from its beginning to its end."""

    def opening(self) -> list[str]:
        """Return the first lines of the log."""

    def closing(self) -> list[str]:
        """Return the last lines of the log."""

    def fold(self, fold: Fold) -> Iterator[str]:
        """Yield the lines of a fold."""

    def mark(self, mark: Annotation) -> Iterator[str]:
        """Yield the annotation of a failure."""


def annotations(system: str) -> Annotations:
    """Return the dialect of a system, `github` or `gitlab`."""
    return GitHub() if system == "github" else GitLab()


class GitHub:
    """Workflow commands of GitHub Actions (also understood by Forgejo and Gitea).

    The runner takes no commands but between `_listen` and `_ignore`: names, errors and output pass by it.
    """

    def __init__(self) -> None:
        self._word = ""

    def opening(self) -> list[str]:
        """Return the command that stops commands."""
        return [self._ignore()]

    def closing(self) -> list[str]:
        """Return the word that lets later parts of the step use commands again."""
        return [self._listen()]

    def fold(self, fold: Fold) -> Iterator[str]:
        """Yield a group."""
        yield self._listen()
        yield f"::group::{_data(fold.title)}"
        yield self._ignore()
        yield from fold.lines
        yield self._listen()
        yield "::endgroup::"
        yield self._ignore()

    def mark(self, mark: Annotation) -> Iterator[str]:
        """Yield an error command: it appears at the line of the file in the review, and on top of the job."""
        place = f"file={_property(mark.file)},line={mark.line}," if mark.file else ""
        yield self._listen()
        yield f"::error {place}title={_property(mark.title)}::{_data(mark.message)}"
        yield self._ignore()

    def _ignore(self) -> str:
        self._word = secrets.token_hex(16)
        return f"::stop-commands::{self._word}"

    def _listen(self) -> str:
        return f"::{self._word}::"


class GitLab:
    """Sections of GitLab CI, folded unless the job failed. GitLab has no marks in logs: failures are red lines."""

    def opening(self) -> list[str]:
        """Return nothing: sections need no preparation."""
        return []

    closing = opening

    def fold(self, fold: Fold) -> Iterator[str]:
        """Yield a section."""
        key = re.sub(r"[^A-Za-z0-9_.-]", "_", fold.key)
        collapsed = "" if fold.failed else "[collapsed=true]"
        yield f"\x1b[0Ksection_start:{fold.begun}:{key}{collapsed}\r\x1b[0K{safe_line(fold.title)}"
        yield from fold.lines
        yield f"\x1b[0Ksection_end:{fold.ended}:{key}\r\x1b[0K"

    def mark(self, mark: Annotation) -> Iterator[str]:
        """Yield a red line."""
        place = f" ({safe_line(mark.file)}:{mark.line})" if mark.file else ""
        yield f"\x1b[31;1mERROR: {safe_line(mark.title)}: {safe_line(mark.message)}{place}\x1b[0m"


def _data(text: str) -> str:
    return safe_line(text).replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
